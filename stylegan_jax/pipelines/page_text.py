"""Text on drawn pages, in Pillow's own font: measured, cut to fit, wrapped."""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING

from stylegan_jax.errors import printable

if TYPE_CHECKING:
    from PIL import ImageFont


def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font at a size in pixels."""
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def drawable(text: str) -> str:
    """A text with only what the font has: no accents, ``?`` for other scripts."""
    plain = unicodedata.normalize("NFKD", printable(text))
    return "".join(
        c if _has_glyph(c) else "?" for c in plain if not unicodedata.combining(c)
    )


@functools.cache
def _has_glyph(character: str) -> bool:
    font = font_of(20)
    missing = bytes(font.getmask("\ufffe"))
    return character == " " or bytes(font.getmask(character)) != missing


def width_of(text: str, font: ImageFont.FreeTypeFont) -> int:
    """How many pixels a line of text is wide."""
    return int(font.getlength(text)) + 1


def cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A line of text that is at most so wide, its middle left out where it is not.

    The ends of names tell more than their middles (``person-a-0001``).
    """
    text = drawable(text)
    if width_of(text, font) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        head, tail = (kept + 1) // 2, kept // 2
        short = f"{text[:head]}…{text[len(text) - tail :] if tail else ''}"
        if width_of(short, font) <= width:
            return short
    return ""


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A text in lines that are at most so wide; single words may be wider."""
    lines: list[str] = []
    for word in drawable(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
