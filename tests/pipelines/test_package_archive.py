import bz2
import tarfile
import zipfile

import pytest
from fake_package_index import sdist, wheel
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import package_archive
from stylegan_jax.pipelines.package_archive import is_archive, take_members

DATA = bytes(range(256)) * 20
WANTED = {"p/w.bin": len(DATA)}


def _take(tmp_path, name, data, wanted=WANTED):
    (tmp_path / name).write_bytes(data)
    inside = tmp_path / "inside"
    inside.mkdir(exist_ok=True)
    return take_members(tmp_path / name, wanted, inside)


@pytest.mark.parametrize(
    ("name", "make"), [("a.whl", wheel), ("a.zip", wheel), ("a.tar.gz", sdist)]
)
def test_wanted_files_are_taken_and_no_others(tmp_path, name, make):
    data = make(
        {"p/setup.py": b"raise SystemExit", "q/w.bin": b"no", "p/w.bin": DATA, "z": b""}
    )
    found = _take(tmp_path, name, data)
    assert {key: path.read_bytes() for key, path in found.items()} == {"p/w.bin": DATA}
    assert [p.suffix for p in (tmp_path / "inside").iterdir()] == [".bin"]


def test_plain_tar_and_bz2(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        (tmp_path / "w.bin").write_bytes(DATA)
        archive.add(tmp_path / "w.bin", "x/p/w.bin")
    (tmp_path / "in").mkdir()
    found = take_members(tmp_path / "a.tar", WANTED, tmp_path / "in")
    assert found["p/w.bin"].read_bytes() == DATA
    wanted = {"w.bin": len(DATA)}
    found = _take(tmp_path, "w.bin.bz2", bz2.compress(DATA), wanted)
    assert found["w.bin"].read_bytes() == DATA
    with pytest.raises(UserError, match="larger than"):
        _take(tmp_path, "w.bin.bz2", bz2.compress(DATA + b"x"), wanted)


@pytest.mark.parametrize("make", [wheel, sdist])
def test_names_in_an_archive_choose_no_place(tmp_path, make):
    name = "a.whl" if make is wheel else "a.tar.gz"
    outside = tmp_path / "outside"
    data = make(
        {"../outside": b"1", str(outside): b"2", "../../x/p/w.bin": DATA, "..": b"3"}
    )
    found = _take(tmp_path, name, data)
    assert found["p/w.bin"].parent == tmp_path / "inside"
    assert not outside.exists()
    assert {p.name for p in tmp_path.rglob("*")} == {name, "inside", "0-w.bin"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("p/w.bin")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(UserError, match="p/w.bin in it is no plain file"):
        _take(tmp_path, "a.tar.gz", sdist({"p/w.bin": info}))
    info = zipfile.ZipInfo("p/w.bin")
    info.external_attr = 0o120777 << 16
    with pytest.raises(UserError, match="p/w.bin in it is no plain file"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(info, "/etc/passwd")
        take_members(tmp_path / "a.zip", WANTED, tmp_path / "inside")


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz"])
def test_larger_files_are_refused(tmp_path, name):
    make = wheel if name == "a.whl" else sdist
    with pytest.raises(UserError, match=f"is larger than {len(DATA)} bytes"):
        _take(tmp_path, name, make({"p/w.bin": DATA + b"x"}))
    assert list((tmp_path / "inside").iterdir()) == []


def test_an_archive_that_unpacks_without_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(package_archive, "MAX_UNPACKED_BYTES", 10**6)
    data = sdist({"zeros": bytes(3 * 10**6), "p/w.bin": DATA})
    assert len(data) < 10**4
    with pytest.raises(UserError, match="unpacks to more than 0 MiB"):
        _take(tmp_path, "a.tar.gz", data)


def test_names_tell_archives_from_pytorch_files():
    from pathlib import Path

    assert is_archive(Path("A-1.TAR.GZ")) and is_archive(Path("f.dat.bz2"))
    assert not is_archive(Path("model.pt")) and not is_archive(Path("model.pth"))
    assert not is_archive(Path("moco_v2_800ep_pretrain.pth.tar"))


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz", "w.bin.bz2", "a.tar"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_archives_are_refused_in_a_sentence(tmp_path_factory, name, data):
    folder = tmp_path_factory.mktemp("damaged")
    members = {"p/a": b"1" * 999, "p/w.bin": DATA}
    whole = {
        "a.whl": wheel(members),
        "a.tar.gz": sdist(members),
        "w.bin.bz2": bz2.compress(DATA),
        "a.tar": __import__("gzip").decompress(sdist(members)),
    }[name]
    bad = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if bad:
            bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(
                st.integers(1, 255)
            )
    try:
        found = _take(folder, name, bytes(bad), {"p/w.bin": 5120, "w.bin": 5120})
    except UserError as error:
        assert name in str(error) and "\n" not in str(error)
    else:  # the harm is elsewhere, or the digest will find it
        assert all(path.stat().st_size <= 5120 for path in found.values())
