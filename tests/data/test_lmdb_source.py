import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stylegan_jax.data import images, prepare, sources
from stylegan_jax.data.check import check
from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.errors import MissingExtra, UserError


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "data.mdb").write_bytes(b"\0" * 8192)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingExtra, match=r"stylegan_jax\[lmdb\]"):
        sources.open_source(tmp_path)


@pytest.fixture
def lmdb():
    return pytest.importorskip("lmdb", reason="the extra lmdb is not installed")


@pytest.fixture
def write(lmdb, tmp_path):
    """Writes keys and values as they are; returns the folder."""

    def write(values, name="faces.lmdb", **options):
        path = tmp_path / name
        with lmdb.open(str(path), map_size=2**24, **options) as env:
            with env.begin(write=True) as transaction:
                for key, value in values.items():
                    transaction.put(key.encode(), value)
        return path

    return write


def faces(make, sizes=(8, 16), num=12):
    values = {
        f"{size}-{i:05d}": make.encode(make.gradient(size, size) // (i + 1), "JPEG")
        for size in sizes
        for i in range(num)
    }
    return {**values, "length": str(num).encode()}


def test_pictures_of_the_largest_size_in_order(write, make):
    values = faces(make, sizes=(128, 16, 64))
    path = write(values)
    source = sources.open_source(path)
    assert source.kind == "lmdb" and source.name == "faces"
    assert source.names == [f"128-{i:05d}.jpg" for i in range(12)]
    for i in range(12):
        assert source.read(i) == values[f"128-{i:05d}"]
        assert source.size(i) == len(source.read(i))
    small = sources.open_source(f"{path}@16")
    assert small.read(3) == values["16-00003"]
    assert small.fingerprint() != source.fingerprint()
    assert small.stamp() != source.stamp()
    with pytest.raises(UserError, match="choose from 16, 64, 128"):
        sources.open_source(f"{path}@32")


def test_a_file_without_folder_is_read_too(write, make):
    path = write(faces(make), subdir=False)
    assert len(sources.open_source(path)) == 12


def test_prepare_check_and_training_take_it(write, make, tmp_path):
    path = write(faces(make))
    assert check(str(path)).ok
    done = prepare.prepare(str(path), str(tmp_path / "x.zip"), resolution=16)
    assert done.num_images == 12 and done.labelled == 0
    first = images.decode(sources.open_source(done.path).read(0), "x")
    want = images.decode(sources.open_source(path).read(0), "x")
    np.testing.assert_array_equal(images.to_array(first), images.to_array(want))
    assert len(open_dataset(str(path), cache_dir=tmp_path / "cache")) == 12


def test_pickles_and_threads(write, make):
    source = sources.open_source(write(faces(make)))
    again = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(again.read, [*range(12)] * 8)) == [
            source.read(i) for i in [*range(12)] * 8
        ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"length": None}, "no 'length'"),
        ({"length": b"13"}, "says that it has 13"),
        ({"16-00003": None, "16-00012": b"x"}, "not those from 0 on"),
    ],
)
def test_sets_that_are_not_whole_are_refused(write, make, change, said):
    values = {**faces(make), **change}
    path = write({k: v for k, v in values.items() if v is not None})
    with pytest.raises(UserError, match=said):
        sources.open_source(path)


def test_other_layouts_are_refused(write):
    with pytest.raises(UserError, match="no LMDB of rosinality's layout"):
        sources.open_source(write({"length": b"2", "0a1b": b"webp"}))
    with pytest.raises(UserError, match="no LMDB of rosinality's layout"):
        sources.open_source(write({}, "empty.lmdb"))


def test_broken_values_are_told_by_key(write, make):
    values = {**faces(make), "16-00002": b"", "16-00005": b"<html>"}
    report = check(str(write(values)))
    assert [(p.path, p.kind) for p in report.broken] == [
        ("16-00002.jpg", "empty"),
        ("16-00005.jpg", "not_a_picture"),
    ]


def test_damaged_files_are_refused_and_do_not_kill(write, make, tmp_path):
    whole = (write(faces(make)) / "data.mdb").read_bytes()
    for name, data in {
        "cut": whole[:16384],
        "short": whole[:100],
        "empty": b"",
        "noise": np.random.default_rng(0).bytes(len(whole)),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "data.mdb").write_bytes(data)
        with pytest.raises(UserError, match="copied completely|copy it again"):
            sources.open_source(folder)
