"""Numbers, text and bytes of a pickle, taken from a view of the file.

Sizes are checked against the bytes that are there before memory is taken.
"""

from __future__ import annotations

import codecs
import re
import struct

from stylegan_jax.convert_torch.readers.faults import CutShort, Damaged

# Bytes up to this length become `bytes`; longer ones, which are tensor data, stay a
# view of the file.
MAX_COPIED = 4096
# Longer integers are in no checkpoint, and arithmetic with them is slow.
MAX_INTEGER_BYTES = 256
MAX_DIGITS = 600

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[\\'\"nrt])")


class Cursor:
    """A position in the bytes of a pickle.

    Attributes:
        view: the bytes.
        position: of the next byte to take.
    """

    def __init__(self, view: memoryview, position: int = 0):
        self.view = view
        self.position = position

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, not copied."""
        begin = self.position
        if size > len(self.view) - begin:
            raise CutShort(f"it ends after {len(self.view)} bytes, inside a value")
        self.position = begin + size
        return self.view[begin : self.position]

    def number(self, form: str) -> int:
        """The next integer, of a `struct` format."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def float64(self) -> float:
        """The next big-endian float."""
        return struct.unpack(">d", self.take(8))[0]

    def sized(self, form: str) -> memoryview:
        """The next bytes, whose length comes first as a `struct` format says."""
        size = self.number(form)
        if size < 0:
            raise Damaged("a value has a negative length")
        return self.take(size)

    def data(self, form: str) -> bytes | memoryview:
        """As `sized`; short ones are copied and can be dictionary keys."""
        view = self.sized(form)
        return bytes(view) if len(view) <= MAX_COPIED else view

    def text(self, form: str) -> str:
        """Sized UTF-8 text."""
        # Python writes lone surrogates like this.
        return str(self.sized(form), "utf-8", "surrogatepass")

    def latin(self, form: str) -> str:
        """A sized string of Python 2: text or bytes, which Latin-1 keeps both."""
        return str(self.sized(form), "latin-1")

    def integer(self, form: str) -> int:
        """A sized little-endian integer."""
        view = self.sized(form)
        if len(view) > MAX_INTEGER_BYTES:
            raise Damaged(f"an integer of {len(view)} bytes")
        return int.from_bytes(view, "little", signed=True)

    def line(self) -> bytes:
        """The bytes up to the next line feed, which is taken too."""
        size = 256
        while True:
            chunk = bytes(self.view[self.position : self.position + size])
            end = chunk.find(b"\n")
            if end >= 0:
                self.position += end + 1
                return chunk[:end]
            if len(chunk) < size:
                raise CutShort(f"it ends after {len(self.view)} bytes, inside a line")
            size *= 4

    def line_text(self) -> str:
        """A line of ASCII text, as names are."""
        return str(self.line(), "utf-8")

    def line_integer(self) -> int | bool:
        """A decimal line; `00` and `01` are how protocol 0 writes False and True."""
        line = self.line()
        if line in (b"00", b"01"):
            return line == b"01"
        digits = line.removesuffix(b"L")
        if len(digits) > MAX_DIGITS or not re.fullmatch(rb"[+-]?\d+", digits):
            raise Damaged("an integer is not decimal")
        return int(digits)

    def line_float(self) -> float:
        """A float in decimal."""
        return float(self.line())

    def line_unicode(self) -> str:
        """Text in protocol 0's escapes, which are unicode ones only."""
        return codecs.decode(self.line(), "raw_unicode_escape")

    def line_string(self) -> str:
        """A quoted string of Python 2, as Latin-1."""
        line = str(self.line(), "latin-1")
        quote = line[:1]
        if len(line) < 2 or quote not in "'\"" or line[-1] != quote:
            raise Damaged("a string without quotes")
        body = line[1:-1]
        if "\\" in _ESCAPE.sub("", body):
            raise Damaged("a string with an unknown escape")
        return _ESCAPE.sub(_unescape, body)


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if escape[0] == "x":
        return chr(int(escape[1:], 16))
    return _ESCAPES.get(escape, escape)
