"""Kernel bodies for Mosaic's TPU compiler.

One program handles a band of rows of one image with all its columns and channels. The
activations are scaled by the styles on their way into a scratch buffer, every product
is a matrix product of pixels by channels, and the epilogue runs before the only write.

Shapes in comments: R rows of a band, W columns, I and O channels. Rows are a leading
axis and shift for nothing; columns are the second minor axis, where a shift is a roll.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from stylegan_jax.ops.modulated_conv2d.pallas_tpu_packing import LANES


def dot(a: jax.Array, b: jax.Array, precision) -> jax.Array:
    """Product [M, K] by [K, N] with float32 sums."""
    return lax.dot_general(
        a,
        b,
        (((1,), (0,)), ((), ())),
        precision=precision,
        preferred_element_type=jnp.float32,
    )


def shift_columns(v: jax.Array, by: int) -> jax.Array:
    """Moves columns of [W, C] by -1, 0 or 1; zeros enter at the border."""
    if by == 0:
        return v
    width = v.shape[0]
    column = lax.broadcasted_iota(jnp.int32, v.shape, 0)
    border = 0 if by > 0 else width - 1
    return jnp.where(column == border, 0.0, pltpu.roll(v, by % width, 0))


def spread_noise(rows: jax.Array, channels: int) -> jax.Array:
    """[P, W] to [W, channels]: row p to the p-th share of the channels.

    Columns lie along lanes and must lie along sublanes.
    """
    shares, width = rows.shape
    if shares == 1:
        # Any channel's noise is every channel's: one tile of lanes serves them all.
        lanes = jnp.broadcast_to(rows, (LANES, width))
        wide = jnp.concatenate([jnp.transpose(lanes)] * pl.cdiv(channels, LANES), 1)
        return wide[:, :channels]
    share = (channels // shares, width)
    spread = [jnp.broadcast_to(rows[p : p + 1], share) for p in range(shares)]
    return jnp.transpose(jnp.concatenate(spread, 0))


def load_band(above, x, below, s, height: int, store: Callable) -> None:
    """Scales R + 2 rows and hands them to ``store(row, [W, I] float32)``.

    Rows beyond the picture are zeros, also where a block's end holds anything at all.
    """
    rows = x.shape[1]
    top = pl.program_id(1) * rows

    def scaled(v, inside):
        return jnp.where(inside, v.astype(jnp.float32) * s[0], 0.0)

    store(0, scaled(above[0, 0], top > 0))
    store(rows + 1, scaled(below[0, 0], top + rows < height))

    @pl.loop(0, rows)
    def _(r):
        store(r + 1, scaled(x[0, r], top + r < height))


def load_shifted(above, x, below, s, height: int, band) -> None:
    """Fills band [3, R + 2, W, I]: at b, column j holds column j + b - 1 of x."""

    def store(row, v):
        for b in range(3):
            band[b, row] = shift_columns(v, 1 - b).astype(band.dtype)

    load_band(above, x, below, s, height, store)


def same_kernel(
    above, x, below, w, s, d, noise, bias, out, band, *, config, height, epilogue
):
    """3x3 at stride 1: out [R, W, O] from x [R, W, I] and a row above and below."""
    rows, width = x.shape[1], x.shape[2]
    outputs = out.shape[3]
    load_shifted(above, x, below, s, height, band)

    @pl.loop(0, rows // config.chunk)
    def _(step):
        r = step * config.chunk
        total = jnp.zeros((config.chunk * width, outputs), jnp.float32)
        for a in range(3):
            for b in range(3):
                v = band[b, pl.ds(r + a, config.chunk)]
                v = v.reshape(config.chunk * width, v.shape[2])
                total += dot(v, w[a, b], config.precision)
        total = total * d[0] + bias[...]
        for i in range(config.chunk):
            y = total[i * width : (i + 1) * width]
            if noise is not None:
                y = y + spread_noise(noise[0, r + i], outputs)
            out[0, r + i] = epilogue(y).astype(out.dtype)


def up_kernel(
    above,
    x,
    below,
    w,
    s,
    d,
    noise,
    bias,
    out,
    band,
    even,
    odd,
    lanes,
    *,
    config,
    height,
    epilogue,
    taps,
):
    """Transposed 3x3 at stride 2 and the low-pass filter behind it.

    out [R, 2, 2W, O]: row i of x gives rows 2i and 2i+1. ``even`` and ``odd`` hold the
    rows 2i and 2i+1 of the transposed convolution before its columns are put together:
    [3, R + 2, W, O], a product for each column tap.
    """
    rows, width = x.shape[1], x.shape[2]
    outputs = d.shape[2]

    def store(row, v):
        band[row] = v.astype(band.dtype)

    def product(first, count, tap):
        v = band[first : first + count].reshape(count * width, band.shape[2])
        return dot(v, w[tap], config.precision).reshape(count, width, outputs)

    load_band(above, x, below, s, height, store)
    for b in range(3):
        for r in range(0, rows + 2, config.chunk):
            count = min(config.chunk, rows + 2 - r)
            odd[b, r : r + count] = product(r, count, (1, b))
        for r in range(1, rows + 2, config.chunk):
            count = min(config.chunk, rows + 2 - r)
            v = product(r, count, (0, b)) + product(r - 1, count, (2, b))
            even[b, r : r + count] = v

    def finish(y, r, phase):
        y = y * d[0] + bias[...]
        if noise is not None:
            y = y + spread_noise(noise[0, r, phase : phase + 1], outputs)
        return epilogue(y)

    @pl.loop(0, rows)
    def _(r):
        k0, k1, k2 = (filter_rows(even, odd, b, r, taps) for b in range(3))
        for q in range(2):
            left, right = filter_columns(k0[q], k1[q], k2[q], taps)
            pair = finish(left, r, 2 * q), finish(right, r, 2 * q + 1)
            interleave(out.at[0, r, q], *pair, lanes)


def narrow_up_kernel(
    above,
    x,
    below,
    w,
    s,
    d,
    noise,
    bias,
    out,
    band,
    even,
    odd,
    *,
    config,
    height,
    epilogue,
    taps,
):
    """The same for groups of pixels: out [R, 2, W, O], the filter's columns in w."""
    rows, width = x.shape[1], x.shape[2]
    outputs = d.shape[2]
    load_shifted(above, x, below, s, height, band)

    def product(first, count, tap):
        total = jnp.zeros((count * width, outputs), jnp.float32)
        for b in range(3):
            v = band[b, first : first + count].reshape(count * width, band.shape[3])
            total += dot(v, w[tap, b], config.precision)
        return total.reshape(count, width, outputs)

    for r in range(0, rows + 2, config.chunk):
        count = min(config.chunk, rows + 2 - r)
        odd[0, r : r + count] = product(r, count, 1)
    for r in range(1, rows + 2, config.chunk):
        count = min(config.chunk, rows + 2 - r)
        even[0, r : r + count] = product(r, count, 0) + product(r - 1, count, 2)

    @pl.loop(0, rows)
    def _(r):
        for q, y in enumerate(filter_rows(even, odd, 0, r, taps)):
            y = y * d[0] + bias[...]
            if noise is not None:
                half = noise.shape[2] // 2
                y = y + spread_noise(noise[0, r, q * half : (q + 1) * half], outputs)
            out[0, r, q] = epilogue(y).astype(out.dtype)


def filter_rows(even, odd, b: int, r, taps) -> tuple[jax.Array, jax.Array]:
    """Rows 2r and 2r+1 of column tap b [W, O], filtered along the rows."""
    f0, f1, f2, f3 = taps
    o, o_next = odd[b, r + 1], odd[b, r + 2]
    e, e_next = even[b, r + 1], even[b, r + 2]
    first = f0 * odd[b, r] + f1 * e + f2 * o + f3 * e_next
    return first, f0 * e + f1 * o + f2 * e_next + f3 * o_next


def filter_columns(
    k0: jax.Array, k1: jax.Array, k2: jax.Array, taps: tuple[float, ...]
) -> tuple[jax.Array, jax.Array]:
    """Places column taps [W, O] at stride 2 and filters: columns 2j and 2j+1.

    The transposed row is k0[j] + k2[j-1] at 2j and k1[j] at 2j+1.
    """
    f0, f1, f2, f3 = taps
    left = (
        shift_columns(f0 * k1 + f1 * k2, 1)
        + (f1 * k0 + f2 * k1 + f3 * k2)
        + shift_columns(f3 * k0, -1)
    )
    right = (
        shift_columns(f0 * k2, 1)
        + (f0 * k0 + f1 * k1 + f2 * k2)
        + shift_columns(f2 * k0 + f3 * k1, -1)
    )
    return left, right


def interleave(out, left: jax.Array, right: jax.Array, lanes) -> None:
    """Writes columns 2j from ``left`` and 2j+1 from ``right``, both [W, O] float32."""
    width, outputs = left.shape
    if out.dtype == jnp.bfloat16:
        # Two rows of sublanes share a 32-bit word, the even one in its low half.
        low, high = (
            lax.bitcast_convert_type(
                v.astype(jnp.bfloat16).astype(jnp.float32), jnp.uint32
            )
            for v in (left, right)
        )
        words = (low >> 16) | (high & np.uint32(0xFFFF0000))
        out[...] = pltpu.bitcast(words, jnp.bfloat16)
    elif outputs <= LANES:
        out[pl.ds(0, width, 2), :] = left
        out[pl.ds(1, width, 2), :] = right
    else:
        # Mosaic strides through buffers of one lane tile only.
        for first in range(0, outputs, LANES):
            last = min(first + LANES, outputs)
            lanes[pl.ds(0, width, 2), : last - first] = left[:, first:last]
            lanes[pl.ds(1, width, 2), : last - first] = right[:, first:last]
            out[:, first:last] = lanes[:, : last - first]


def picture_kernel(x, w, s, bias, out, *, config, epilogue):
    """1x1 into a few channels: out [R, O, W], columns along lanes.

    Channels last would fill 128 lanes with O values.
    """
    kernel = (w[...] * s[0]).astype(x.dtype)  # [O, I]

    @pl.loop(0, x.shape[1])
    def _(r):
        y = lax.dot_general(
            kernel,
            x[0, r],
            (((1,), (1,)), ((), ())),
            precision=config.precision,
            preferred_element_type=jnp.float32,
        )
        out[0, r] = epilogue(y + bias[...]).astype(out.dtype)
