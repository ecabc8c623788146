"""The picture of a map: panels side by side, with thumbnails and names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from stylegan_jax.checkpoints.contact_sheet import (
    INK,
    MARGIN,
    PAGE,
    SOFT,
    cell_size,
    thumbnail,
)
from stylegan_jax.latents.maps import METHODS, Map
from stylegan_jax.pipelines.map_layout import place_boxes
from stylegan_jax.pipelines.page_text import (
    cut,
    drawable,
    font_of,
    width_of,
    wrapped,
)

PANEL, LINE, ACCENT = (255, 255, 255), (225, 221, 213), (47, 111, 181)
# Sides of a panel in pixels: for a dozen points, and for as many as there may be.
SMALL, LARGE, FEW, MANY = 640, 1200, 16, 24
# The share of a panel that boxes cover at most, and a box's side in pixels.
COVERED, LARGEST_BOX = 0.4, 112
# More would be too small to be read.
MAX_POINTS = 800
TITLE, TEXT = 20, 15


@dataclasses.dataclass(frozen=True)
class Panel:
    """One map of a picture.

    Attributes:
        title: what the points are, such as ``W+``.
        map: where they are.
    """

    title: str
    map: Map


def draw_map(
    panels: Sequence[Panel],
    names: Sequence[str],
    pictures: np.ndarray | None,
    *,
    side: int | None = None,
) -> np.ndarray:
    """Draws maps of the same things side by side.

    A thumbnail is at its point, or near it where it would cover another one; a line
    leads from it to a dot at the point then, unless there are too many. Thumbnails are
    smaller the more there are.

    Args:
        panels: at least one.
        names: of the points, at most `MAX_POINTS`; the first word is what remains of
            a name where there is no room for more.
        pictures: [N, H, W, C] uint8; None for names alone.
        side: of a panel, in pixels; None chooses it by the number of points.

    Returns:
        [H, W, 3] uint8.
    """
    from PIL import Image

    side = side or panel_side(len(names))
    captions = [_caption(panel, side) for panel in panels]
    line = TEXT + 5
    bottom = max(len(lines) for lines in captions) * line
    top = TITLE + 12
    page = Image.new(
        "RGB",
        (
            len(panels) * (side + MARGIN) + MARGIN,
            top + side + 26 + bottom + 2 * MARGIN,
        ),
        PAGE,
    )
    for i, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        corner = MARGIN + i * (side + MARGIN), MARGIN
        _draw_panel(page, corner, side, panel, caption, names, pictures)
    return np.asarray(page)


def panel_side(number: int) -> int:
    """A panel's side for so many points."""
    if number <= FEW:
        return SMALL
    return min(LARGE, round(SMALL * math.sqrt(number / FEW)))


def box_side(number: int, side: int) -> int:
    """The side of each of so many boxes in a panel."""
    return min(LARGEST_BOX, int(side * math.sqrt(COVERED / number)))


def _caption(panel: Panel, width: int) -> list[str]:
    notes = list(panel.map.notes)
    if len(panel.map.points) > MANY:
        notes.append("pictures stand as near to their points as there is room")
    text = "; ".join(notes)
    return wrapped(text[:1].upper() + text[1:] + ".", font_of(TEXT), width)


def _draw_panel(page, corner, side, panel: Panel, caption, names, pictures) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(page)
    left, top = corner
    title = f"{panel.title}: {METHODS[panel.map.method]}"
    draw.text((left, top), cut(title, font_of(TITLE), side), INK, font_of(TITLE))
    top += TITLE + 12
    draw.rectangle((left, top, left + side - 1, top + side - 1), PANEL, LINE)
    _draw_points(page, draw, (left, top), side, panel.map, names, pictures)
    font, below = font_of(TEXT), top + side + 5
    across, up = panel.map.axes[:2]
    draw.text((left, below), f"across: {across}", SOFT, font)
    text = f"up: {up}"
    draw.text((left + side - width_of(text, font), below), text, SOFT, font)
    for i, words in enumerate(caption):
        draw.text((left, below + (i + 1) * (TEXT + 5)), words, SOFT, font)


def _draw_points(page, draw, corner, side, laid: Map, names, pictures) -> None:
    box = box_side(len(names), side)
    places = _in_panel(laid.points[:, :2], side, box)
    size = 14 if box >= 72 else 11
    font, label = font_of(size), size + 4
    picture = None if pictures is None else cell_size(pictures.shape[1:3], box - 4)
    if picture is not None and picture[0] > box - 4:  # a small picture was enlarged
        picture = None
    shape = (box, label + (0 if picture is None else picture[0]) + 4)
    centres = place_boxes(places, shape, (side, side))
    places, centres = places + corner, centres + corner
    # Among many, lines and dots would hide the pictures.
    moved = np.abs(places - centres).max(1) > box / 4
    moved &= len(names) <= MANY
    for place, centre in zip(places[moved], centres[moved], strict=True):
        draw.line([*place, *centre], SOFT, 1)
    for i, (x, y) in enumerate(centres):
        top = y - shape[1] / 2 + 2
        if picture is not None:
            image = thumbnail(pictures[i], picture)
            page.paste(image, (round(x - picture[1] / 2), round(top)))
            top += picture[0]
        text = _label(names[i], font, box - 2)
        where = round(x - width_of(text, font) / 2), round(top)
        draw.rectangle(
            (*where, where[0] + width_of(text, font), where[1] + label), PANEL
        )
        draw.text((where[0], where[1] + 1), text, INK, font)
    for x, y in places[moved]:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), ACCENT, PANEL)


def _label(name: str, font, width: int) -> str:
    """A name, cut to fit, or its first word where little room is left."""
    text = drawable(name)
    if width_of(text, font) > width and width < 64:
        text = text.split()[0]
    return cut(text, font, width)


def _in_panel(points: np.ndarray, side: int, box: int) -> np.ndarray:
    """Points as pixels: one scale for both axes, the second axis upwards."""
    low, high = points.min(0), points.max(0)
    span = (high - low).max() or 1.0
    room = side - box - 16
    centred = (points - (low + high) / 2) / span * room
    return centred * (1, -1) + side / 2
