"""Bias, activation, gain and clamp in one place."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

# Gains keep the signal's variance through the activation (He initialisation).
_ACTIVATIONS = {
    "linear": (lambda x: x, 1.0),
    "lrelu": (lambda x: jnp.maximum(x, 0.2 * x), math.sqrt(2.0)),
    "relu": (lambda x: jnp.maximum(x, 0.0), math.sqrt(2.0)),
    "tanh": (jnp.tanh, 1.0),
    "sigmoid": (jax.nn.sigmoid, 1.0),
    "swish": (jax.nn.swish, math.sqrt(2.0)),
}


def activation_gain(act: str) -> float:
    """Returns the variance-keeping gain of an activation."""
    return _lookup(act)[1]


def bias_act(
    x: jax.Array,
    b: jax.Array | None = None,
    *,
    act: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
) -> jax.Array:
    """Adds a bias, applies an activation, scales and clamps.

    Equivalent to ``clip(f(x + b) * gain, -clamp, clamp)``.

    Args:
        x: [..., C], any float dtype; the result has the same.
        b: [C], or None for no bias.
        act: one of linear, lrelu (slope 0.2), relu, tanh, sigmoid, swish.
        gain: factor behind the activation; None takes the activation's own
            (sqrt(2) for lrelu).
        clamp: bound of the absolute value of the result; None leaves it unbounded.

    Raises:
        ValueError: for an unknown activation.
    """
    function, default_gain = _lookup(act)
    gain = default_gain if gain is None else gain
    if b is not None:
        x = x + b.astype(x.dtype)
    x = function(x)
    if gain != 1.0:
        x = x * gain
    if clamp is not None:
        x = jnp.clip(x, -clamp, clamp)
    return x


def _lookup(act: str):
    if act not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise ValueError(f"Unknown activation '{act}', choose from {known}.")
    return _ACTIVATIONS[act]
