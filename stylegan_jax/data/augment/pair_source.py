"""What happens to the source of a pair inside the training step.

Everything is pure and maps a batch sample by sample: what becomes of a sample depends
on its own key alone, not on the batch or the device that it is in. Each operation folds
a number of its own into the key, so that one key per sample serves them all.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.errors import UsageError

FACTORS = (1, 2, 4, 8, 16, 32)
MIRRORS = ("none", "together", "apart")
_HIGHEST = jax.lax.Precision.HIGHEST


class Op(enum.IntEnum):
    """What a draw is for. The numbers are part of a run: never reuse one."""

    MIRROR = 0
    FACTOR = 1
    GEOMETRY = 2
    LIGHT = 3
    COLOUR = 4
    BLUR = 5
    NOISE = 6
    JPEG = 7
    SECOND = 8


def mirror(
    source: jax.Array, target: jax.Array, keys: jax.Array, mode: str
) -> tuple[jax.Array, jax.Array]:
    """Flips pairs left to right, each picture with probability 1/2.

    A flipped label map keeps its numbers: where classes tell left from right (the two
    eyes of CelebAMask), use ``none``.

    Args:
        source: [N, h, w, c] of any type.
        target: [N, H, W, C] of any type.
        keys: [N] keys. Each gives two booleans of which the first is for the source;
            the target's is the first too with ``together``, and the second with
            ``apart``.
        mode: ``none``; ``together``, both or neither; ``apart``, for targets that show
            a face from elsewhere than the source (frontalisation).

    Returns:
        Source and target.

    Raises:
        UsageError: for another mode.
        ValueError: for another number of keys than samples.
    """
    if mode not in MIRRORS:
        raise UsageError(
            f"pairs are mirrored {' | '.join(MIRRORS)}, got {mode!r} (data.mirror)."
        )
    _check_keys(source, keys)
    _check_keys(target, keys)
    if mode == "none":
        return source, target
    own = jax.vmap(jax.random.fold_in, (0, None))(keys, int(Op.MIRROR))
    flips = jax.vmap(lambda key: jax.random.bernoulli(key, 0.5, (2,)))(own)  # [N,2]
    ours, theirs = flips[:, 0], flips[:, 1 if mode == "apart" else 0]
    return _flip(source, ours), _flip(target, theirs)


def degrade(
    images: jax.Array,
    keys: jax.Array,
    factors: Sequence[int] = FACTORS,
    size: int | tuple[int, int] | None = None,
) -> jax.Array:
    """Makes sources of super-resolution: every image shrunk and enlarged again.

    Each image is shrunk by a factor that is drawn from ``factors``, all alike (bicubic
    with a = -1/2, widened against aliasing), and enlarged again (bilinear). Values are
    clipped to [-1, 1] between the passes, as 8-bit pictures are.

    Args:
        images: [N, H, W, C] float32 in [-1, 1].
        keys: [N] keys; each draws one whole number, the place in ``factors``.
        factors: whole numbers from 1 on.
        size: side, or (height, width), of the result; None keeps the images'.

    Returns:
        [N, h, w, C] float32 in [-1, 1].

    Raises:
        UsageError: no factors, or some below 1.
        ValueError: for another number of keys than images.
    """
    _check_keys(images, keys)
    own = jax.vmap(jax.random.fold_in, (0, None))(keys, int(Op.FACTOR))
    chosen = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(factors)))(own)
    return _degrade(images, chosen, _checked(factors), _size(images, size))


def degrade_by(
    images: jax.Array, factor: int, size: int | tuple[int, int] | None = None
) -> jax.Array:
    """Shrinks and enlarges all images by one factor, as `degrade` does.

    Args:
        images: [N, H, W, C] float32 in [-1, 1].
        factor: from 1 on.
        size: side, or (height, width), of the result; None keeps the images'.

    Returns:
        [N, h, w, C] float32 in [-1, 1].

    Raises:
        UsageError: the factor is below 1.
    """
    chosen = jnp.zeros(images.shape[0], jnp.int32)
    return _degrade(images, chosen, _checked([factor]), _size(images, size))


def one_hot(labels: jax.Array, num_labels: int) -> jax.Array:
    """Class numbers as planes of 0 and 1.

    Args:
        labels: [N, H, W, 1] of whole numbers from 0 on.
        num_labels: n; a number beyond sets no plane.

    Returns:
        [N, H, W, n] float32.

    Raises:
        ValueError: for more than one channel.
    """
    if labels.ndim != 4 or labels.shape[-1] != 1:
        raise ValueError(f"labels have shape {labels.shape}, expected [N, H, W, 1].")
    return jax.nn.one_hot(labels[..., 0], num_labels, dtype=jnp.float32)


def _check_keys(images: jax.Array, keys: jax.Array) -> None:
    if images.ndim != 4 or keys.shape != images.shape[:1]:
        raise ValueError(
            f"images {images.shape} and keys {keys.shape} are not [N, H, W, C] and [N]."
        )


def _flip(images: jax.Array, flips: jax.Array) -> jax.Array:
    return jnp.where(flips[:, None, None, None], images[:, :, ::-1], images)


def _checked(factors: Sequence[int]) -> tuple[int, ...]:
    found = tuple(int(factor) for factor in factors)
    if not found or min(found) < 1 or list(found) != list(factors):
        raise UsageError(
            f"super-resolution factors are whole numbers from 1 on, got "
            f"{list(factors)!r} (data.factors)."
        )
    return found


def _size(images: jax.Array, size: int | tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        return images.shape[1], images.shape[2]
    return (size, size) if isinstance(size, int) else size


def _degrade(
    images: jax.Array,
    chosen: jax.Array,
    factors: tuple[int, ...],
    size: tuple[int, int],
) -> jax.Array:
    """Two passes down and two up, each by the samples' own matrices."""
    matrices = [
        _matrices(length, to, factors)
        for length, to in zip(images.shape[1:3], size, strict=True)
    ]
    for stage in (0, 1):
        # Pillow goes along rows first; clipping makes the order matter.
        for axis, pattern in ((1, "nvw,nhwc->nhvc"), (0, "nuh,nhwc->nuwc")):
            own = jnp.asarray(matrices[axis][stage])[chosen]  # [N,to,from]
            images = jnp.einsum(pattern, own, images, precision=_HIGHEST)
            images = jnp.clip(images, -1.0, 1.0)
    return images


@functools.lru_cache(maxsize=32)
def _matrices(
    length: int, size: int, factors: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """How one axis is shrunk and enlarged, for every factor.

    Args:
        length: pixels of the axis, H.
        size: pixels of the result, h.
        factors: F of them.

    Returns:
        float32 [F, H, H], whose rows beyond the shrunk length are 0, and float32
        [F, h, H], whose columns beyond it are 0.
    """
    down = np.zeros((len(factors), length, length), np.float32)
    up = np.zeros((len(factors), size, length), np.float32)
    for place, factor in enumerate(factors):
        small = max(1, round(length / factor))
        down[place, :small] = _resampling(length, small, _cubic)
        up[place, :, :small] = _resampling(small, size, _triangle)
    return down, up


def _resampling(
    length: int, size: int, kernel: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The matrix [size, length] that resamples one axis by a kernel.

    Pixel i of the result lies at (i + 1/2) * scale of the axis. Where it shrinks, the
    kernel is widened by the scale; it is cut at the borders and normalised.
    """
    scale = length / size
    wide = max(scale, 1.0)
    middles = (np.arange(size)[:, None] + 0.5) * scale  # [size,1]
    places = np.arange(length)[None, :] + 0.5  # [1,length]
    weights = kernel((places - middles) / wide)
    return weights / weights.sum(1, keepdims=True)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution (1981) with a = -1/2."""
    x, a = np.abs(x), -0.5
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - np.abs(x), 0.0)
