"""The fused layer as one operator with derivatives of every order.

    y = epilogue(conv(x * s, w) * d + noise + bias)

The forward pass is one kernel. The backward pass is written in terms of this operator
and of the convolutions of ``bilinear_convs``, so that it can be differentiated again: a
``pallas_call`` itself is never differentiated. Nothing but the arguments and the result
is kept for it: the slope of the activation and the gradient for d follow from y.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from stylegan_jax.ops.conv2d import conv2d
from stylegan_jax.ops.modulated_conv2d.problem import Epilogue, Problem
from stylegan_jax.types import Filter

# problem -> function of (x, w, s, d, noise, bias)
Run = Callable[[Problem], Callable[..., jax.Array]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def layer(
    run: Run,
    up: int,
    taps: Filter,
    epilogue: Epilogue,
    x: jax.Array,
    w: jax.Array,
    s: jax.Array,
    d: jax.Array | None,
    noise: jax.Array | None,
    bias: jax.Array | None,
) -> jax.Array:
    """Computes the layer by what ``run`` gives for it.

    Args:
        run: gives the implementation of a problem; equal ones must compare equal.
        up: 1 or 2.
        taps: low-pass taps where ``up`` is 2.
        epilogue: activation ("linear" or "lrelu"), gain and clamp.
        x: [N, H, W, I].
        w: [k, k, I, O] float32.
        s: [N, I] float32.
        d: [N, O] float32 without zeros, or None for ones.
        noise: [1 or N, H*up, W*up, 1] float32, or None.
        bias: [O] float32, or None.

    Returns:
        [N, H*up, W*up, O], x's dtype.
    """
    problem = Problem(
        x.shape, w.shape, x.dtype.name, up, taps, epilogue, noise is not None
    )
    return run(problem)(x, w, s, d, noise, bias)


def _forward(run, up, taps, epilogue, x, w, s, d, noise, bias):
    y = layer(run, up, taps, epilogue, x, w, s, d, noise, bias)
    return y, (x, w, s, d, noise, bias, y)


def _backward(run, up, taps, epilogue, residuals, g):
    x, w, s, d, noise, bias, y = residuals
    g = _unclamped(g.astype(jnp.float32), y, epilogue)
    p = g * _slope(y, epilogue)
    scaled = p if d is None else p * _everywhere(d)
    xs, scaled = _times(x, s), scaled.astype(x.dtype)
    _, pull = jax.vjp(
        lambda xs, w: conv2d(xs, w, up=up, resample_filter=taps),
        xs,
        w.astype(x.dtype),
    )
    dxs, dw = pull(scaled)
    if up == 1 and w.shape[0] == 3:
        # The adjoint of this convolution is one again, with its taps turned.
        turned = jnp.swapaxes(jnp.flip(w, (0, 1)), 2, 3)
        ones = jnp.ones((x.shape[0], w.shape[3]), jnp.float32) if d is None else d
        dxs = layer(
            run, 1, (), Epilogue(), p.astype(x.dtype), turned, ones, None, None, None
        )
    dx = _times(dxs, s)
    ds = jnp.sum(x.astype(jnp.float32) * dxs.astype(jnp.float32), (1, 2))
    return (
        dx,
        dw.astype(w.dtype),
        ds.astype(s.dtype),
        None if d is None else _scale_gradient(g, y, p, d, noise, bias),
        None if noise is None else _noise_gradient(p, noise),
        None if bias is None else jnp.sum(p, (0, 1, 2)).astype(bias.dtype),
    )


layer.defvjp(_forward, _backward)


def _everywhere(scale):
    return scale[:, None, None, :]


def _times(x, scale):
    return x * _everywhere(scale).astype(x.dtype)


def _unclamped(g, y, epilogue):
    """Zeros where the result does not follow its argument."""
    if epilogue.clamp is None:
        return g
    return jnp.where(jnp.abs(y) < epilogue.clamp, g, 0.0)


def _slope(y, epilogue):
    """Derivative of the unclamped epilogue, from its result."""
    gain = epilogue.gain
    if epilogue.act == "linear":
        return gain
    # At zero the two sides of a maximum share the gradient, as jax has it.
    return jnp.where(y > 0, gain, jnp.where(y < 0, 0.2 * gain, 0.6 * gain))


def _scale_gradient(g, y, p, d, noise, bias):
    """Gradient [N, O] for d: the sum of p times conv(x * s).

    That is (v - noise - bias) / d, where v comes before the activation; and p v = g y,
    since both slopes of the activation go through zero.
    """
    product = g * y.astype(jnp.float32)
    after = [v.astype(jnp.float32) for v in (noise, bias) if v is not None]
    if after:
        product = product - p * sum(after)
    return (jnp.sum(product, (1, 2)) / d).astype(d.dtype)


def _noise_gradient(p, noise):
    axes = (0, 3) if noise.shape[0] == 1 else (3,)
    return jnp.sum(p, axes, keepdims=True).astype(noise.dtype)
