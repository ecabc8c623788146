"""Random numbers of a run, keyed so that the device layout cannot matter.

Every draw for a sample is keyed by (root, stream, step, index of the sample in the
global batch) and then by what it is for. Nothing is ever keyed by a device.
"""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp


class Stream(enum.IntEnum):
    """What a chain of keys is for. Numbers are part of a run: never reuse one."""

    INIT_G = 0
    INIT_D = 1
    G_MAIN = 3
    G_REG = 4
    D_MAIN = 5
    D_REG = 6
    PSP = 7
    PIX2PIXHD = 8
    POOL = 9
    INIT_E = 10
    ATTRIBUTES = 11
    FACESPACE = 14


class Draw(enum.IntEnum):
    """What one sample's key is split into."""

    Z = 0
    MIX_Z = 1
    MIX_CUTOFF = 2
    NOISE = 3
    PATH = 4
    AUGMENT_FAKE = 5
    AUGMENT_REAL = 6
    MIRROR = 7
    DEGRADE = 8
    DISTORT = 9
    POOL = 10
    BETWEEN = 11
    BLEND = 14


def stream_key(root: jax.Array, stream: Stream) -> jax.Array:
    """The key of a stream."""
    return jax.random.fold_in(root, int(stream))


def sample_keys(
    root: jax.Array, stream: Stream, step: jax.Array, index: jax.Array
) -> jax.Array:
    """One key for each sample of a batch.

    Args:
        root: the run's key.
        stream: which phase draws.
        step: scalar int, the training step.
        index: [n] int, positions of the samples in the global batch.

    Returns:
        [n] keys.
    """
    key = jax.random.fold_in(stream_key(root, stream), step)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def split(keys: jax.Array, draw: Draw) -> jax.Array:
    """The samples' keys for one purpose: [n] keys from [n] keys."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, int(draw))


def normal(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Unit normal [n, *shape] float32, sample i's from its own key alone."""
    return jax.vmap(lambda k: jax.random.normal(k, shape, jnp.float32))(keys)
