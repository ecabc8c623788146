"""Modulated convolution through XLA: the semantics, and the fallback everywhere."""

from __future__ import annotations

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.ops.bias_act import bias_act
from stylegan_jax.ops.conv2d import conv2d
from stylegan_jax.ops.modulated_conv2d.problem import Problem


def modulated_conv2d(
    x, w, styles, *, demodulate, up, resample_filter, noise, bias, act, gain, clamp
) -> jax.Array:
    """See ``stylegan_jax.ops.modulated_conv2d``."""
    if demodulate and x.dtype == jnp.float16:
        w, styles = tame(w, styles)
    d = demodulation(w, styles) if demodulate else None
    y = _convolve(x, w, styles, d, noise, up, resample_filter)
    return bias_act(y, bias, act=act, gain=gain, clamp=clamp)


def layer(problem: Problem, x, w, s, d, noise, bias) -> jax.Array:
    """The fused layer of ``stylegan_jax.ops.modulated_conv2d.fused``."""
    y = _convolve(x, w, s, d, noise, problem.up, problem.taps)
    epilogue = problem.epilogue
    return bias_act(y, bias, act=epilogue.act, gain=epilogue.gain, clamp=epilogue.clamp)


def _convolve(x, w, s, d, noise, up, resample_filter):
    # Styles times kernels would be quicker for torgb on a CPU, but jax 0.10.2 fuses
    # such products into wrong sums: docs/design.md.
    x = x * s[:, None, None, :].astype(x.dtype)
    y = conv2d(x, w.astype(x.dtype), up=up, resample_filter=resample_filter)
    if d is not None:
        y = y * d[:, None, None, :].astype(y.dtype)
    return y if noise is None else y + noise.astype(y.dtype)


def demodulation(w: jax.Array, styles: jax.Array) -> jax.Array:
    """Inverse norms [N, O] of the modulated kernels, always in float32."""
    w, styles = w.astype(jnp.float32), styles.astype(jnp.float32)
    # Tap by tap: XLA's sum over the first axes takes a CPU 70 times as long.
    taps = [jnp.square(w[a, b]) for a, b in np.ndindex(w.shape[:2])]
    energy = functools.reduce(operator.add, taps)
    return jax.lax.rsqrt(jnp.square(styles) @ energy + 1e-8)


def tame(w: jax.Array, styles: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Bounds kernel and styles so that float16 sums cannot overflow.

    Demodulation divides both scales out again, so the function stays the same.
    """
    fan_in = w.shape[0] * w.shape[1] * w.shape[2]
    w = w * (fan_in**-0.5 / jnp.max(jnp.abs(w), (0, 1, 2), keepdims=True))
    return w, styles / jnp.max(jnp.abs(styles), 1, keepdims=True)
