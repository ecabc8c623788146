"""A pool of earlier made pictures that the discriminator is shown (Shrivastava 2017).

Half of the pictures that the discriminator sees come from the pool, so that it does not
forget what the generator did before ("Learning from simulated and unsupervised images",
section 2.3; pix2pixHD's option ``pool_size``).

DIFF(hd): every picture of a step has a place of its own in the pool, drawn for the step
from the root key, where the program draws one place after the other from the host's
generator: so what happens does not depend on how a batch is split over devices, and the
pool is the same on all of them.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from stylegan_jax.training import rngs
from stylegan_jax.training.rngs import Draw


def places(key: jax.Array, seen: jax.Array, index: jax.Array, size: int, batch: int):
    """A place for each sample, no two alike.

    Args:
        key: the step's key, the same on all devices.
        seen: int scalar, pictures that the run put into the pool before this step.
        index: [n] int, positions of the samples in the global batch.
        size: pictures in the pool, at least ``batch``; the largest multiple of that
            is used.
        batch: pictures in the global batch.

    Returns:
        [n] int places, and [n] bool: whether the place holds a picture already.
    """
    # Whole batches fill it, so that no place is drawn before it holds a picture.
    size = size // batch * batch
    filling = seen + batch <= size
    drawn = jax.random.permutation(key, size)[index]
    chosen = jnp.where(filling, seen + index, drawn)
    return chosen, jnp.broadcast_to(~filling, index.shape)


def show(
    pool: jax.Array,
    made: jax.Array,
    keys: jax.Array,
    chosen: jax.Array,
    full: jax.Array,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What the discriminator sees instead of the pictures made now.

    Args:
        pool: [P, H, W, C].
        made: [n, H, W, C] pictures behind their inputs.
        keys: [n] keys, one for each sample.
        chosen: [n] places, see `places`.
        full: [n] whether the place holds a picture.

    Returns:
        [n, H, W, C], and what `store` takes: sums over samples, devices and parts.
    """
    coins = jax.vmap(jax.random.bernoulli)(rngs.split(keys, Draw.POOL))
    swap = full & coins
    shown = jnp.where(swap[:, None, None, None], pool[chosen], made)
    written = (swap | ~full).astype(jnp.float32)
    images = jnp.zeros(pool.shape).at[chosen].add(made * written[:, None, None, None])
    marks = jnp.zeros(len(pool)).at[chosen].add(written)
    return shown, {"images": images, "marks": marks}


def store(pool: jax.Array, mean: dict[str, jax.Array], shares: int) -> jax.Array:
    """The pool with a step's pictures in it.

    Args:
        pool: [P, H, W, C].
        mean: what `show` gave, averaged over devices and parts.
        shares: how many devices and parts there were.
    """
    # A place is written by one sample at most: the sum is that sample's.
    marks = mean["marks"] > 0
    return jnp.where(marks[:, None, None, None], mean["images"] * shares, pool)
