"""The square of a photo that becomes an aligned crop, from 68 landmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from stylegan_jax.errors import UserError
from stylegan_jax.faces import landmarks as marks

# Where eyes, nose and chin lie in a crop, as shares of its side: the means over 400
# aligned FFHQ photos of what dlib finds there, made symmetric about the middle.
TEMPLATE = np.array(
    [(0.3778, 0.4765), (0.6222, 0.4765), (0.5000, 0.6118), (0.5000, 0.9290)]
)
# A square with a smaller side, in pixels, is no face.
MIN_SIDE = 2.0


class NoSquare(UserError):
    """Landmarks from which no square follows."""


def ffhq_quad(points: np.ndarray) -> np.ndarray:
    """The square that FFHQ was cropped by (Karras et al. 2019, appendix C).

    With the eye centres e0 (the picture's left), e1 and the mouth's corners m0, m1:
    x' = e1 − e0, y' = (e0 + e1)/2 − (m0 + m1)/2, c = (e0 + e1)/2 − 0.1·y',
    s = max(4·|x'|, 3.6·|y'|), x = normalise(x' − rotate90(y')), y = rotate90(x); the
    square has the centre c, the axes x and y and the side s.

    Args:
        points: [68, 2] landmarks.

    Returns:
        [4, 2] float64: its top left, bottom left, bottom right and top right corner, as
        they are in the crop, in the landmarks' pixels.

    Raises:
        NoSquare: the landmarks fall together.
    """
    left = points[marks.LEFT_EYE].mean(axis=0)
    right = points[marks.RIGHT_EYE].mean(axis=0)
    mouth = (points[marks.LEFT_MOUTH] + points[marks.RIGHT_MOUTH]) / 2
    eyes = (left + right) / 2
    across = right - left
    down = mouth - eyes  # −y' of the paper: y grows downwards in a picture
    direction = across - _turned(down)
    length = np.hypot(*direction)
    half = max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    if length == 0 or 2 * half < MIN_SIDE:
        raise NoSquare("its landmarks fall together in one place")
    x = direction / length * half
    return square(eyes + 0.1 * down, x)


def template_quad(points: np.ndarray) -> np.ndarray:
    """The square that puts eyes, nose and chin where FFHQ has them on average.

    The similarity (turn, size, shift) that maps `TEMPLATE` to the eyes' centres, the
    tip of the nose and the chin with the least squared distance (Umeyama 1991). Faces
    with other proportions than people's, in comics for one, keep their chin in the
    crop, which eyes and mouth alone do not see to.

    Args:
        points: [68, 2] landmarks.

    Returns:
        [4, 2] float64; see `ffhq_quad`.

    Raises:
        NoSquare: the landmarks fall together.
    """
    targets = np.stack(
        [
            points[marks.LEFT_EYE].mean(axis=0),
            points[marks.RIGHT_EYE].mean(axis=0),
            points[marks.NOSE_TIP],
            points[marks.CHIN],
        ]
    )
    # A similarity of the plane is z → a·z + b on complex numbers: least squares in one
    # unknown once both sides are centred.
    source, target = TEMPLATE @ (1, 1j), targets @ (1, 1j)
    centred = source - source.mean()
    a = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred)
    if abs(a) < MIN_SIDE:
        raise NoSquare("its landmarks fall together in one place")
    centre = target.mean() + a * (0.5 + 0.5j - source.mean())
    return square(np.array([centre.real, centre.imag]), np.array([a.real, a.imag]) / 2)


def square(centre: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The corners of a square: top left, bottom left, bottom right, top right.

    Args:
        centre: [2].
        x: [2], from the centre to the middle of the right side.
    """
    y = _turned(x)
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def side(quad: np.ndarray) -> float:
    """The side of a square in pixels."""
    return float(np.hypot(*(quad[3] - quad[0])))


def _turned(vector: np.ndarray) -> np.ndarray:
    """A quarter turn that takes right to down."""
    return np.array([-vector[1], vector[0]])


# How crops are aligned: `--mode`.
MODES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "ffhq": ffhq_quad,
    "eyes-nose-chin": template_quad,
}
