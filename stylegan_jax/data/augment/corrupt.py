"""Operations on the pixels as they stand: frequency bands, noise, cutout."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.data.augment.draws import Draws, Op
from stylegan_jax.data.augment.spec import AugmentSpec

_BANDS = 4
# Share of an image's power that lies in each band, where it falls off as 1/f.
_POWER = np.asarray([10, 1, 1, 1], np.float32) / 13


def band_filters() -> np.ndarray:
    """[4, 43] float64: symmetric filters of four octaves, which add up to an impulse.

    The squared magnitude of the two-moment symlet's scaling filter H keeps the lower
    half of the frequencies, and that of its mirror H(-z) the upper half: at every level
    the two add up to 1. Level by level, the bands so far are stretched (z -> z^2) and
    cut off at half, and what was cut becomes the next band (StyleGAN2-ADA, B.2).
    """
    root3 = math.sqrt(3.0)
    h = np.asarray([1 - root3, 3 - root3, 3 + root3, 1 + root3]) / (4 * math.sqrt(2.0))
    low = np.convolve(h, h[::-1]) / 2
    high = low * (-1.0) ** np.arange(-3, 4)
    bands = np.ones((1, 1))
    for _ in range(1, _BANDS):
        stretched = np.zeros((bands.shape[0], 2 * bands.shape[1] - 1))
        stretched[:, ::2] = bands
        kept = np.stack([np.convolve(row, low) for row in stretched])
        side = (kept.shape[1] - len(high)) // 2
        bands = np.vstack([kept, np.pad(high, (side, side))])
    return bands


def draw_filter(draws: Draws, p: jax.Array, spec: AugmentSpec) -> jax.Array:
    """One image's taps [43] float32, of a filter for each axis.

    Every band is amplified on its own, and each time the gains are scaled so that an
    image with a 1/f spectrum keeps its power.
    """
    likely = spec.imgfilter * p * jnp.asarray(spec.imgfilter_bands, jnp.float32)
    exponents = draws.normal(Op.IMGFILTER, (_BANDS,)) * spec.imgfilter_std
    happens = draws.happens(Op.IMGFILTER, likely, (_BANDS,))
    happens &= np.asarray(spec.imgfilter_bands) > 0
    amplified = jnp.exp2(exponents * happens)
    power = 1.0 + _POWER * (jnp.square(amplified) - 1.0)
    gains = amplified / jnp.prod(jnp.sqrt(power))
    bands = jnp.asarray(band_filters(), jnp.float32)
    return jnp.matmul(gains, bands, precision=jax.lax.Precision.HIGHEST)


def filter_bands(images: jax.Array, taps: jax.Array) -> jax.Array:
    """Filters both axes of every image by its own taps.

    The image counts as continued by reflection without end, so sides may be shorter
    than the filter. One matrix product for each axis: a convolution with a filter for
    each image is a grouped one, which a CPU runs naively, and sums of shifted slices
    have a backward pass twenty times slower than the forward one.

    Args:
        images: [N, H, W, C] float32, H and W at least 2.
        taps: [N, T] float32, symmetric, T odd.

    Returns:
        [N, H, W, C] float32.
    """
    rows = _axis_matrices(taps, images.shape[1])
    columns = _axis_matrices(taps, images.shape[2])
    highest = jax.lax.Precision.HIGHEST
    images = jnp.einsum("nih,nhwc->niwc", rows, images, precision=highest)
    return jnp.einsum("njw,niwc->nijc", columns, images, precision=highest)


def _axis_matrices(taps, length):
    """[N, length, length] float32: what each sample gives to each filtered one."""
    period, reach = 2 * length - 2, taps.shape[1] // 2
    turns = -(-taps.shape[1] // period)
    # The taps of all offsets that agree modulo the reflected image's period.
    wrapped = jnp.pad(taps, ((0, 0), (0, turns * period - taps.shape[1])))
    wrapped = jnp.sum(wrapped.reshape(-1, turns, period), 1)
    target, source = jnp.arange(length)[:, None], jnp.arange(length)[None, :]
    direct = wrapped[:, (source - target + reach) % period]
    mirrored = wrapped[:, (-source - target + reach) % period]
    # The first and the last sample are their own mirror images.
    inner = (source > 0) & (source < length - 1)
    return direct + jnp.where(inner, mirrored, 0.0)


def draw_noise(
    draws: Draws, p: jax.Array, spec: AugmentSpec, shape: tuple[int, ...]
) -> jax.Array:
    """One image's noise [H, W, C] float32; its own deviation is half-normal."""
    sigma = draws.half_normal(Op.NOISE) * spec.noise_std
    sigma *= draws.happens(Op.NOISE, spec.noise * p)
    return sigma * draws.normal(Op.NOISE_PIXELS, shape)


def draw_cutout(
    draws: Draws, p: jax.Array, spec: AugmentSpec, height: int, width: int
) -> jax.Array:
    """One image's mask [H, W, 1] float32: 0 in a rectangle, 1 elsewhere.

    The rectangle's middle is uniform over the image, so a part may lie outside.
    """
    size = spec.cutout_size * draws.happens(Op.CUTOUT, spec.cutout * p)
    middle = draws.uniform(Op.CUTOUT, (2,))
    x = jnp.abs((jnp.arange(width) + 0.5) / width - middle[0])[None, :]
    y = jnp.abs((jnp.arange(height) + 0.5) / height - middle[1])[:, None]
    inside = (x < size / 2) & (y < size / 2)
    return 1.0 - inside.astype(jnp.float32)[:, :, None]
