"""The wire format of protocol buffers: a message as its numbered fields.

What the numbers mean is the message's own business, and what was not asked for is
refused by its number.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.readers.faults import CutShort, Damaged, Unsupported

# Kinds of fields on the wire.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}

# Every value of a field, in the file's order: integers for varints, else views.
Fields = Mapping[int, list[tuple[int, Any]]]


def read_fields(view: memoryview, known: Mapping[int, str], what: str) -> Fields:
    """The fields of a message.

    Args:
        view: its bytes.
        known: the numbers that may occur, with names for people.
        what: what the message is, for errors, e.g. ``node``.

    Returns:
        The values by number: (kind on the wire, value).

    Raises:
        CutShort: a field reaches beyond the bytes.
        Damaged: no number or kind of a field.
        Unsupported: a field that is not among those.
    """
    found: dict[int, list[tuple[int, Any]]] = {}
    place = 0
    while place < len(view):
        tag, place = read_varint(view, place)
        number, kind = tag >> 3, tag & 7
        value: Any
        if kind == VARINT:
            value, place = read_varint(view, place)
        elif kind in (FIXED64, BYTES, FIXED32):
            length = _WIDTHS.get(kind, 0)
            if kind == BYTES:
                length, place = read_varint(view, place)
            if length > len(view) - place:
                raise CutShort(f"a field of a {what} is longer than the {what}")
            value, place = view[place : place + length], place + length
        else:
            raise Damaged(f"a {what} has a field of no kind")
        if number not in known:
            raise Unsupported(f"a {what} has the field {number}, which is unknown here")
        found.setdefault(number, []).append((kind, value))
    return found


def read_varint(view: memoryview, place: int) -> tuple[int, int]:
    """An unsigned integer of up to 64 bits, and the place behind it."""
    value = shift = 0
    while True:
        if place >= len(view):
            raise CutShort("a number has no end")
        byte = view[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            break
        if shift > 63:
            raise Damaged("a number is longer than 64 bits")
    if value >= 1 << 64:
        raise Damaged("a number is longer than 64 bits")
    return value, place


def integers(fields: Fields, number: int) -> list[int]:
    """A repeated signed integer, packed or not."""
    found = []
    for kind, value in fields.get(number, []):
        if kind == VARINT:
            found.append(value)
        elif kind == BYTES:
            place = 0
            while place < len(value):
                item, place = read_varint(value, place)
                found.append(item)
        else:
            raise Damaged("an integer is stored as something else")
    return [n - (1 << 64) if n >> 63 else n for n in found]


def packed(fields: Fields, number: int, kind: int) -> memoryview:
    """A repeated number of fixed width, packed or not, as its bytes."""
    parts = []
    for stored, value in fields.get(number, []):
        whole = stored == BYTES and len(value) % _WIDTHS[kind] == 0
        if stored != kind and not whole:
            raise Damaged("a list of numbers has an impossible length")
        parts.append(value)
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def floats(fields: Fields, number: int) -> list[float]:
    """A repeated float of 32 bits."""
    view = packed(fields, number, FIXED32)
    return [value for (value,) in struct.iter_unpack("<f", view)]


def integer(fields: Fields, number: int, default: int = 0) -> int:
    """A single signed integer; the last counts, as everywhere in this format."""
    return (integers(fields, number) or [default])[-1]


def messages(fields: Fields, number: int) -> list[memoryview]:
    """A repeated message, or bytes."""
    values = fields.get(number, [])
    if any(kind != BYTES for kind, _ in values):
        raise Damaged("a message is stored as a number")
    return [value for _, value in values]


def texts(fields: Fields, number: int) -> list[str]:
    """A repeated text."""
    try:
        return [bytes(value).decode() for value in messages(fields, number)]
    except UnicodeDecodeError as error:
        raise Damaged("a text is not UTF-8") from error


def text(fields: Fields, number: int) -> str:
    """A single text; empty where there is none."""
    return (texts(fields, number) or [""])[-1]
