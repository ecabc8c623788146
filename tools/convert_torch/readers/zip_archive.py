"""Zip archives as PyTorch writes them: members are stored and lie ready in the file.

The table of contents is read by Python's `zipfile`; the members are taken from a view
of the file, after their places and sizes have been checked.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from stylegan_jax.convert_torch.readers.faults import (
    CutShort,
    Damaged,
    Fault,
    Unsupported,
)

_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x1
_UTF8 = 0x800
# PyTorch compresses nothing; an archive packed anew shrinks by a tenth. The rest is
# for buffers of zeros in small files.
MAX_EXPANSION = 4
FREE_EXPANSION = 2**26


@dataclasses.dataclass(frozen=True)
class Member:
    """One member of an archive.

    Attributes:
        name: its path in the archive.
        size: bytes after decompression.
    """

    name: str
    size: int
    _data: memoryview
    _deflated: bool
    _checksum: int

    def read(self) -> memoryview:
        """Its bytes: a view of the file, or new memory if it is compressed.

        Raises:
            Damaged: they are not as many, or have not the checksum, that it claims.
        """
        data = self._data
        if self._deflated:
            data = memoryview(self._inflate())
        # PyTorch can leave checksums out and then writes 0.
        if self._checksum and zlib.crc32(data) != self._checksum:
            raise Damaged(f"{self.name} does not match its checksum")
        return data

    def _inflate(self) -> bytes:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpacker.decompress(self._data, self.size + 1)
        except zlib.error as error:
            raise Damaged(f"{self.name} cannot be unpacked") from error
        if len(data) != self.size or not unpacker.eof:
            raise Damaged(f"{self.name} has not the size it claims")
        return data


def read_members(view: memoryview) -> dict[str, Member]:
    """Lists an archive.

    Args:
        view: the whole file.

    Returns:
        The members by name.

    Raises:
        Fault: the archive is cut short, contradicts itself, or would expand to much
            more than its length.
    """
    members: dict[str, Member] = {}
    places: list[tuple[int, int]] = []
    expanded = 0
    for info in _table_of_contents(view):
        name = info.orig_filename
        if name.endswith("/"):
            continue
        if name in members:
            raise Damaged(f"it has two members called {name!r:.80}")
        if info.flag_bits & _ENCRYPTED:
            raise Unsupported("it is an encrypted zip archive, so unpack it first")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unsupported("it is a zip archive packed in an unusual way")
        begin = _data_begin(view, info)
        end = begin + info.compress_size
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        if end > len(view) or not (deflated or info.compress_size == info.file_size):
            raise Damaged(f"its member {name!r:.80} has not the size it claims")
        if deflated:
            expanded += info.file_size
        places.append((info.header_offset, end))
        members[name] = Member(
            name, info.file_size, view[begin:end], deflated, info.CRC
        )
    if expanded > MAX_EXPANSION * len(view) + FREE_EXPANSION:
        raise Damaged(f"{len(view)} bytes claim to unpack to {expanded}")
    places.sort()
    for (_, end), (begin, _) in zip(places, places[1:], strict=False):
        if begin < end:
            raise Damaged("its members overlap")
    return members


def _table_of_contents(view: memoryview) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(io.BufferedReader(_ViewFile(view))) as archive:
            return archive.infolist()
    except zipfile.BadZipFile as error:
        raise CutShort("its table of contents is missing or broken") from error
    # What zipfile raises for nonsense in the fields of a table it has found.
    except (ValueError, struct.error, NotImplementedError, OSError, EOFError) as error:
        raise Damaged("its table of contents is broken") from error


def _data_begin(view: memoryview, info: zipfile.ZipInfo) -> int:
    """Where a member's data begin: after its own header, which must agree."""
    begin = info.header_offset
    if not 0 <= begin <= len(view) - _LOCAL.size:
        raise Damaged(f"its member {info.filename!r:.80} lies outside of it")
    fields = _LOCAL.unpack_from(view, begin)
    name_begin = begin + _LOCAL.size
    name = bytes(view[name_begin : name_begin + fields[9]])
    expected = info.orig_filename.encode(
        "utf-8" if info.flag_bits & _UTF8 else "cp437", "surrogateescape"
    )
    if fields[0] != b"PK\x03\x04" or name != expected:
        raise Damaged(f"its member {info.filename!r:.80} is not where it should be")
    return name_begin + fields[9] + fields[10]


class _ViewFile(io.RawIOBase):
    """A view of bytes as a file, not copied."""

    def __init__(self, view: memoryview):
        self._view = view
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: len(self._view),
        }[whence]
        if start + offset < 0:
            raise ValueError("a place before the beginning of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        piece = self._view[self._position : self._position + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def reporting(
    read: Callable[[], memoryview], report: Callable[[Fault], Exception]
) -> Callable[[], memoryview]:
    """`read`, whose faults become the exceptions that `report` makes of them."""

    def reported() -> memoryview:
        try:
            return read()
        except Fault as fault:
            raise report(fault) from fault

    return reported
