"""Checks of what a caller hands to a model, each failing with one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.errors import UserError

MAX_SEED = 2**32 - 1


def check_seeds(seeds: Iterable[int] | jax.Array) -> np.ndarray:
    """Seeds as [N] uint32; raises `UserError` unless each is from 0 to 2^32 - 1."""
    if isinstance(seeds, jax.Array):
        seeds = np.asarray(seeds)
    if not np.iterable(seeds):
        raise UserError(f"seeds are a sequence such as [0, 1], got {seeds!r}.")
    numbers: list[Any] = list(seeds)
    if not numbers:
        raise UserError("there are no seeds: give at least one.")
    for seed in numbers:
        whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        if not whole or not 0 <= seed <= MAX_SEED:
            raise UserError(f"a seed is an integer from 0 to {MAX_SEED}, got {seed!r}.")
    return np.array(numbers, np.uint32)


def check_array(
    x: jax.Array | np.ndarray, name: str, shape: tuple[str | int, ...]
) -> None:
    """Raises `UserError` unless ``x`` has the shape; a word stands for any size."""
    fits = x.ndim == len(shape) and all(
        isinstance(want, str) or have == want
        for have, want in zip(x.shape, shape, strict=True)
    )
    if not fits:
        want = ", ".join(map(str, shape))
        raise UserError(f"{name} must be [{want}], got {list(x.shape)}.")


def check_choice(value: str, name: str, choices: Sequence[str]) -> None:
    """Raises `UserError` unless ``value`` is one of the choices."""
    if value not in choices:
        raise UserError(f"unknown {name} {value!r}: choose from {', '.join(choices)}.")


def check_truncation(psi: Any, cutoff: Any, num_ws: int) -> None:
    """Raises `UserError` unless psi is one finite number and cutoff None or 0…num_ws.

    A psi that jax traces has no value yet and passes.
    """
    if not isinstance(psi, jax.core.Tracer):
        value = np.asarray(psi)
        is_real = jnp.issubdtype(value.dtype, jnp.floating) or value.dtype.kind in "iu"
        if value.ndim or not is_real or not np.isfinite(value):
            raise UserError(f"truncation_psi is a number such as 0.7, got {psi!r}.")
    if cutoff is None:
        return
    whole = isinstance(cutoff, int | np.integer) and not isinstance(cutoff, bool)
    if not whole or not 0 <= cutoff <= num_ws:
        raise UserError(
            f"truncation_cutoff is a number of layers from 0 to {num_ws}, got "
            f"{cutoff!r}."
        )


def check_key(key: Any) -> None:
    """Raises `UserError` unless ``key`` is one new-style jax random key."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key) or key.ndim:
        raise UserError(
            "key must be a single key such as jax.random.key(0) makes, got "
            f"{type(key).__name__ if dtype is None else f'{dtype} {list(key.shape)}'}."
        )
