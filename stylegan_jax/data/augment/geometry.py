"""Blitting and general geometry: one 3x3 matrix per image, one resampling.

Matrices act on homogeneous pixel coordinates (x to the right, y down, 1) whose origin
is the middle of the image, and map a place of the *result* to the place of the source
that it shows.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from stylegan_jax.data.augment.draws import Draws, Op
from stylegan_jax.data.augment.spec import AugmentSpec
from stylegan_jax.ops.filters import make_filter
from stylegan_jax.ops.upfirdn2d import upfirdn2d

# Scaling filter of the least asymmetric orthogonal wavelet with six vanishing moments
# (Daubechies, "Ten Lectures on Wavelets", 1992, table 6.3).
_SYM6 = make_filter(
    [
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    ]
)
_DOWN = tuple(reversed(_SYM6))
# Samples of the doubled grid that the filter reaches beyond the image on either side.
_REACH = len(_SYM6) // 2 - 1


def draw_matrix(
    draws: Draws, p: jax.Array, spec: AugmentSpec, height: int, width: int
) -> jax.Array:
    """One image's [3, 3] float32 from result to source.

    The operations follow each other as in StyleGAN2-ADA (appendix B): mirroring, turns
    by 90 degrees, whole-pixel moves, zoom, rotation, stretch, rotation, moves.
    """
    matrix = jnp.eye(3, dtype=jnp.float32)
    for inverse in (*_blits(draws, p, spec, height, width), *_general(draws, p, spec)):
        matrix = _product(matrix, inverse)
    if spec.has("xfrac"):
        move = draws.normal(Op.XFRAC, (2,)) * spec.xfrac_std
        move *= draws.happens(Op.XFRAC, spec.xfrac * p)
        matrix = _product(matrix, _move(-move[0] * width, -move[1] * height))
    return matrix


def _blits(draws, p, spec, height, width):
    """Inverse matrices of what would not blend pixels on its own."""
    if spec.has("xflip"):
        flips = jnp.floor(draws.uniform(Op.XFLIP) * 2.0)
        flips *= draws.happens(Op.XFLIP, spec.xflip * p)
        yield _stretch(1.0 - 2.0 * flips, 1.0)
    if spec.has("rotate90"):
        turns = jnp.floor(draws.uniform(Op.ROTATE90) * 4.0)
        turns *= draws.happens(Op.ROTATE90, spec.rotate90 * p)
        yield _turn(turns * (math.pi / 2))
    if spec.has("xint"):
        move = (draws.uniform(Op.XINT, (2,)) * 2.0 - 1.0) * spec.xint_max
        move *= draws.happens(Op.XINT, spec.xint * p)
        yield _move(-jnp.round(move[0] * width), -jnp.round(move[1] * height))


def _general(draws, p, spec):
    """Inverse matrices of zoom, stretch and the rotations about it."""
    # Two independent rotations, so that one of them happens with probability p.
    once = 1.0 - jnp.sqrt(jnp.clip(1.0 - spec.rotate * p, 0.0, 1.0))
    if spec.has("scale"):
        zoom = _log2_factor(draws, Op.SCALE, spec.scale * p, spec.scale_std)
        yield _stretch(1.0 / zoom, 1.0 / zoom)
    if spec.has("rotate"):
        yield _turn(_angle(draws, Op.PRE_ROTATE, once, spec.rotate_max))
    if spec.has("aniso"):
        wider = _log2_factor(draws, Op.ANISO, spec.aniso * p, spec.aniso_std)
        yield _stretch(1.0 / wider, wider)
    if spec.has("rotate"):
        yield _turn(_angle(draws, Op.POST_ROTATE, once, spec.rotate_max))


def _angle(draws, op, probability, largest):
    """Angle by which the source is turned back, in radians."""
    angle = (draws.uniform(op) * 2.0 - 1.0) * (math.pi * largest)
    return angle * draws.happens(op, probability)


def _log2_factor(draws, op, probability, std):
    exponent = draws.normal(op) * std
    return jnp.exp2(exponent * draws.happens(op, probability))


def _rows(*rows):
    cells = [[jnp.asarray(cell, jnp.float32) for cell in row] for row in rows]
    return jnp.stack([jnp.stack(row) for row in cells])


def _move(x, y):
    return _rows((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0))


def _stretch(x, y):
    return _rows((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, 1.0))


def _turn(angle):
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return _rows((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0))


def _product(a, b):
    # Places in an image do not bear the rounding of fast matrix products.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def resample(images: jax.Array, matrices: jax.Array) -> jax.Array:
    """Moves every image by its matrix.

    The image counts as continued by reflection without end. It is doubled in size by
    the wavelet's filter, sampled bilinearly on a doubled grid of the result, and halved
    by the same filter reversed, which together is exact for the identity and for whole
    moves (StyleGAN2-ADA, appendix B.1). The filter is not quite symmetric, so mirroring
    and turns move the picture by a twentieth of a pixel and change its finest detail a
    little, there as here.

    DIFF(nv): there an image is padded by reflection as far as the batch at hand needs,
    at most by its side less one, with zeros beyond. Here one period of the reflected
    image (2H - 2 by 2W - 2 pixels) is doubled, and places are taken modulo the period:
    the shape is static, the result for an image depends on that image alone, it is the
    same wherever their padding suffices, and it takes 16 times the image's memory where
    padding by the worst case takes 36.

    Args:
        images: [N, H, W, C] float32, H and W at least 2.
        matrices: [N, 3, 3] float32, see the module.

    Returns:
        [N, H, W, C] float32.
    """
    height, width = images.shape[1:3]
    period = _doubled_period(images)
    rows, columns = _places(matrices, height, width)
    sampled = jax.vmap(_bilinear)(period, rows, columns)
    return upfirdn2d(sampled, _DOWN, down=2)


def _doubled_period(images):
    """[N, 4H - 3, 4W - 3, C]: a doubled period, its first row and column repeated."""
    height, width = images.shape[1:3]
    # Three samples on either side are what the filter needs; see upsample2d.
    widths = ((0, 0), (3, height + 1), (3, width + 1), (0, 0))
    return upfirdn2d(jnp.pad(images, widths, mode="reflect"), _SYM6, up=2, gain=4.0)


def _places(matrices, height, width):
    """Doubled rows and columns [N, 2H + 10, 2W + 10] that the result's grid shows."""
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y = (jnp.arange(2 * (height + _REACH)) - _REACH) / 2 - middle_y
    x = (jnp.arange(2 * (width + _REACH)) - _REACH) / 2 - middle_x
    m = matrices[:, :2, :, None, None]
    x, y = x[None, None, :], y[None, :, None]
    source_x = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]
    source_y = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]
    return 2.0 * (source_y + middle_y), 2.0 * (source_x + middle_x)


def _bilinear(period, rows, columns):
    """Values [h, w, C] of one doubled period at fractional places [h, w]."""
    height, width = period.shape[0] - 1, period.shape[1] - 1
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    i = jnp.mod(top.astype(jnp.int32), height)
    j = jnp.mod(left.astype(jnp.int32), width)

    def at(i, j):
        return jax.lax.dynamic_slice(period, (i, j, 0), (2, 2, period.shape[2]))

    near = jax.vmap(jax.vmap(at))(i, j)  # [h, w, 2, 2, C]
    upper = near[:, :, 0, 0] * (1.0 - right) + near[:, :, 0, 1] * right
    lower = near[:, :, 1, 0] * (1.0 - right) + near[:, :, 1, 1] * right
    return upper * (1.0 - down) + lower * down
