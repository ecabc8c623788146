"""Contact sheets: labelled tables of pictures, drawn with Pillow's own font."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stylegan_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

# Pixels of the largest sheet: 768 MiB of RGB.
MAX_PIXELS = 2**28
MARGIN = 8
TEXT = 14
PAGE, INK, SOFT = (251, 250, 248), (29, 28, 26), (107, 103, 96)


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        label: in front of the row; empty continues the row above.
        pictures: [H, W, C] uint8, one per column.
    """

    label: str
    pictures: Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Section:
    """A table with a title.

    Attributes:
        title: above the table.
        heads: above the columns.
        rows: at least one.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Row]


def draw_sheet(sections: Sequence[Section], *, cell: int = 128) -> np.ndarray:
    """Draws tables below each other.

    Args:
        sections: the tables; all pictures have one shape.
        cell: pictures are made smaller, or larger by a whole factor, to fit in it.

    Returns:
        [H, W, 3] uint8.

    Raises:
        UserError: the sheet would be too large.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = cell_size(sections[0].rows[0].pictures[0].shape, cell)
    font = ImageFont.load_default(TEXT)
    labels = [row.label for section in sections for row in section.rows]
    heads = [head for section in sections for head in section.heads]
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    indent = MARGIN + max(int(measure.textlength(text, font)) for text in labels)
    # A head may be wider than the pictures below it.
    column = max([width, *(int(measure.textlength(text, font)) for text in heads)]) + 4
    columns = max(len(section.heads) for section in sections)
    line = TEXT + 6
    titles = max(int(measure.textlength(s.title, font)) for s in sections)
    total = (
        max(indent + MARGIN + columns * column, titles + MARGIN) + MARGIN,
        sum(2 * line + len(s.rows) * (height + 4) + MARGIN for s in sections) + MARGIN,
    )
    if total[0] * total[1] > MAX_PIXELS:
        raise UserError(
            f"a sheet of {total[0]}×{total[1]} pixels is too large: ask for fewer "
            "pictures or a smaller --cell."
        )
    page = Image.new("RGB", total, PAGE)
    draw = ImageDraw.Draw(page)
    y = MARGIN
    for section in sections:
        draw.text((MARGIN, y), section.title, INK, font)
        for i, head in enumerate(section.heads):
            draw.text((indent + MARGIN + i * column, y + line), head, SOFT, font)
        y += 2 * line
        for row in section.rows:
            draw.text((MARGIN, y + (height - TEXT) // 2), row.label, INK, font)
            for i, picture in enumerate(row.pictures):
                where = (indent + MARGIN + i * column, y)
                page.paste(thumbnail(picture, (height, width)), where)
            y += height + 4
        y += MARGIN
    return np.asarray(page)


def cell_size(shape: Sequence[int], cell: int) -> tuple[int, int]:
    """(height, width) of pictures of this shape on a sheet: at most ``cell`` each."""
    scale = cell / max(shape[0], shape[1])
    if scale >= 1:
        return shape[0] * int(scale), shape[1] * int(scale)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def viewable(picture: np.ndarray) -> np.ndarray:
    """A picture of any channels as RGB: grey is repeated, channels beyond three go.

    Args:
        picture: [H, W, C] uint8.

    Returns:
        [H, W, 3] uint8.
    """
    if picture.shape[2] < 3:
        return np.repeat(picture[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(picture[:, :, :3])


def thumbnail(picture: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A picture at another size, as Pillow's image.

    Args:
        picture: [H, W, C] uint8.
        size: (height, width) in pixels.
    """
    from PIL import Image

    image = Image.fromarray(viewable(picture))
    # Enlarged pixels stay squares: the sheet shows what was drawn.
    larger = size[0] >= image.height
    how = Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
    return image.resize((size[1], size[0]), how)
