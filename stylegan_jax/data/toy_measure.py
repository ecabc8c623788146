"""Measures toy faces from their pixels, so that an edit of them can be judged.

No network takes part, hence nothing that was trained on what it should judge:

1. The pose. The head's features are mirror images of each other in head coordinates
   (`toy_canvas.Canvas.place`), wherever the head looks. So the yaw and the roll are
   those under which the left half is like the mirrored right half.
2. The mouth. What is around it is sampled in head coordinates, mirrored halves are
   averaged, and brightness and redness are made comparable between skins.
3. The smile: a fixed quadratic form of that patch's cosine coefficients. Its numbers
   are a regression on drawn faces (`toy_calibration`), whose smiles are known.

Everything is looked at in 32 px, whatever the size: readings of one face in two sizes
agree, and blurry faces, such as a generator's, are read like sharp ones.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.data.toy_numbers import LENGTHS, NUMBERS, ORIGIN
from stylegan_jax.errors import UserError

MIN_SIZE = 16

# As `toy_canvas` draws: how large the head is in the picture.
_ZOOM = 1.17
# Pictures that are worked on together; always this many, so that a picture's reading
# does not depend on its company.
_CHUNK = 64
_LOOKED_AT, _SIDE = 32, 64
_DEGREES = np.pi / 180
_STEP = 3 * _DEGREES
_YAWS, _ROLLS = np.arange(-9, 10) * _STEP, np.arange(-3, 4) * _STEP
# A turn of 0.3 and a tilt of 0.1 radians cost a hundredth of the likeness: decides
# where there is nothing to see.
_PRIOR, _YAW_SCALE, _ROLL_SCALE = 0.02, 0.3, 0.1
# Poses less alike by a fiftieth count a third as much.
_SHARPNESS = 50

# The eyes, the nose and the mouth: rows of head coordinates, and how far in front of
# the head's axis they are.
_ROWS = np.concatenate(
    [np.linspace(-0.2, 0.06, 8), np.linspace(0.12, 0.26, 4), np.linspace(0.3, 0.56, 8)]
)
_DEPTHS = np.repeat([0.3, 0.46, 0.38], [8, 4, 8])
_COLUMNS = np.linspace(0.03, 0.39, 10)
# Around the mouth.
_MOUTH_Y, _MOUTH_X, _MOUTH_DEPTH = (
    np.linspace(0.24, 0.66, 14),
    np.linspace(0.015, 0.32, 8),
    0.38,
)
# Beside the nose: skin without beard, fringe or glasses.
_CHEEK_Y, _CHEEK_X, _CHEEK_DEPTH = (
    np.linspace(0.12, 0.22, 4),
    np.linspace(0.12, 0.26, 4),
    0.33,
)
# Cosines in y and in x: of the linear and of the quadratic terms.
_LINEAR, _QUADRATIC = (8, 4), (5, 3)

Array = np.ndarray


class ToyReader:
    """Reads a toy face's attributes off its pixels.

    A reader as `directions fit`, `pairs` and `edit` take it; they name it ``toy``.

    Attributes:
        names: ``smile`` (as `toy_traits.Traits.smile`: about -0.5 is sad, 1 laughs),
            ``skin`` (0 light to 1 dark), ``yaw`` and ``roll`` (degrees).
        kinds: ``number`` for each.
        document: what it is, for the provenance of what is made with it.
    """

    names: tuple[str, ...] = ("smile", "skin", "yaw", "roll")

    def __init__(self, weights: Mapping[str, Array] | None = None):
        """Takes the committed numbers.

        Args:
            weights: others (`toy_calibration.calibrate`).
        """
        self._weights = _committed() if weights is None else dict(weights)

    @property
    def kinds(self) -> dict[str, str]:
        """Whether an attribute is a ``number`` or ``binary``, by name."""
        return dict.fromkeys(self.names, "number")

    @property
    def document(self) -> dict[str, Any]:
        """What it is, as JSON."""
        return {"reader": "toy", "attributes": list(self.names), "numbers": ORIGIN}

    def read(self, pictures: Array) -> dict[str, Array]:
        """Measures pictures.

        Args:
            pictures: uint8 [N, S, S, 3], square, of at least 16 pixels; below 32 the
                smile is hardly there to be seen.

        Returns:
            float32 [N] by name. A picture's readings do not depend on the others.

        Raises:
            UserError: pictures of another kind.
        """
        _check(pictures)
        found: dict[str, list[Array]] = {name: [] for name in self.names}
        for start in range(0, len(pictures), _CHUNK):
            part = pictures[start : start + _CHUNK]
            real = len(part)
            part = np.concatenate(
                [part, np.zeros_like(part[:1]).repeat(_CHUNK - real, 0)]
            )
            seen = look(part)
            read = {
                **_apply(seen, self._weights),
                "yaw": seen["yaw"] / _DEGREES,
                "roll": seen["roll"] / _DEGREES,
            }
            for name, values in found.items():
                values.append(read[name][:real].astype(np.float32))
        empty = np.zeros(0, np.float32)
        return {
            name: np.concatenate([empty, *values]) for name, values in found.items()
        }


def _check(pictures: Array) -> None:
    shape = pictures.shape
    if (
        pictures.dtype != np.uint8
        or len(shape) != 4
        or shape[3] != 3
        or shape[1] != shape[2]
        or shape[1] < MIN_SIZE
    ):
        raise UserError(
            f"toy faces are measured in square RGB pictures (uint8) of at least "
            f"{MIN_SIZE} pixels, these are {pictures.dtype} {list(shape)}: choose "
            "another reader for them."
        )


def look(pictures: Array) -> dict[str, Array]:
    """What the readings are computed from.

    Args:
        pictures: uint8 [N, S, S, 3].

    Returns:
        ``yaw`` and ``roll`` [N] in radians, ``mouth`` [N, K1] (a 1, then the patch's
        linear and quadratic terms), ``skin`` [N, K2] (a 1, then the cheeks' colour and
        its products), ``style`` [N, K3] (a 1, then linear terms and the colour's).
    """
    planes = pictures.astype(np.float32) / 255
    for axis in (1, 2):
        planes = _resized(planes, axis)
    bright = planes.mean(-1)
    # Lips are redder than skin and beards; nearly the same in light and in shadow.
    red = (planes[..., 0] - planes[..., 1]) / (planes.sum(-1) + 0.15)
    yaw, roll = _pose(bright, red)
    grid = _grid(_MOUTH_Y, _MOUTH_X, _MOUTH_DEPTH)
    patch = _folded(_pixels_first(bright, red), grid, yaw, roll)
    patch = patch.reshape(-1, len(_MOUTH_Y), len(_MOUTH_X), 2)
    linear, quadratic = _terms(patch)
    cheeks = _folded(
        planes.reshape(len(planes), -1, 3).swapaxes(0, 1),
        _grid(_CHEEK_Y, _CHEEK_X, _CHEEK_DEPTH),
        yaw,
        roll,
    ).mean(1)
    one = np.ones((len(planes), 1))
    skin = np.concatenate([one, cheeks, _products(cheeks)], axis=1)
    return {
        "yaw": yaw,
        "roll": roll,
        "mouth": np.concatenate([one, linear, quadratic], axis=1),
        "skin": skin,
        "style": np.concatenate([skin, linear], axis=1),
    }


def _apply(seen: dict[str, Array], weights: Mapping[str, Array]) -> dict[str, Array]:
    """Smile and skin: those of the two styles, mixed as the picture looks like them."""

    def dot(terms: str, name: str) -> Array:
        return (seen[terms] * weights[name]).sum(1)

    comic = np.clip(dot("style", "style"), 0, 1)
    return {
        name: (1 - comic) * dot(terms, f"{name}_photo")
        + comic * dot(terms, f"{name}_comic")
        for name, terms in (("smile", "mouth"), ("skin", "skin"))
    }


@functools.cache
def _committed() -> dict[str, Array]:
    numbers = np.array(NUMBERS.split(), float)
    ends = np.cumsum(list(LENGTHS.values()))
    return dict(zip(LENGTHS, np.split(numbers, ends[:-1]), strict=True))


def _resized(planes: Array, axis: int) -> Array:
    """Averages an axis down to 32 pixels, then interpolates to 64.

    Sums and no matrix product: a product's rounding, and with many threads its time,
    would depend on what else is computed.
    """
    planes = np.moveaxis(planes, axis, 1)
    size = planes.shape[1]
    sums = np.cumsum(planes, axis=1, dtype=np.float64)
    sums = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)
    edges = np.arange(_LOOKED_AT + 1) * size / _LOOKED_AT
    whole = np.minimum(edges.astype(int), size - 1)
    share = (edges - whole).reshape(-1, *[1] * (planes.ndim - 2))
    until = sums[:, whole] * (1 - share) + sums[:, whole + 1] * share
    small = np.diff(until, axis=1) * (_LOOKED_AT / size)
    before, after = (
        small[:, [0, *range(_LOOKED_AT - 1)]],
        small[:, [*range(1, _LOOKED_AT), _LOOKED_AT - 1]],
    )
    double = np.stack([small * 0.75 + before * 0.25, small * 0.75 + after * 0.25], 2)
    double = double.reshape(len(planes), _SIDE, *planes.shape[2:])
    return np.moveaxis(double.astype(np.float32), 1, axis)


def _grid(y: Array, x: Array, depth: float | Array) -> tuple[Array, Array, Array]:
    """Points of head coordinates, row by row: x, y, depth; [K] each."""
    depths = np.broadcast_to(depth, y.shape)
    return np.tile(x, len(y)), np.repeat(y, len(x)), np.repeat(depths, len(x))


def _place(
    points: tuple[Array, Array, Array], yaw: Array, roll: Array, side: int
) -> tuple[Array, Array]:
    """Where points of the right (1) or of the left (-1) half are seen: x, y in [-1, 1].

    The drawing's own projection (`toy_canvas.Canvas.place`).
    """
    x, y, depth = points
    x, y = side * x * _ZOOM, (y - 0.06) * _ZOOM + 0.06
    x = x * np.cos(yaw) + _ZOOM * depth * np.sin(yaw)
    low = y - 0.7
    return (
        x * np.cos(roll) - low * np.sin(roll),
        x * np.sin(roll) + low * np.cos(roll) + 0.7,
    )


def _corners(x: Array, y: Array) -> list[tuple[Array, Array]]:
    """Bilinear interpolation: indices of four pixels and their weights."""
    fx, fy = ((np.clip((v + 1) * _SIDE / 2 - 0.5, 0, _SIDE - 1.001)) for v in (x, y))
    x0, y0 = fx.astype(int), fy.astype(int)
    dx, dy = fx - x0, fy - y0
    first = y0 * _SIDE + x0
    return [
        (first + below * _SIDE + right, (w * v).astype(np.float32)[..., None])
        for below, v in ((0, 1 - dy), (1, dy))
        for right, w in ((0, 1 - dx), (1, dx))
    ]


def _pixels_first(*maps: Array) -> Array:
    """[P, N, C] of maps [N, H, W]: a point of all pictures lies together."""
    joined = np.stack(maps, axis=-1).reshape(len(maps[0]), -1, len(maps))
    return np.ascontiguousarray(joined.swapaxes(0, 1))


def _pose(bright: Array, red: Array) -> tuple[Array, Array]:
    """Yaw and roll [N] in radians under which the face is most like its mirror image.

    Args:
        bright: [N, 64, 64] brightness.
        red: [N, 64, 64] redness.
    """
    # Changes from row to row: light from one side hardly shows in them.
    changes = _pixels_first(
        np.gradient(bright, axis=1) / (bright + 0.08), 4 * np.gradient(red, axis=1)
    )
    points = _grid(_ROWS, _COLUMNS, _DEPTHS)
    likeness = np.empty((changes.shape[1], len(_YAWS), len(_ROLLS)))
    for i, yaw in enumerate(_YAWS):
        for j, roll in enumerate(_ROLLS):
            right, left = (
                sum(
                    changes[index] * weight[:, None]
                    for index, weight in _corners(*_place(points, yaw, roll, side))
                )
                for side in (1, -1)
            )
            power = (right * right + left * left).sum(0)
            like = 2 * (right * left).sum(0) / np.maximum(power, 2e-4)
            cost = (yaw / _YAW_SCALE) ** 2 + (roll / _ROLL_SCALE) ** 2
            likeness[:, i, j] = like.mean(1) - _PRIOR / 2 * cost
    # The mean of all poses by their likeness: unlike the best one's place, it does not
    # jump when a face changes a little.
    share = np.exp(_SHARPNESS * (likeness - likeness.max((1, 2), keepdims=True)))
    share /= share.sum((1, 2), keepdims=True)
    return share.sum(2) @ _YAWS, share.sum(1) @ _ROLLS


def _folded(
    planes: Array, points: tuple[Array, Array, Array], yaw: Array, roll: Array
) -> Array:
    """Samples [N, K, C] at points of the right half and of the left, averaged."""
    picture = np.arange(planes.shape[1])[:, None]
    total = np.zeros((len(yaw), len(points[0]), planes.shape[2]), np.float32)
    for side in (1, -1):
        for index, weight in _corners(
            *_place(points, yaw[:, None], roll[:, None], side)
        ):
            total += planes[index, picture] * weight
    return total / 2


def _terms(patch: Array) -> tuple[Array, Array]:
    """Cosine coefficients of patches [N, H, W, 2], and products of the lowest."""
    patch = patch - patch.mean((1, 2), keepdims=True)
    # Below these contrasts a patch is noise: it is not amplified further.
    patch = patch / (patch.std((1, 2), keepdims=True) + np.array([0.02, 0.01]))
    y, x = (_cosines(n, k) for n, k in zip(patch.shape[1:3], _LINEAR, strict=True))
    found = 4 * np.einsum("nabc,ia,jb->nijc", patch, y, x)
    # The first ones are the means, which were taken away.
    low = found[:, : _QUADRATIC[0], : _QUADRATIC[1]].reshape(len(patch), -1)[:, 2:]
    return found.reshape(len(patch), -1)[:, 2:], _products(low)


def _cosines(length: int, count: int) -> Array:
    place = (np.arange(length) + 0.5) / length
    return np.cos(np.pi * np.arange(count)[:, None] * place) / length


def _products(values: Array) -> Array:
    """All products of two of [N, K], squares too."""
    i, j = np.triu_indices(values.shape[1])
    return values[:, i] * values[:, j]
