import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from stylegan_jax.data import labels, records, sources
from stylegan_jax.errors import UserError


def test_folder_lists_nested_pictures_by_path(make, tmp_path):
    make.folder(tmp_path / "b", 2)
    make.folder(tmp_path / "a" / "c", 1)
    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / "._b.png").write_bytes(b"macOS")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    source = sources.open_source(tmp_path)
    assert source.names == ["a/c/p000.png", "b/p000.png", "b/p001.png"]
    assert source.read(0).startswith(b"\x89PNG")


def test_order_and_labels_are_equal_in_folder_and_zip(make, tmp_path):
    pairs = [[f"p{i:03d}.png", i % 2] for i in range(4)]
    folder = sources.open_source(make.folder(tmp_path / "f", 4, labels=pairs))
    files = {name: (tmp_path / "f" / name).read_bytes() for name in folder.names[::-1]}
    files["dataset.json"] = json.dumps({"labels": pairs})
    packed = sources.open_source(make.zip(tmp_path / "f.zip", files))
    assert packed.names == folder.names
    assert packed.labels() == folder.labels() == {n: k for n, k in pairs}
    assert [packed.read(i) for i in range(4)] == [folder.read(i) for i in range(4)]
    again = pickle.loads(pickle.dumps(packed))
    assert again.read(3) == packed.read(3)


def test_subfolders_are_classes_but_shards_are_not(make, tmp_path):
    make.folder(tmp_path / "cat", 1)
    make.folder(tmp_path / "ant", 2)
    source = sources.open_source(tmp_path)
    assert source.labels() == {"ant/p000.png": 0, "ant/p001.png": 0, "cat/p000.png": 1}
    shards = ["00000/img00000000.png", "00001/img00001000.png"]
    assert labels.folder_labels(shards) is None
    assert labels.folder_labels(["a/x.png", "y.png"]) is None


def test_fingerprint_ignores_times_and_places_but_not_labels(make, tmp_path):
    import os

    one = make.folder(tmp_path / "one", 3)
    two = make.folder(tmp_path / "two", 3)
    os.utime(f"{two}/p000.png", (1, 1))
    first = sources.open_source(one).fingerprint()
    assert sources.open_source(two).fingerprint() == first
    (tmp_path / "two" / "dataset.json").write_text('{"labels": [["p000.png", 1]]}')
    assert sources.open_source(two).fingerprint() != first


def test_fingerprint_samples_the_content(tmp_path):
    picture = tmp_path / "a.bmp"
    found = set()
    for place in (None, 0, 99_999):  # of equal sizes, told apart at either end
        content = bytearray(100_000)
        if place is not None:
            content[place] = 1
        picture.write_bytes(content)
        found.add(sources.open_source(tmp_path).fingerprint())
    assert len(found) == 3


def test_arrayrecords_of_equal_size_have_their_own_fingerprints(tmp_path):
    pytest.importorskip("array_record")
    found = set()
    for fill in (b"a", b"b"):
        path = str(tmp_path / "x.arrayrecord")
        names = {"names": ["p.png"]}
        records.write_arrayrecord(path, [fill * 500_000], lambda names=names: names)
        found.add(sources.open_source(path).fingerprint())
    assert len(found) == 2


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_stamp_changes_with_time_and_place(make, tmp_path, form):
    import os

    def put(place):
        folder = make.folder(tmp_path / place / "faces", 2)
        if form == "folder":
            return folder, f"{folder}/p001.png"
        path = make.zip(tmp_path / place / "f.zip", {"p.png": make.encode(flat)})
        return path, path

    flat = make.gradient()
    (one, file), (two, _) = put("x"), put("y")
    first = sources.open_source(one).stamp()
    assert sources.open_source(one).stamp() == first
    assert sources.open_source(two).stamp() != first
    os.utime(file, (1, 1))
    assert sources.open_source(one).stamp() != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "holds a list"),
        ('{"labels": 3}', "must be a list"),
        ('{"labels": [["a.png"]]}', "entry 0"),
        ('{"labels": [["a.png", -1]]}', "expected a class number"),
        ('{"labels": [["a.png", true]]}', "expected a class number"),
        ('{"labels": [["a.png", [NaN]]]}', "expected a class number"),
        ('{"labels": [["a.png", 1], ["b.png", [1.0]]]}', "of one kind"),
        ('{"labels": [["a.png", [1]], ["b.png", [1, 2]]]}', "of one kind"),
    ],
)
def test_bad_label_files_are_named(make, tmp_path, text, said):
    folder = make.folder(tmp_path / "f", 1)
    (tmp_path / "f" / "dataset.json").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        sources.open_source(folder).labels()
    assert "dataset.json" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("gone", None, "does not exist"),
        ("a.txt", b"hello", "is not a dataset"),
        ("a.zip", b"PK\3\4 cut off", "not a readable zip"),
        ("a.arrayrecord", b"no" * 100, "not a readable ArrayRecord"),
        ("a.arrayrecord", b"", "not a readable ArrayRecord"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path, name, data, said):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said):
        sources.open_source(tmp_path / name)


def test_zip_with_a_huge_member_is_not_read(make, tmp_path, monkeypatch):
    path = make.zip(tmp_path / "z.zip", {"a.png": b"\0" * 5000, "b.png": b"x"})
    monkeypatch.setattr("stylegan_jax.data.images.MAX_FILE_BYTES", 4000)
    with pytest.raises(UserError, match=r"a\.png: declares 5000 bytes"):
        sources.open_source(path).read(0)


def test_zip_members_with_hostile_paths_are_only_names(make, tmp_path):
    picture = make.encode(make.gradient())
    members = {"../../evil.png": picture, "/abs.png": picture}
    source = sources.open_source(make.zip(tmp_path / "z.zip", members))
    assert len(source) in (1, 2)
    assert source.read(0) == picture
    assert sorted(p.name for p in tmp_path.iterdir()) == ["z.zip"]


def _zip_bytes():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(3):
            png = io.BytesIO()
            Image.new("RGB", (4, 4), (i, 0, 0)).save(png, "PNG")
            archive.writestr(f"{i}.png", png.getvalue())
        archive.writestr("dataset.json", '{"labels": [["0.png", 1]]}')
    return buffer.getvalue()


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    flips=st.lists(
        st.tuples(st.integers(0, 9999), st.integers(0, 255)), min_size=1, max_size=12
    ),
    cut=st.integers(0, 60),
)
def test_damaged_zips_raise_only_user_errors(tmp_path, flips, cut):
    data = bytearray(_zip_bytes())
    for place, value in flips:
        data[-1 - place % len(data)] = value
    path = tmp_path / "fuzzed.zip"
    path.write_bytes(bytes(data[: len(data) - cut]))
    try:
        source = sources.open_source(path)
        source.labels()
    except UserError:
        return
    for index in range(len(source)):
        try:
            source.read(index)
        except UserError:
            pass


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["labels", "a.png"]), inner, max_size=2)
        ),
        max_leaves=8,
    )
)
def test_any_label_document_gives_labels_or_a_user_error(document):
    try:
        parsed = labels.read_document(json.dumps({"labels": document}).encode(), "x")
        found = labels.parse_labels(parsed, "x")
        if found:
            labels.label_arrays(found, list(found), "x")
    except UserError:
        pass


def test_arrayrecord_round_trip(make, tmp_path):
    path = str(tmp_path / "a.arrayrecord")
    pictures = [make.encode(np.full((8, 8, 3), i, np.uint8)) for i in range(5)]
    index = {"names": [f"n{i}.png" for i in range(5)], "labels": [["n1.png", 2]]}
    records.write_arrayrecord(path, pictures, lambda: index)
    source = pickle.loads(pickle.dumps(sources.open_source(path)))
    assert source.names == index["names"]
    assert [source.read(i) for i in range(5)] == pictures
    assert source.labels() == {"n1.png": 2}


def test_arrayrecord_whose_index_lies_is_refused(make, tmp_path):
    path = str(tmp_path / "a.arrayrecord")
    records.write_arrayrecord(path, [b"x", b"y"], lambda: {"names": ["one"]})
    with pytest.raises(UserError, match="does not name its 2 pictures"):
        sources.open_source(path)


def test_damaged_arrayrecord_is_a_user_error(make, tmp_path):
    path = tmp_path / "a.arrayrecord"
    pictures = [make.encode(make.gradient(64, 64)) for _ in range(40)]
    records.write_arrayrecord(
        str(path), pictures, lambda: {"names": [f"{i}.png" for i in range(40)]}
    )
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in (0, 100, 65536):
        data = bytearray(whole[: len(whole) - cut])
        for place in rng.integers(0, len(data), 200):
            data[place] ^= 255
        path.write_bytes(bytes(data))
        try:
            source = sources.open_source(path)
            for index in range(len(source)):
                source.read(index)
        except UserError:
            pass
