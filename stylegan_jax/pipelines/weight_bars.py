"""Bars that say how much of each face a blend has, beside its picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from stylegan_jax.checkpoints.contact_sheet import (
    INK,
    MARGIN,
    MAX_PIXELS,
    PAGE,
    SOFT,
    cell_size,
    thumbnail,
)
from stylegan_jax.errors import UserError
from stylegan_jax.latents.shares import labels
from stylegan_jax.pipelines.page_text import cut, font_of, width_of

BAR, AWAY, TRACK = (47, 111, 181), (196, 87, 43), (236, 232, 224)
# Rows of faces; of more, those with the largest shares are shown.
MOST_ROWS = 12
# A row's height is between these, and a name's and the bars' widths at most these.
LOWEST, HIGHEST = 20, 34
NAME, BARS = 130, 150


@dataclasses.dataclass(frozen=True)
class Bars:
    """How bars are drawn: the same for all pictures of a sheet and frames of a film.

    Attributes:
        names: of all faces, as `latents.shares.labels` gives them.
        photos: [N, h, w, 3] uint8 thumbnails, or None.
        rows: the faces that are shown, in order.
        full: the share that a whole bar means.
        negative: whether bars may go to the left.
        cell: largest side of the picture.
        shape: of the pictures, (H, W, C).
    """

    names: Sequence[str]
    photos: np.ndarray | None
    rows: Sequence[int]
    full: float
    negative: bool
    cell: int
    shape: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        photos: np.ndarray | None,
        shares: np.ndarray,
        *,
        cell: int,
        shape: tuple[int, int, int],
    ) -> Bars:
        """Chooses rows and scale for all of shares [M, N]."""
        largest = np.abs(shares).max(0)
        order = np.argsort(-largest, kind="stable")[:MOST_ROWS]
        return cls(
            labels(names),
            photos,
            sorted(order.tolist()),
            float(largest.max()),
            bool((shares < 0).any()),
            cell,
            shape,
        )

    @property
    def picture(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return cell_size(self.shape, self.cell)

    @property
    def row_height(self) -> int:
        """Of a bar's row."""
        return min(HIGHEST, max(LOWEST, self.picture[0] // self._lines))

    @property
    def _lines(self) -> int:
        return len(self.rows) + (len(self.rows) < len(self.names))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a picture with its bars."""
        height = max(self.picture[0], self._lines * self.row_height)
        return height, self.picture[1] + MARGIN + self._width

    @property
    def _font(self):
        return font_of(min(15, self.row_height - 6))

    @property
    def _label(self) -> int:
        """Width of the widest name, its number included."""
        widths = [width_of(self._name(i), self._font) for i in self.rows]
        return min(NAME, max([*widths, width_of("others", self._font)]))

    @property
    def _thumb(self) -> int:
        return 0 if self.photos is None else self.row_height

    @property
    def _width(self) -> int:
        percent = width_of("-100%", self._font)
        return self._thumb + self._label + 8 + BARS + 6 + percent

    def _name(self, face: int) -> str:
        return cut(self.names[face], self._font, NAME)

    def draw(self, picture: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """A picture with its bars to the right.

        Args:
            picture: [H, W, C] uint8.
            shares: [N], absolute values that add up to 1.

        Returns:
            [h, w, 3] uint8, of `size`.
        """
        from PIL import Image, ImageDraw

        height, width = self.size
        page = Image.new("RGB", (width, height), PAGE)
        top = (height - self.picture[0]) // 2
        page.paste(thumbnail(picture, self.picture), (0, top))
        draw = ImageDraw.Draw(page)
        left = self.picture[1] + MARGIN
        y = (height - self._lines * self.row_height) // 2
        for face in self.rows:
            if self.photos is not None:
                self._draw_photo(page, face, left, y)
            self._draw_row(draw, self._name(face), float(shares[face]), left, y)
            y += self.row_height
        if self._lines > len(self.rows):
            rest = float(np.abs(np.delete(shares, self.rows)).sum())
            self._draw_row(draw, "others", rest, left, y)
        return np.asarray(page)

    def _draw_photo(self, page, face: int, left: int, y: int) -> None:
        assert self.photos is not None
        photo, room = self.photos[face], self.row_height - 3
        scale = room / max(photo.shape[:2])
        size = tuple(max(1, round(side * scale)) for side in photo.shape[:2])
        page.paste(thumbnail(photo, (size[0], size[1])), (left, y + 1))

    def _draw_row(self, draw, name: str, share: float, left: int, y: int) -> None:
        font, middle = self._font, y + self.row_height / 2
        ink = INK if share else SOFT
        text = left + self._thumb
        draw.text((text, middle), name, ink, font, anchor="lm")
        start, thick = text + self._label + 8, self.row_height * 0.28
        draw.rectangle((start, middle - thick, start + BARS, middle + thick), TRACK)
        zero = start + BARS / 2 if self.negative else start
        length = share / self.full * (BARS / 2 if self.negative else BARS)
        if share:
            ends = sorted((zero, zero + length))
            box = ends[0], middle - thick, ends[1], middle + thick
            draw.rectangle(box, BAR if share > 0 else AWAY)
        if self.negative:
            draw.line((zero, y + 2, zero, y + self.row_height - 2), SOFT, 1)
        draw.text((start + BARS + 6, middle), _percent(share), ink, font, anchor="lm")


def _percent(share: float) -> str:
    if share and abs(share) < 0.005:
        return "<1%"
    return f"{share:.0%}"


def draw_blends(
    bars: Bars, pictures: Sequence[np.ndarray], shares: np.ndarray
) -> np.ndarray:
    """Pictures with their bars on one page, numbered where there are several.

    Args:
        bars: how they are drawn.
        pictures: [H, W, C] uint8, M of them.
        shares: [M, N].

    Returns:
        [h, w, 3] uint8.

    Raises:
        UserError: the page would be too large.
    """
    from PIL import Image, ImageDraw

    (height, width), number = bars.size, len(pictures)
    head = 24 if number > 1 else 0
    step = height + head + 2 * MARGIN, width + 3 * MARGIN
    # About three to two, as screens are.
    columns = min(number, max(1, round((1.5 * number * step[0] / step[1]) ** 0.5)))
    rows = -(-number // columns)
    total = columns * step[1] + MARGIN, rows * step[0] + MARGIN
    if total[0] * total[1] > MAX_PIXELS:
        raise UserError(
            f"a page of {total[0]}×{total[1]} pixels is too large: draw fewer blends, "
            "or a smaller --cell."
        )
    page = Image.new("RGB", total, PAGE)
    draw = ImageDraw.Draw(page)
    for i, (picture, own) in enumerate(zip(pictures, shares, strict=True)):
        row, column = divmod(i, columns)
        x, y = 2 * MARGIN + column * step[1], MARGIN + row * step[0]
        if head:
            draw.text((x, y), f"blend {i + 1}", SOFT, font_of(15))
        page.paste(Image.fromarray(bars.draw(picture, own)), (x, y + head))
    return np.asarray(page)
