"""Convolutions between pictures and features: few channels on one side.

XLA's convolution on a CPU works through blocks of channels, and with three of them it
has little to work on: the 7x7 convolution from 32 channels to a picture takes five
times as long as the same sums as one matrix product and shifted additions, and the
derivatives of the 7x7 convolution from a picture twice as long as with the kernel's
rows laid into the channels. On accelerators both are the library's convolution.

Kernels of 1x1 are matrix products with a very long side, bound by memory. Measured on
2 AVX-512 cores, 8 pictures of 64x64 with 512 channels: torgb with the styles in the
kernels 2.7 times as quick as with styles times features; the weight gradient 4.4 times
as quick with a product for each picture and the thin side first; fromrgb as three
scaled copies 1.8 times as quick as by a matrix product.
"""

from __future__ import annotations

import functools
import operator

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


def is_thin(w: jax.Array) -> bool:
    """Whether a kernel [..., I, O] has few channels on one side, and not on both."""
    thin, wide = sorted(w.shape[-2:])
    return thin <= MOST_CHANNELS < wide


@jax.custom_vjp
def pointwise(x: jax.Array, w: jax.Array) -> jax.Array:
    """1x1 convolution with a kernel for each picture; gradients of any order.

    In reverse mode: forward-mode differentiation is not defined.

    Args:
        x: [N, H, W, I].
        w: [N, I, O].

    Returns:
        [N, H, W, O].
    """
    if w.shape[1] <= MOST_CHANNELS and x.dtype == jnp.float32:
        return lax.platform_dependent(x, w, cpu=_scaled_copies, default=_products)
    return _products(x, w)


@jax.custom_vjp
def _pointwise_wgrad(x: jax.Array, g: jax.Array) -> jax.Array:
    """Gradient of <pointwise(x, w), g> with respect to w: [N, I, O]."""
    # Without the barrier XLA would swap the operands instead of the axes, here or where
    # the result is used.
    if x.shape[3] <= g.shape[3]:
        return lax.optimization_barrier(_summed("nhwi,nhwo->nio", x, g))
    return jnp.swapaxes(lax.optimization_barrier(_summed("nhwo,nhwi->noi", g, x)), 1, 2)


def _summed(subscripts, a, b):
    # Over pixels in float32, also of narrower operands.
    y = jnp.einsum(subscripts, a, b, preferred_element_type=jnp.float32)
    return y.astype(a.dtype)


def _products(x, w):
    return jnp.einsum("nhwi,nio->nhwo", x, w)


def _scaled_copies(x, w):
    copies = [x[..., i : i + 1] * w[:, None, None, i] for i in range(w.shape[1])]
    return functools.reduce(operator.add, copies)


def _match(gradients, primals):
    return tuple(g.astype(p.dtype) for g, p in zip(gradients, primals, strict=True))


def _saving(function):
    return lambda a, b: (function(a, b), (a, b))


def _pointwise_backward(saved, g):
    x, w = saved
    return _match((pointwise(g, jnp.swapaxes(w, 1, 2)), _pointwise_wgrad(x, g)), saved)


def _pointwise_wgrad_backward(saved, v):
    x, g = saved
    return _match((pointwise(g, jnp.swapaxes(v, 1, 2)), pointwise(x, v)), saved)


pointwise.defvjp(_saving(pointwise), _pointwise_backward)
_pointwise_wgrad.defvjp(_saving(_pointwise_wgrad), _pointwise_wgrad_backward)
