"""The functions that draw generators' pictures, pure and ready to be compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

# Streams of random numbers under a picture's seed.
Z_STREAM, NOISE_STREAM = 0, 1

# The mesh axis that pictures are spread over.
AXIS = "data"


def map_latents(
    module: nn.Module,
    cutoff: int | None,
    variables: Any,
    z: jax.Array,
    c: jax.Array | None,
    psi: jax.Array,
) -> jax.Array:
    """Maps z [N, z_dim] and labels to truncated w_plus [N, num_ws, w_dim]."""
    with _exact_products():
        w_plus: Any = module.apply(
            variables,
            z,
            c,
            truncation_psi=psi,
            truncation_cutoff=cutoff,
            method="mapping",
        )
    return w_plus


def synthesise(
    module: nn.Module,
    noise_mode: str,
    variables: Any,
    w_plus: jax.Array,
    keys: jax.Array | None,
) -> jax.Array:
    """Draws [N, H, W, C] float32 from w_plus, random noise from one key each."""
    with _exact_products():
        x: Any = module.apply(
            variables,
            w_plus,
            noise_mode=noise_mode,
            noise_keys=keys,
            method="synthesis",
        )
    return x


def _exact_products() -> contextlib.AbstractContextManager:
    """Products of float32 in float32, where jax was not told otherwise.

    Accelerators would round the operands to 16 bits, and one seed would give another
    picture on each kind of device.
    """
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    if asked is not None:
        return contextlib.nullcontext()
    return jax.default_matmul_precision("highest")


def stream_keys(seeds: jax.Array, stream: int) -> jax.Array:
    """One key per seed [N] uint32; the generator is named, not left to jax's flags."""

    def make(seed: jax.Array) -> jax.Array:
        return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), stream)

    return jax.vmap(make)(seeds)


def image_keys(key: jax.Array, number: int) -> jax.Array:
    """Keys of pictures 0 … number-1 under one key: [number]."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(number))


def draw_z(z_dim: int, seeds: jax.Array) -> jax.Array:
    """The z of each seed: [N] uint32 to [N, z_dim] float32."""
    keys = stream_keys(seeds, Z_STREAM)
    return jax.vmap(lambda key: jax.random.normal(key, (z_dim,)))(keys)


def compile_tiles(
    module: nn.Module, mesh: Mesh, cutoff: int | None, noise_mode: str
) -> Callable[..., jax.Array]:
    """The program that draws one tile on each device of a mesh."""

    def draw(
        variables: Any, seeds: jax.Array, z: jax.Array, c: jax.Array, psi: jax.Array
    ) -> jax.Array:
        w_plus = map_latents(module, cutoff, variables, z, c, psi)
        keys = stream_keys(seeds, NOISE_STREAM) if noise_mode == "random" else None
        x = synthesise(module, noise_mode, variables, w_plus, keys)
        return to_bytes(x)

    rows = PartitionSpec(AXIS)
    # check_vma=False: the Pallas operators need it, and no output is replicated.
    return jax.jit(
        jax.shard_map(
            draw,
            mesh=mesh,
            in_specs=(PartitionSpec(), rows, rows, rows, PartitionSpec()),
            out_specs=rows,
            check_vma=False,
        )
    )


def to_bytes(images: jax.Array) -> jax.Array:
    """Float32 in [-1, 1] to uint8, rounded and clipped."""
    return jnp.clip(jnp.round(images * 127.5 + 127.5), 0, 255).astype(jnp.uint8)


def pad(x: np.ndarray, multiple: int) -> np.ndarray:
    """Repeats the first row until the length is a multiple."""
    extra = -len(x) % multiple
    return np.concatenate([x, np.repeat(x[:1], extra, axis=0)]) if extra else x
