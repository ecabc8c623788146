"""Whether a generator draws its training pictures again: a watch for small sets.

Two figures of the generator without any trained network, from pictures shrunk to 16
pixels:

- ``watch/nearest``: how near a drawn picture is to its nearest training picture, as a
  share of how near a training picture is to its own nearest neighbour (medians). About
  1 or more for new pictures; towards 0 as the set is learnt by heart.
- ``watch/diversity``: how far drawn pictures are from each other, as a share of how far
  training pictures are (means). 0 where all pictures are one.

The nearest neighbour of a mirrored picture counts too, since training may mirror.

And one of the discriminator, where pictures are held out:

- ``watch/gap``: r_v of Karras et al. 2020 (StyleGAN2-ADA, section 3), how much better
  it likes pictures that it learns from than others of their kind. 0 for alike; 1 once
  it takes new pictures for drawn ones, and so teaches the training set by heart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stylegan_jax.errors import UserError

SIDE = 16
# Below these, pictures are taken for copies, or the generator for collapsed.
NEAREST = 0.6
DIVERSITY = 0.5
GAP = 0.75
# Root mean square distance up to which two pictures are one, of the range -1 to 1.
SAME = 1e-3
# Pictures compared at a time.
CHUNK = 512


class Memorisation:
    """The watch over one training set.

    Attributes:
        nearest: median distance of a training picture to its nearest other one.
        spread: mean distance of training pictures to each other.
    """

    def __init__(self, training: np.ndarray):
        """Describes the training set.

        Args:
            training: [N, H, W, C] uint8, at least two pictures; without mirror images.

        Raises:
            UserError: fewer than two pictures, or all are equal.
        """
        if len(training) < 2:
            raise UserError("a watch needs at least two training pictures, got fewer.")
        self._training = small(training)
        mirrored = small(training[:, :, ::-1])
        self._known = np.concatenate([self._training, mirrored])
        near = nearest(self._training, self._known, skip_self=True)
        # The same picture twice says nothing of how far different ones are apart.
        near = near[near > SAME]
        self.nearest = float(np.median(near)) if len(near) else 0.0
        self.spread = spread(self._training)
        if self.nearest == 0 or self.spread == 0:
            raise UserError(
                "all training pictures are equal: there is nothing to learn."
            )

    def __call__(self, drawn: np.ndarray) -> dict[str, float]:
        """The figures of drawn pictures [M, H, W, C] uint8, by name."""
        pictures = small(drawn)
        near = nearest(pictures, self._known)
        return {
            "watch/nearest": float(np.median(near)) / self.nearest,
            "watch/diversity": spread(pictures) / self.spread,
        }


def discriminator_gap(*, training: float, held_out: float, drawn: float) -> float:
    """How far the discriminator knows its pictures by heart (r_v).

    Args:
        training: mean score of pictures that it learns from.
        held_out: of pictures of the same kind that it never saw.
        drawn: of the generator's.

    Returns:
        (training - held_out) / (training - drawn), within [-1, 1]; 0 where it does not
        tell drawn pictures from the training's, so that nothing can be said.
    """
    scale = training - drawn
    if scale <= 0:
        return 0.0
    return min(max((training - held_out) / scale, -1.0), 1.0)


def overfitted(figures: Mapping[str, float]) -> bool:
    """Whether the figures say that the training set is drawn again, or one picture."""
    return bool(why_overfitted(figures))


def why_overfitted(figures: Mapping[str, float]) -> str:
    """The figures that say so, with their bounds; "" where none does."""
    bounds = (
        ("watch/nearest", NEAREST, -1),
        ("watch/diversity", DIVERSITY, -1),
        ("watch/gap", GAP, 1),
    )
    return ", ".join(
        f"{name} {figures[name]:.2f} is {'below' if sign < 0 else 'above'} {bound:g}"
        for name, bound, sign in bounds
        if name in figures and (figures[name] - bound) * sign > 0
    )


def small(pictures: np.ndarray) -> np.ndarray:
    """Pictures [N, H, W, C] uint8 as rows [N, D] float32 in [-1, 1], 16 px wide."""
    n, height, width, channels = pictures.shape
    rows = np.linspace(0, height, min(SIDE, height) + 1).astype(int)[:-1]
    columns = np.linspace(0, width, min(SIDE, width) + 1).astype(int)[:-1]
    sums = np.add.reduceat(pictures.astype(np.float32), rows, axis=1)
    sums = np.add.reduceat(sums, columns, axis=2)
    counts = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))[
        None, :, :, None
    ]
    return (sums / counts / 127.5 - 1).reshape(n, -1).astype(np.float32)


def nearest(
    pictures: np.ndarray, known: np.ndarray, *, skip_self: bool = False
) -> np.ndarray:
    """Root mean square distance [N] of each row to the nearest known row.

    Args:
        pictures: [N, D].
        known: [M, D].
        skip_self: whether row i of ``known`` is picture i itself (and i + N its
            mirror image), and not to be counted.
    """
    found = []
    for start in range(0, len(pictures), CHUNK):
        squared = _squared(pictures[start : start + CHUNK], known)
        if skip_self:
            index = np.arange(len(squared))
            squared[index, start + index] = np.inf
            squared[index, start + index + len(pictures)] = np.inf
        found.append(squared.min(1))
    return np.sqrt(np.maximum(np.concatenate(found), 0) / pictures.shape[1])


def spread(pictures: np.ndarray) -> float:
    """Mean root mean square distance of different rows [N, D]; 0 for a single one."""
    n = len(pictures)
    if n < 2:
        return 0.0
    total = 0.0
    for start in range(0, n, CHUNK):
        squared = np.maximum(_squared(pictures[start : start + CHUNK], pictures), 0)
        total += float(np.sqrt(squared / pictures.shape[1]).sum(dtype=np.float64))
    return total / (n * (n - 1))


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances [N, M]; float64, where the difference of squares decides."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
