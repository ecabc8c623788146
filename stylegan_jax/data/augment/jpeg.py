"""What saving a picture as a JPEG does to it, in JAX.

Of the baseline JPEG (ITU-T T.81) only the coding of coefficients is lossless, so that
all that shows in a decoded picture is done here: YCbCr of JFIF, chroma at half
resolution (4:2:0), the cosine transform of blocks of 8 by 8, quantisation by the
recommendation's example tables, scaled for a quality from 1 to 100 as libjpeg does, and
back again. Entropy coding is left out.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

_HIGHEST = jax.lax.Precision.HIGHEST
BLOCK = 8
# ITU-T T.81, annex K, tables K.1 (luminance) and K.2 (chrominance).
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def compress(images: jax.Array, quality: jax.Array) -> jax.Array:
    """Pictures as they look after having been saved as JPEGs.

    Args:
        images: [N, H, W, C] float32 in [-1, 1]; C is 3 (RGB) or 1 (grey).
        quality: [N], from 1 to 100; fractions are cut off.

    Returns:
        [N, H, W, C] float32 in [-1, 1], of 256 levels.

    Raises:
        ValueError: for other numbers of channels.
    """
    channels = images.shape[3]
    if channels not in (1, 3):
        raise ValueError(f"a JPEG has 1 or 3 channels, got {channels}.")
    levels = jnp.round(jnp.clip(images, -1.0, 1.0) * 127.5 + 127.5)
    height, width = images.shape[1:3]
    # Blocks that reach beyond the picture repeat its border; chroma has blocks of 16.
    unit = BLOCK if channels == 1 else 2 * BLOCK
    beyond = [(0, -height % unit), (0, -width % unit)]
    levels = jnp.pad(levels, ((0, 0), *beyond, (0, 0)), mode="edge")
    if channels == 1:
        levels = _coded(levels, _table(LUMINANCE, quality))
    else:
        levels = _coloured(levels, quality)
    levels = jnp.round(jnp.clip(levels[:, :height, :width], 0.0, 255.0))
    return levels / 127.5 - 1.0


def _coloured(levels: jax.Array, quality: jax.Array) -> jax.Array:
    """RGB [N, H, W, 3] from 0 to 255, coded; H and W are multiples of 16."""
    red, green, blue = (levels[..., i : i + 1] for i in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = jnp.concatenate(
        [(blue - luma) / 1.772 + 128.0, (red - luma) / 1.402 + 128.0], 3
    )
    n, height, width, _ = levels.shape
    shape = (n, height // 2, 2, width // 2, 2, 2)
    small = jnp.round(jnp.mean(chroma.reshape(shape), (2, 4)))
    small = _coded(small, _table(CHROMINANCE, quality))
    # Decoders give each of the two samples 3/4 of the nearer and 1/4 of the other.
    large = jax.image.resize(small, chroma.shape, "linear", precision=_HIGHEST) - 128.0
    luma = _coded(jnp.round(luma), _table(LUMINANCE, quality))
    cb, cr = large[..., :1], large[..., 1:]
    red, blue = luma + 1.402 * cr, luma + 1.772 * cb
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return jnp.concatenate([red, green, blue], 3)


def _table(table: tuple[tuple[int, ...], ...], quality: jax.Array) -> jax.Array:
    """The steps of quantisation [N, 8, 8] float32, from 1 to 255."""
    quality = jnp.clip(jnp.floor(quality), 1.0, 100.0)
    percent = jnp.where(
        quality < 50, jnp.floor(5000.0 / quality), 200.0 - 2.0 * quality
    )
    steps = jnp.asarray(table, jnp.float32) * percent[:, None, None]
    return jnp.clip(jnp.floor((steps + 50.0) / 100.0), 1.0, 255.0)


def _coded(planes: jax.Array, steps: jax.Array) -> jax.Array:
    """Planes [N, H, W, C] from 0 to 255, quantised block by block, to whole levels."""
    n, height, width, channels = planes.shape
    blocks = planes.reshape(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels)
    blocks = blocks.transpose(0, 1, 3, 5, 2, 4) - 128.0  # [N, rows, columns, C, 8, 8]
    both = jnp.asarray(_transform())
    flat = blocks.reshape(-1, BLOCK * BLOCK)
    coefficients = jnp.matmul(flat, both.T, precision=_HIGHEST).reshape(blocks.shape)
    steps = steps[:, None, None, None]
    kept = jnp.round(coefficients / steps) * steps
    flat = jnp.matmul(kept.reshape(flat.shape), both, precision=_HIGHEST)
    levels = jnp.clip(jnp.round(flat.reshape(blocks.shape) + 128.0), 0.0, 255.0)
    return levels.transpose(0, 1, 4, 2, 5, 3).reshape(planes.shape)


@functools.cache
def _transform() -> np.ndarray:
    """[64, 64] float32: the orthonormal cosine transform (II) of a flattened block."""
    k, i = np.arange(BLOCK)[:, None], np.arange(BLOCK)[None, :]
    one = np.cos((2 * i + 1) * k * math.pi / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    one[0] /= math.sqrt(2.0)
    return np.kron(one, one).astype(np.float32)
