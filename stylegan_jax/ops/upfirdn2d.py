"""Upsample, filter, downsample: the resampling of StyleGAN2 (Karras et al. 2020).

The filter is separable and static, so each axis is a handful of shifted slices that
XLA fuses into one loop: on a CPU this is about ten times faster than a depthwise
convolution, and no zero that upsampling would insert is ever multiplied.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from stylegan_jax.types import Filter

Padding = tuple[int, int, int, int]  # top, bottom, left, right


def upfirdn2d(
    x: jax.Array,
    f: Filter,
    *,
    up: int = 1,
    down: int = 1,
    padding: Padding = (0, 0, 0, 0),
    gain: float = 1.0,
) -> jax.Array:
    """Upsamples, pads, filters and downsamples a batch of images.

    Along each spatial axis:

    1. insert ``up - 1`` zeros behind every sample;
    2. pad with zeros (negative padding crops);
    3. convolve with ``f`` (true convolution: the filter is flipped);
    4. keep every ``down``-th sample.

    Gradients of any order in reverse mode: the transpose of the operator is the
    operator itself with ``up`` and ``down`` swapped and the filter reversed, and the
    backward rule calls it so.

    Args:
        x: [N, H, W, C], any float dtype; the result has the same.
        f: taps of the separable filter (see ``make_filter``).
        up: integer upsampling factor of both axes.
        down: integer downsampling factor of both axes.
        padding: (top, bottom, left, right), counted in upsampled pixels.
        gain: factor on the result (``up**2`` keeps the brightness when upsampling).

    Returns:
        [N, H', W', C], H' = (H*up + top + bottom - len(f)) // down + 1.

    Raises:
        ValueError: for a factor below 1, an empty filter or too small an image.
    """
    if up < 1 or down < 1:
        raise ValueError(f"up and down must be at least 1, got {up} and {down}.")
    if not f:
        raise ValueError("upfirdn2d needs at least one tap, got an empty filter.")
    root = math.copysign(math.sqrt(abs(gain)), gain)
    taps = tuple(reversed(f))  # the inner operator correlates
    rows = tuple(t * abs(root) for t in taps)
    cols = tuple(t * root for t in taps)
    top, bottom, left, right = padding
    x = _resample_axis(x, 1, rows, up, down, top, bottom)
    return _resample_axis(x, 2, cols, up, down, left, right)


def upsample2d(x: jax.Array, f: Filter, *, up: int = 2) -> jax.Array:
    """Enlarges [N, H, W, C] by ``up``, keeping the brightness."""
    before, after = (len(f) + up - 1) // 2, (len(f) - up) // 2
    padding = (before, after, before, after)
    return upfirdn2d(x, f, up=up, padding=padding, gain=float(up * up))


def downsample2d(x: jax.Array, f: Filter, *, down: int = 2) -> jax.Array:
    """Reduces [N, H, W, C] by ``down``."""
    before, after = (len(f) - down + 1) // 2, (len(f) - down) // 2
    return upfirdn2d(x, f, down=down, padding=(before, after, before, after))


def filter2d(x: jax.Array, f: Filter, *, padding: int = 0) -> jax.Array:
    """Filters [N, H, W, C] at its own size, ``padding`` pixels added on each side."""
    before, after = len(f) // 2 + padding, (len(f) - 1) // 2 + padding
    return upfirdn2d(x, f, padding=(before, after, before, after))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4, 5, 6))
def _resample_axis(x, axis, taps, up, down, before, after):
    return _resample_axis_xla(x, axis, taps, up, down, before, after)


def _forward(x, axis, taps, up, down, before, after):
    y = _resample_axis(x, axis, taps, up, down, before, after)
    return y, x.shape[axis]


def _backward(axis, taps, up, down, before, after, length, g):
    new_before = len(taps) - before - 1
    new_after = length * up - g.shape[axis] * down + before - up + 1
    taps = tuple(reversed(taps))
    return (_resample_axis(g, axis, taps, down, up, new_before, new_after),)


_resample_axis.defvjp(_forward, _backward)


def _resample_axis_xla(x, axis, taps, up, down, before, after):
    """Polyphase form: one sum of strided slices for each phase of the output.

    Output m reads upsampled position m*down + k - before for tap k, which is a
    sample of x where that is divisible by ``up``. The taps that hit depend on m only
    through its phase r = m mod q, q = up / gcd(up, down).
    """
    length = x.shape[axis]
    size = (length * up + before + after - len(taps)) // down + 1
    if size < 1:
        raise ValueError(
            f"An axis of {length} samples is too short for a filter of {len(taps)} "
            f"taps with up={up}, down={down}, padding=({before}, {after})."
        )
    period = up // math.gcd(up, down)
    stride = period * down // up
    phases = [
        [
            ((r * down + k - before) // up, tap)
            for k, tap in enumerate(taps)
            if (r * down + k - before) % up == 0 and tap != 0.0
        ]
        for r in range(period)
    ]
    most = -(-size // period)
    outputs = lax.platform_dependent(
        x,
        cpu=lambda x: [_in_parts(x, axis, hits, most, stride) for hits in phases],
        default=lambda x: _padded(x, axis, phases, most, stride),
    )
    if period == 1:
        return outputs[0]
    y = jnp.stack(outputs, axis + 1)
    y = y.reshape(x.shape[:axis] + (most * period,) + x.shape[axis + 1 :])
    return _slice_axis(y, axis, 0, size, 1)


def _padded(x, axis, phases, count, stride):
    """Outputs 0 to ``count`` of every phase, all from one padded array.

    A phase is a list of (offset, factor): output m sums factor * x[offset + m*stride].
    """
    offsets = [offset for hits in phases for offset, _ in hits]
    if not offsets:
        return [_zeros(x, axis, count) for _ in phases]
    low = max(0, -min(offsets))
    high = max(0, max(offsets) + (count - 1) * stride + 1 - x.shape[axis])
    widths = [(0, 0)] * x.ndim
    widths[axis] = (low, high)
    padded = jnp.pad(x, widths) if low or high else x
    return [
        _sum(padded, axis, [(o + low, tap) for o, tap in hits], count, stride)
        for hits in phases
    ]


def _in_parts(x, axis, hits, count, stride):
    """One phase without padding: the outputs inside, and one by one those at the edges.

    On a CPU XLA's loop over a padded array asks at every pixel whether it lies outside;
    measured on 2 AVX-512 cores at 64x64 with 512 channels this is 2.4 times as quick
    for a filter, 1.7 for downsampling and 6 for upsampling.
    """
    length = x.shape[axis]
    low = min((o for o, _ in hits), default=0)
    high = max((o for o, _ in hits), default=0)
    first = min(count, max(0, -(low // stride)))
    end = max(first, min(count, (length - 1 - high) // stride + 1))

    def one(m):
        inside = [(o, tap) for o, tap in hits if 0 <= o + m * stride < length]
        return total(inside, m, 1)

    def total(hits, m, number):
        moved = [(o + m * stride, tap) for o, tap in hits]
        return _sum(x, axis, moved, number, stride)

    parts = [one(m) for m in range(first)]
    if end > first:
        parts.append(total(hits, first, end - first))
    parts += [one(m) for m in range(end, count)]
    return jnp.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _sum(x, axis, hits, count, stride):
    if not hits:
        return _zeros(x, axis, count)
    return sum(_slice_axis(x, axis, o, count, stride) * tap for o, tap in hits)


def _zeros(x, axis, count):
    return jnp.zeros(x.shape[:axis] + (count,) + x.shape[axis + 1 :], x.dtype)


def _slice_axis(x, axis, start, count, stride):
    return lax.slice_in_dim(x, start, start + (count - 1) * stride + 1, stride, axis)
