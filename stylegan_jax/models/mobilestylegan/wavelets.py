"""The inverse Haar transform, which doubles the size of a map."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def inverse_haar(x: jax.Array) -> jax.Array:
    """Puts four sub-bands together (Belousov 2021, section 3.1).

    The first C channels are the low band. The others are C times three: for every
    channel its vertical, horizontal and diagonal details. Each of the four pixels that
    a pixel becomes is half their sum, with the signs of its place.

    Args:
        x: [N, H, W, 4 C].

    Returns:
        [N, 2 H, 2 W, C], x's dtype.
    """
    n, height, width, channels = x.shape
    number = channels // 4
    low = x[..., :number]
    high = x[..., number:].reshape(n, height, width, number, 3)
    vertical, horizontal, diagonal = (high[..., i] for i in range(3))
    rows = []
    for below in (1, -1):
        even = (low + below * vertical) * 0.5
        odd = (horizontal + below * diagonal) * 0.5
        # Two pixels side by side, as the channels of one: the same order in memory.
        rows.append(jnp.concatenate([even + odd, even - odd], -1))
    return jnp.stack(rows, 2).reshape(n, 2 * height, 2 * width, number)
