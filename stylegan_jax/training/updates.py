"""What the steps of all trainers share: accumulation, averages, the pictures' range.

And how weights from a file take a fresh state's place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.training import spmd


def to_model_range(images: jax.Array) -> jax.Array:
    """uint8 to float32 in [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def placed(tree: Any, like: Any) -> Any:
    """Arrays of ``tree`` with the types and on the devices of those in ``like``."""
    return jax.tree.map(
        lambda new, old: jax.device_put(np.asarray(new, old.dtype), old.sharding),
        tree,
        like,
    )


def accumulate(
    gradient: Callable[..., Any],
    params: Any,
    state: Any,
    batch: dict[str, jax.Array],
    key: jax.Array,
    parts: int,
) -> Any:
    """Mean gradient and aux over the accumulation steps of this device.

    Args:
        gradient: ``(params, state, batch, key) -> (gradient, aux)``.
        params: what is differentiated.
        state: handed on.
        batch: this device's samples.
        key: handed on.
        parts: how many accumulation steps.
    """
    if parts == 1:
        return gradient(params, state, batch, key)

    def split(x):
        return x.reshape(parts, x.shape[0] // parts, *x.shape[1:])

    def add(total, part):
        return jax.tree.map(jnp.add, total, gradient(params, state, part, key)), None

    stacked = {name: split(value) for name, value in batch.items()}
    first = {name: value[0] for name, value in stacked.items()}
    shapes = jax.eval_shape(gradient, params, state, first, key)
    # From zeros, not from the first part's gradient: that would be a second copy of the
    # program, whose memory adds to the loop's where the compiler runs both at once.
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(add, spmd.varying(zeros), stacked)
    return jax.tree.map(lambda x: x / parts, total)


def average_decay(
    batch: int, nimg: jax.Array, kimg: float, rampup: float | None
) -> jax.Array:
    """What a moving average keeps of itself in one step, from 0 to 1.

    The half-life is ``kimg``, but at most ``rampup`` of the images seen, so that the
    average forgets the first images quickly.

    Args:
        batch: images in the global batch.
        nimg: int scalar, images seen.
        kimg: half-life in thousands of images.
        rampup: the share; None for no bound.
    """
    half_life = jnp.asarray(kimg * 1000.0, jnp.float32)
    if rampup is not None:
        half_life = jnp.minimum(half_life, nimg.astype(jnp.float32) * rampup)
    return 0.5 ** (batch / jnp.maximum(half_life, 1e-8))


def move_average(average: Any, new: Any, decay: jax.Array) -> Any:
    """``decay`` of the average and the rest of what is new, leaf by leaf."""
    return jax.tree.map(lambda a, n: n + decay * (a - n), average, new)
