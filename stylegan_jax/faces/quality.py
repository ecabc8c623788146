"""What can be measured of a picture of a face, without any network."""

from __future__ import annotations

import numpy as np
from PIL import Image

from stylegan_jax.faces import landmarks as marks

# Sharpness is measured at one size, or a larger picture would count as blurrier.
SHARPNESS_SIDE = 256
# The part of the picture that counts, around its middle: backgrounds are often blurred,
# white or black on purpose.
CENTRAL = 0.6
HASH_BITS = 64
_HASH_SIDE = 32


def central(image: Image.Image) -> Image.Image:
    """The middle of a picture, `CENTRAL` of its width and height."""
    width, height = image.size
    left, top = width * (1 - CENTRAL) / 2, height * (1 - CENTRAL) / 2
    box = (round(left), round(top), round(width - left), round(height - top))
    return image.crop((*box[:2], max(box[2], box[0] + 1), max(box[3], box[1] + 1)))


def sharpness(grey: Image.Image) -> float:
    """Standard deviation of the Laplacian of the middle, in grey levels.

    The Laplacian (four neighbours) of the picture made to fit `SHARPNESS_SIDE`; a
    smaller picture is taken as it is. Dark and flat pictures have less of it.

    Args:
        grey: mode L.
    """
    grey = grey.copy()
    grey.thumbnail((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BOX)
    x = np.asarray(central(grey), np.float64)
    if min(x.shape) < 3:
        return 0.0
    laplacian = (
        x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    )
    return float(laplacian.std())


def exposure(grey: Image.Image) -> dict[str, float]:
    """Brightness (mean), contrast (standard deviation) and clipping of the middle.

    Args:
        grey: mode L.

    Returns:
        ``brightness`` and ``contrast`` in grey levels; ``clipped``, the share of pixels
        that are black (below 3) or white (above 252).
    """
    x = np.asarray(central(grey), np.float64)
    return {
        "brightness": float(x.mean()),
        "contrast": float(x.std()),
        "clipped": float(np.mean((x < 3) | (x > 252))),
    }


def perceptual_hash(grey: Image.Image) -> int:
    """A 64-bit hash that resizing, recompression and brightness barely change.

    The signs, against their median, of the 8×8 lowest frequencies without the constant
    one of the cosine transform of the picture at 32×32 (Zauner 2010, "pHash").

    Args:
        grey: mode L.

    Returns:
        An integer of `HASH_BITS` bits; pictures compare by the bits that differ.
    """
    from scipy import fft

    side = (_HASH_SIDE, _HASH_SIDE)
    x = np.asarray(grey.resize(side, Image.Resampling.BOX), np.float64)
    low = fft.dctn(x, norm="ortho")[:9, :9].flatten()
    # In the order of the frequency, so that the 64 lowest but the constant remain.
    order = np.argsort(
        np.add.outer(np.arange(9), np.arange(9)).flatten(), kind="stable"
    )
    values = low[order[1 : HASH_BITS + 1]]
    bits = values > np.median(values)
    return int("".join("1" if bit else "0" for bit in bits), 2)


def pose(points: np.ndarray) -> dict[str, float]:
    """How a head is turned and what its eyes and mouth do, roughly.

    Args:
        points: [68, 2] landmarks, in any similarity of the picture.

    Returns:
        ``yaw``: the tip of the nose between the eyes, along their axis: 0 frontal, −1
        above the one eye's centre and 1 above the other's (positive: towards the
        picture's right). ``eyes``: height over width of the more closed eye (Soukupová
        and Čech 2016), about 0.3 open and 0.1 closed. ``mouth``: height over width of
        the gap between the lips, 0 closed.
    """
    left = points[marks.LEFT_EYE].mean(axis=0)
    right = points[marks.RIGHT_EYE].mean(axis=0)
    across = right - left
    length = float(np.hypot(*across)) or 1.0
    nose = points[marks.NOSE_TIP] - (left + right) / 2
    yaw = float(nose @ across) / length**2 * 2
    eyes = min(_openness(points[36:42]), _openness(points[42:48]))
    inner = points[60:68]
    mouth = np.hypot(*(inner[2] - inner[6])) / (np.hypot(*(inner[0] - inner[4])) or 1.0)
    return {"yaw": yaw, "eyes": eyes, "mouth": float(mouth)}


def _openness(eye: np.ndarray) -> float:
    """Height over width of an eye's six points, in order from its corner."""
    heights = np.hypot(*(eye[1] - eye[5])) + np.hypot(*(eye[2] - eye[4]))
    return float(heights / (2 * (np.hypot(*(eye[3] - eye[0])) or 1.0)))
