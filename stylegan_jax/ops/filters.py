"""Separable FIR filters, held as plain tuples so that they are static under jit."""

from __future__ import annotations

from collections.abc import Sequence

from stylegan_jax.types import Filter


def make_filter(taps: Sequence[float]) -> Filter:
    """Normalises one-dimensional filter taps to unit sum.

    Args:
        taps: the taps of a separable filter, e.g. ``[1, 3, 3, 1]`` (StyleGAN2's).

    Returns:
        A hashable tuple of the same length whose sum is 1.

    Raises:
        ValueError: if there are no taps or their sum is zero.
    """
    total = float(sum(taps))
    if not taps or total == 0.0:
        raise ValueError(
            f"A resampling filter needs taps with a non-zero sum, got {list(taps)}."
        )
    return tuple(float(t) / total for t in taps)
