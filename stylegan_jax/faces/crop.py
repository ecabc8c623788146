"""From a photo and a square in it to an aligned crop, as FFHQ was made."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from stylegan_jax.errors import UserError
from stylegan_jax.faces.quad import side

# FFHQ's 1024 px crops were sampled at 4096 px and made smaller.
SUPERSAMPLING = 4
MAX_SAMPLED = 4096
# Of the padded picture: beyond it a face lies mostly outside of its photo.
MAX_PADDED_PIXELS = 100_000_000


class Outside(UserError):
    """A square too far outside of its picture to make a crop."""


class Crop(NamedTuple):
    """An aligned crop.

    Attributes:
        image: RGB, size × size.
        transform: [3, 3] float64; takes (x, y, 1) of the crop to the upright photo, in
            continuous pixels: the first pixel spans 0 to 1. Its inverse goes back.
        padded: share of the crop that lies outside of the photo, 0 to 1.
    """

    image: Image.Image
    transform: np.ndarray
    padded: float


def sampled_side(size: int) -> int:
    """The side at which a crop of ``size`` pixels is sampled before it is shrunk."""
    return size * max(1, min(SUPERSAMPLING, MAX_SAMPLED // size))


def crop_square(
    image: Image.Image,
    quad: np.ndarray,
    size: int,
    *,
    sampled: int | None = None,
) -> Crop:
    """Cuts a square out of a photo (Karras et al. 2019, appendix C).

    1. A photo of more than twice the pixels that are needed is made smaller (Lanczos).
    2. It is cropped around the square.
    3. Where the square leaves the photo, it is continued by reflection, and blurred and
       faded into its median colour, the more the farther out.
    4. The square is sampled (bilinear) and made smaller to the final size (Lanczos).

    Args:
        image: RGB.
        quad: [4, 2] corners, in pixels whose centres are whole numbers; see
            `quad.ffhq_quad`.
        size: side of the crop in pixels.
        sampled: side at which it is sampled; None means `sampled_side`.

    Returns:
        The crop; the same for the same arguments everywhere.

    Raises:
        Outside: the square lies (mostly) outside of the photo.
    """
    sampled = sampled or sampled_side(size)
    width, height = image.size
    image, quad = _shrink(image, quad.astype(np.float64), size)
    scale = np.array([width / image.size[0], height / image.size[1]])
    padded = outside_share(quad, image.size)
    image, quad, origin = _crop(image, quad)
    image, quad, added = _pad(image, quad)
    origin = origin - added
    corners = quad + 0.5  # Pillow counts from the first pixel's edge
    cut = image.transform(
        (sampled, sampled),
        Image.Transform.QUAD,
        tuple(corners.flatten()),
        Image.Resampling.BILINEAR,
    )
    if sampled != size:
        cut = cut.resize((size, size), Image.Resampling.LANCZOS)
    transform = np.eye(3)
    transform[:2, 0] = (corners[3] - corners[0]) / size * scale
    transform[:2, 1] = (corners[1] - corners[0]) / size * scale
    transform[:2, 2] = (corners[0] + origin) * scale
    return Crop(cut, transform, padded)


def outside_share(quad: np.ndarray, size: tuple[int, int]) -> float:
    """The share of a square that lies outside of a picture of (width, height)."""
    steps = (np.arange(64) + 0.5) / 64
    down, across = np.meshgrid(steps, steps, indexing="ij")
    places = (
        quad[0]
        + across[..., None] * (quad[3] - quad[0])
        + down[..., None] * (quad[1] - quad[0])
    )  # [64,64,2]
    inside = (places >= -0.5) & (places <= np.array(size) - 0.5)
    return float(1 - inside.all(axis=-1).mean())


def _shrink(
    image: Image.Image, quad: np.ndarray, size: int
) -> tuple[Image.Image, np.ndarray]:
    """Makes the photo smaller by a whole factor, so that sampling does not alias."""
    factor = int(side(quad) / size * 0.5)
    if factor <= 1:
        return image, quad
    smaller = tuple(max(1, round(length / factor)) for length in image.size)
    resized = image.resize((smaller[0], smaller[1]), Image.Resampling.LANCZOS)
    return resized, quad / factor


def _bounds(quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole-pixel box around the square: its (x, y) minimum and maximum."""
    return (
        np.floor(quad.min(axis=0)).astype(np.int64),
        np.ceil(quad.max(axis=0)).astype(np.int64),
    )


def _border(quad: np.ndarray) -> int:
    """Pixels kept around the square, for the filters that follow."""
    return max(round(side(quad) * 0.1), 3)


def _crop(
    image: Image.Image, quad: np.ndarray
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """Cuts the box around the square; returns it, the new square and its origin."""
    border = _border(quad)
    low, high = _bounds(quad)
    low = np.maximum(low - border, 0)
    high = np.minimum(high + border, image.size)
    if np.any(high <= low):
        raise Outside("its face lies outside of the picture")
    if not np.all(high - low == image.size):
        image = image.crop((*low.tolist(), *high.tolist()))
        quad = quad - low
    else:
        low = np.zeros(2, np.int64)
    return image, quad, low


def _pad(
    image: Image.Image, quad: np.ndarray
) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """Continues the picture where the square leaves it; returns the pixels added."""
    border = _border(quad)
    low, high = _bounds(quad)
    before = np.maximum(border - low, 0)
    after = np.maximum(high - image.size + border, 0)
    if max(*before, *after) <= border - 4:
        return image, quad, np.zeros(2, np.int64)
    least = round(side(quad) * 0.3)
    before, after = np.maximum(before, least), np.maximum(after, least)
    if math.prod((image.size + before + after).tolist()) > MAX_PADDED_PIXELS:
        raise Outside("its face lies outside of the picture for the most part")
    pixels = np.pad(
        np.asarray(image, np.float32),
        ((before[1], after[1]), (before[0], after[0]), (0, 0)),
        mode="reflect",
    )
    faded = _fade(pixels, before, after, blur=side(quad) * 0.02)
    return Image.fromarray(faded), quad + before, before


def _fade(
    pixels: np.ndarray, before: np.ndarray, after: np.ndarray, *, blur: float
) -> np.ndarray:
    """Blurs the added pixels, and fades them into the median colour farther out.

    Args:
        pixels: [H, W, 3] float32, 0 to 255.
        before: (x, y) pixels added left and above.
        after: (x, y) pixels added right and below.
        blur: standard deviation in pixels.

    Returns:
        [H, W, 3] uint8.
    """
    from scipy import ndimage

    def nearness(length: int, first: int, last: int) -> np.ndarray:
        """0 at the picture's edge and outwards up to 1; negative inside."""
        place = np.arange(length, dtype=np.float32)
        return 1 - np.minimum(place / first, (length - 1 - place) / last)

    height, width = pixels.shape[:2]
    across = nearness(width, int(before[0]), int(after[0]))
    down = nearness(height, int(before[1]), int(after[1]))
    mask = np.maximum(across[None, :], down[:, None])[..., None]  # [H,W,1]
    blurred = ndimage.gaussian_filter(pixels, [blur, blur, 0])
    pixels = pixels + (blurred - pixels) * np.clip(mask * 3 + 1, 0, 1)
    pixels += (np.median(pixels, axis=(0, 1)) - pixels) * np.clip(mask, 0, 1)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
