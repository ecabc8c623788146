"""Checks of what a caller hands to a model, each failing with one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from stylegan_jax.errors import UserError

MAX_SEED = 2**32 - 1


def check_seeds(seeds: Sequence[int]) -> np.ndarray:
    """Seeds as [N] uint32; raises `UserError` unless each is from 0 to 2^32 - 1."""
    numbers = list(seeds)
    if not numbers:
        raise UserError("there are no seeds: give at least one.")
    for seed in numbers:
        if not isinstance(seed, int | np.integer) or not 0 <= seed <= MAX_SEED:
            raise UserError(f"a seed is an integer from 0 to {MAX_SEED}, got {seed!r}.")
    return np.array(numbers, np.uint32)


def check_array(x: jax.Array, name: str, shape: tuple[str | int, ...]) -> None:
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
