"""A square canvas in head coordinates, with a pose and one of two drawing styles."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Style = Literal["photo", "comic"]
Colour = tuple[float, float, float]
Points = np.ndarray  # [N,2] float, x right and y down, the picture is [-1, 1] x [-1, 1]

_ZOOM = 1.17
# Towards the light: from the left, above and in front.
LIGHT = (-0.45, -0.45, 0.77)
INK: Colour = (0.07, 0.05, 0.09)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Returns ``a`` with ``share`` of ``b``."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def lighter(colour: Colour, share: float) -> Colour:
    """Mixes with white."""
    return mix(colour, (1.0, 1.0, 1.0), share)


def darker(colour: Colour, share: float) -> Colour:
    """Mixes with black."""
    return mix(colour, (0.0, 0.0, 0.0), share)


def vivid(colour: Colour, gain: float) -> Colour:
    """Multiplies the distance from grey; 1 changes nothing."""
    grey = sum(colour) / 3
    red, green, blue = (min(1.0, max(0.0, grey + (c - grey) * gain)) for c in colour)
    return red, green, blue


def ellipse(
    x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360
) -> Points:
    """Returns points along an ellipse, degrees clockwise from the right."""
    angle = np.radians(np.linspace(start, end, 37))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def curve(*anchors: tuple[float, float]) -> Points:
    """Returns a smooth line (Catmull-Rom) through the anchors."""
    p = np.array([anchors[0], *anchors, anchors[-1]], dtype=float)
    t = np.linspace(0, 1, 9)[:, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    pieces = [
        b[i]
        + 0.5 * t * (c[i] - a[i])
        + t**2 * (a[i] - 2.5 * b[i] + 2 * c[i] - 0.5 * d[i])
        + t**3 * (1.5 * (b[i] - c[i]) + 0.5 * (d[i] - a[i]))
        for i in range(len(b))
    ]
    return np.concatenate(pieces)


class Canvas:
    """Draws posed shapes.

    Attributes:
        image: the RGB picture so far.
        style: ``photo`` or ``comic``.
    """

    def __init__(self, side: int, style: Style, *, yaw: float, roll: float):
        """Makes an empty canvas.

        Args:
            side: in pixels.
            style: how outlines and shadows are drawn.
            yaw: turn of the head, in radians.
            roll: tilt of the head, in radians.
        """
        self.image = Image.new("RGB", (side, side))
        self.style = style
        self.comic = style == "comic"
        self._side = side
        self._yaw = yaw
        self._cos, self._sin = math.cos(roll), math.sin(roll)

    def place(self, points: Points, depth: float | None = 0.0) -> list:
        """Projects head coordinates to pixels.

        Args:
            points: [N, 2].
            depth: how far in front of the head's axis; None means not on the head.
        """
        x, y = points[:, 0], points[:, 1]
        if depth is not None:
            # As large as in FFHQ's crop, where hair and chin nearly touch the edges.
            x, y = x * _ZOOM, (y - 0.06) * _ZOOM + 0.06
            x = x * math.cos(self._yaw) + _ZOOM * depth * math.sin(self._yaw)
            # The head turns around the neck's base.
            low = y - 0.7
            x, y = x * self._cos - low * self._sin, x * self._sin + low * self._cos
            y = y + 0.7
        placed = (np.stack([x, y], axis=1) + 1) * (self._side / 2)
        return [tuple(point) for point in placed.tolist()]

    def mask(self, points: Points, depth: float | None = 0.0) -> Image.Image:
        """Returns an L picture, 255 inside the polygon."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(self.place(points, depth), fill=255)
        return mask

    def fill(
        self,
        points: Points,
        colour: Colour,
        *,
        depth: float | None = 0.0,
        ink: float = 0.028,
    ) -> None:
        """Fills a polygon; comics outline it with a line of width ``ink``."""
        placed = self.place(points, depth)
        draw = ImageDraw.Draw(self.image)
        draw.polygon(placed, fill=_bytes(colour))
        if self.comic and ink:
            self._stroke([*placed, placed[0]], INK, ink)

    def line(
        self, points: Points, colour: Colour, width: float, *, depth: float | None = 0.0
    ) -> None:
        """Draws a line of a width in head coordinates, with round ends."""
        self._stroke(self.place(points, depth), colour, width)

    def soft(
        self,
        points: Points,
        colour: Colour,
        alpha: float,
        *,
        blur: float,
        depth: float | None = 0.0,
        within: Image.Image | None = None,
    ) -> None:
        """Blends a blurred polygon over the picture, inside ``within`` if given."""
        self.blend(self.mask(points, depth), colour, alpha, blur=blur, within=within)

    def blend(
        self,
        mask: Image.Image,
        colour: Colour,
        alpha: float,
        *,
        blur: float = 0,
        within: Image.Image | None = None,
    ) -> None:
        """Blends a colour where a mask is set."""
        radius = blur * self._side / 2
        box = _grown(mask.getbbox(), 3 * radius, self._side)
        if box is None:
            return
        # Only the part that changes: most of the time goes into blurring.
        mask = mask.crop(box)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(radius))
        if within is not None:
            mask = ImageChops.multiply(mask, within.crop(box))
        if alpha < 1:
            mask = mask.point([round(value * alpha) for value in range(256)])
        self.image.paste(_bytes(colour), box, mask)

    def shade(
        self,
        mask: Image.Image,
        centre: tuple[float, float],
        radii: tuple[float, float],
        light: tuple[float, float, float],
        amount: float,
    ) -> None:
        """Lights what the mask covers as if it were an ellipsoid.

        Args:
            mask: L picture.
            centre: of the ellipsoid, in picture coordinates.
            radii: half its width and height.
            light: unit vector towards the light (x right, y down, z to the viewer).
            amount: 0 leaves the picture, 1 makes the far side black.
        """
        box = _grown(mask.getbbox(), 0, self._side)
        if box is None:
            return
        axis = (np.arange(self._side, dtype=np.float32) + 0.5) / self._side * 2 - 1
        u = ((axis[box[0] : box[2]] - centre[0]) / radii[0])[None, :]  # [1,W]
        v = ((axis[box[1] : box[3]] - centre[1]) / radii[1])[:, None]  # [H,1]
        z = np.sqrt(np.clip(1 - u**2 - v**2, 0.02, None))
        lit = (u * light[0] + v * light[1] + z * light[2]) / np.sqrt(u**2 + v**2 + z**2)
        gain = 1 + amount * (np.clip(lit, -0.2, 1) - 0.78)  # [H,W]
        covered = np.asarray(self.image.crop(box))
        shaded = np.clip(covered * gain[:, :, None], 0, 255).astype(np.uint8)
        self.image.paste(Image.fromarray(shaded), box, mask.crop(box))

    def gradient(self, top: Colour, bottom: Colour, lean: float) -> None:
        """Fills everything with a slanted gradient."""
        axis = np.linspace(0, 1, self._side, dtype=np.float32)
        share = np.clip(axis[:, None] * (1 - abs(lean)) + axis[None, :] * lean, 0, 1)
        a, b = np.array([_bytes(top), _bytes(bottom)], np.float32)
        field = a + (b - a) * share[:, :, None]
        self.image.paste(Image.fromarray(field.astype(np.uint8)), (0, 0))

    def _stroke(self, placed: list, colour: Colour, width: float) -> None:
        pixels = max(1, round(width * self._side / 2))
        draw = ImageDraw.Draw(self.image)
        draw.line(placed, fill=_bytes(colour), width=pixels, joint="curve")
        radius = pixels / 2
        for x, y in (placed[0], placed[-1]):
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, fill=_bytes(colour))


def _grown(
    box: tuple[int, int, int, int] | None, margin: float, side: int
) -> tuple[int, int, int, int] | None:
    """Widens a box by ``margin`` pixels within the picture; None stays None."""
    if box is None:
        return None
    more = math.ceil(margin)
    left, top, right, bottom = box
    return (
        max(0, left - more),
        max(0, top - more),
        min(side, right + more),
        min(side, bottom + more),
    )


def _bytes(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * min(1.0, max(0.0, c))) for c in colour)
    return red, green, blue
