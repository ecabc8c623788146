"""Aliases and shape checks shared by every layer.

Axis letters used in comments and docstrings:

    N  images in a batch        H, W  rows and columns of pixels
    C  channels (I in, O out)   k, l  rows and columns of a kernel
    G  groups (minibatch std)   n     images in a group
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax

Params = Mapping[str, Any]
Variables = Mapping[str, Any]
Filter = tuple[float, ...]


def check_shape(
    x: jax.Array, name: str, expected: Sequence[int | None], *, where: str = ""
) -> None:
    """Raises ``ValueError`` unless ``x.shape`` fits ``expected`` (None = any size)."""
    fits = len(x.shape) == len(expected) and all(
        want is None or have == want
        for have, want in zip(x.shape, expected, strict=True)
    )
    if not fits:
        want = ", ".join("any" if e is None else str(e) for e in expected)
        place = f" in {where}" if where else ""
        raise ValueError(f"{name}{place} has shape {x.shape}, expected ({want}).")
