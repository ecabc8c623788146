"""Wide kernels between pictures and features: few channels on one side.

XLA's convolution on a CPU works through blocks of channels, and with three of them it
has little to work on: the 7x7 convolution from 32 channels to a picture takes five
times as long as the same sums as one matrix product and shifted additions, and the
derivatives of the 7x7 convolution from a picture twice as long as with the kernel's
rows laid into the channels. On accelerators both are the library's convolution.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

_NHWC = ("NHWC", "HWIO", "NHWC")

# Channels up to which a side counts as thin, and kernels from which it matters.
MOST_CHANNELS = 8
LEAST_KERNEL = 4


def correlate(x: jax.Array, w: jax.Array) -> jax.Array:
    """Correlates pictures with a square kernel, without padding.

    Args:
        x: [N, H, W, I].
        w: [k, k, I, O].

    Returns:
        [N, H - k + 1, W - k + 1, O].
    """
    size, _, inputs, outputs = w.shape
    if size < LEAST_KERNEL:
        return _plain(x, w)
    if outputs <= MOST_CHANNELS < inputs:
        return _to_few(x, w)
    if inputs <= MOST_CHANNELS:
        return lax.platform_dependent(x, w, cpu=_from_few, default=_plain)
    return _plain(x, w)


def _plain(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=_NHWC)


def _from_few(x: jax.Array, w: jax.Array) -> jax.Array:
    """The rows of the kernel become channels: one row of taps over k times as many."""
    size = w.shape[0]
    height = x.shape[1] - size + 1
    rows = jnp.concatenate([x[:, a : a + height] for a in range(size)], 3)
    taps = jnp.concatenate([w[a : a + 1] for a in range(size)], 2)
    return _plain(rows, taps)


@jax.custom_vjp
def _to_few(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.platform_dependent(x, w, cpu=_by_taps, default=_plain)


def _by_taps(x: jax.Array, w: jax.Array) -> jax.Array:
    """Every tap's product at every pixel first, then the shifted sums."""
    size, _, inputs, outputs = w.shape
    n, height, width, _ = x.shape
    across = w.transpose(2, 1, 0, 3).reshape(inputs, -1)  # [I,b·a·O]
    y = jnp.einsum("nhwi,iq->nhwq", x, across)
    y = y.reshape(n, height, width, size, size * outputs)
    span = width - size + 1
    wide = jnp.zeros((), y.dtype)
    for b in range(size):
        wide = wide + y[:, :, b : b + span, b]  # [N,H,w,a·O]
    y = wide.reshape(n, height, span, size, outputs)
    rows = height - size + 1
    total = jnp.zeros((), y.dtype)
    for a in range(size):
        total = total + y[:, a : a + rows, :, a]
    return total


def _to_few_forward(x: jax.Array, w: jax.Array):
    return _to_few(x, w), (x, w)


def _to_few_backward(saved, g: jax.Array):
    # Its derivatives have many channels on the other side: the library is quick there.
    return jax.vjp(_plain, *saved)[1](g)


_to_few.defvjp(_to_few_forward, _to_few_backward)
