"""PyTorch's zip files as archives: packed anew, of other machines, and lying ones."""

from __future__ import annotations

import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch_files

from stylegan_jax.convert_torch.readers import read_checkpoint
from stylegan_jax.errors import UserError


def test_an_archive_that_was_packed_anew(tmp_path):
    array = np.zeros((8, 64), np.float32)
    torch_files.write_torch_zip(tmp_path / "a.pt", {"x": array})
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    root = read_checkpoint(tmp_path / "b.pt").root
    np.testing.assert_array_equal(root["x"].array(), array)


def test_a_big_endian_archive(tmp_path):
    array = np.arange(5, dtype=np.float32)
    torch_files.write_torch_zip(tmp_path / "a.pt", {"x": array.byteswap()})
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w") as new,
    ):
        for info in old.infolist():
            is_order = info.filename.endswith("byteorder")
            new.writestr(info.filename, b"big" if is_order else old.read(info))
    value = read_checkpoint(tmp_path / "b.pt").root["x"].array()
    np.testing.assert_array_equal(value, array)
    assert value.dtype.isnative


def test_other_zip_archives(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(UserError, match=r"NumPy \.npz"):
        read_checkpoint(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("word/document.xml", "x")
    with pytest.raises(UserError, match="PyTorch did not write"):
        read_checkpoint(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("net/model.json", "{}")
    with pytest.raises(UserError, match=r"PyTorch 1\.0"):
        read_checkpoint(tmp_path / "c.zip")


def test_a_member_that_was_changed_is_found_by_its_checksum(tmp_path):
    path = tmp_path / "a.pt"
    torch_files.write_torch_zip(path, {"x": np.arange(100, dtype=np.float32)})
    data = bytearray(path.read_bytes())
    data[data.index(np.arange(100, dtype=np.float32).tobytes()) + 17] ^= 1
    path.write_bytes(data)
    root = read_checkpoint(path).root
    with pytest.raises(UserError, match="checksum"):
        root["x"].array()


def test_two_members_of_one_name(tmp_path):
    path = tmp_path / "a.pt"
    torch_files.write_torch_zip(path, {"x": np.arange(3)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("archive/data/0", b"12345678")
    with pytest.raises(UserError, match="two members"):
        read_checkpoint(path)


def test_an_archive_that_expands_without_end(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("a/data.pkl", bytes(100_000_000))
    with pytest.raises(UserError, match="claim to unpack"):
        read_checkpoint(path)


def test_a_compressed_member_that_lies_about_its_size(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + b"N0" * 500 + b"N.")
    data = path.read_bytes()
    size = struct.pack("<I", 1004)
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, struct.pack("<I", 99)))
    with pytest.raises(UserError, match="size it claims"):
        read_checkpoint(path)


def test_a_member_without_a_name_is_passed_over(tmp_path):
    path = tmp_path / "a.pt"
    torch_files.write_torch_zip(path, {"x": np.arange(3)})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"archive/version", b"\0rchive/version"))
    assert read_checkpoint(path).root["x"].shape == (3,)


def test_members_that_overlap(tmp_path):
    path = tmp_path / "a.pt"
    torch_files.write_torch_zip(path, {"x": np.arange(3), "y": np.arange(3, 6)})
    with zipfile.ZipFile(path) as archive:
        first, second = (archive.getinfo(f"archive/data/{key}") for key in "01")
    data = path.read_bytes()
    table = data.index(b"PK\x01\x02")
    old, new = (struct.pack("<I", info.header_offset) for info in (second, first))
    place = data.index(b"archive/data/1", table) - 4
    assert data[place : place + 4] == old
    path.write_bytes(data[:place] + new + data[place + 4 :])
    with pytest.raises(UserError, match="not where it should be|overlap"):
        read_checkpoint(path)


def test_a_storage_that_is_missing(tmp_path):
    torch_files.write_torch_zip(tmp_path / "a.pt", {"x": np.arange(3)})
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w") as new,
    ):
        for info in old.infolist():
            if not info.filename.endswith("data/0"):
                new.writestr(info.filename, old.read(info))
    with pytest.raises(UserError, match="storage '0' is missing"):
        read_checkpoint(tmp_path / "b.pt")
