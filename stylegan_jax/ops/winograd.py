"""3x3 convolutions at stride 1 with a quarter of the multiplications, for a CPU.

Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2015, "Fast Algorithms for
Convolutional Neural Networks"): tiles of 6x6 pixels, 4 apart, and the kernel go through
small fixed matrices, what were convolutions are then 36 matrix products, and another
fixed matrix gives 4x4 pixels of the result:

    y = A^T [(G w G^T) * (B^T x B)] A        summed over the input channels

36 products of a tile's 16 pixels take the place of 144. The results differ from those
of a plain sum by some 5e-6 of their norm in float32; half precision would lose too much
in the transforms, so it is not taken.

The products stay 36 operations of their own: stacked into one, the copies in and out
cost more than they save.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

# Interpolation at 0, 1, -1, 2, -2 and infinity.
_PIXELS = (  # B^T
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (  # G
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_RESULT = (  # A^T
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
_TILE, _STEP = 6, 4

Matrix = Sequence[Sequence[float]]
Table = list[list[jax.Array]]


def tiles(shape: Sequence[int]) -> int:
    """How many tiles a batch of shape (N, H, W, C) has: rows of each product."""
    return shape[0] * -(-shape[1] // _STEP) * -(-shape[2] // _STEP)


# Traced once for a shape, however many layers have it.
@jax.jit
def correlate(x: jax.Array, w: jax.Array) -> jax.Array:
    """Correlates [N,H,W,I] with w [3,3,I,O] at stride 1, zero padding 1, float32."""
    n, height, width, _ = x.shape
    outputs = w.shape[3]
    down, across = -(-height // _STEP), -(-width // _STEP)
    tiles, kernels = _tiles(x), _transformed_kernel(w)
    products = [
        [
            jnp.dot(tiles[a][b], kernels[a][b], precision=lax.Precision.HIGHEST)
            for b in range(_TILE)
        ]
        for a in range(_TILE)
    ]
    columns = [_combine([row[b] for row in products], _RESULT) for b in range(_TILE)]
    rows = []
    for p in range(_STEP):
        pixels = _combine([column[p] for column in columns], _RESULT)
        shape = (n, down, across, outputs)
        rows.append(jnp.stack([pixel.reshape(shape) for pixel in pixels], 3))
    y = jnp.stack(rows, 2)  # [N,down,4,across,4,O]
    y = y.reshape(n, down * _STEP, across * _STEP, outputs)
    return y[:, :height, :width]


@jax.jit
def weight_gradient(x: jax.Array, g: jax.Array) -> jax.Array:
    """Gradient of <correlate(x, w), g> with respect to w: [3,3,I,O], float32."""
    tiles, gradients = _tiles(x), _spread(g)
    kernels = [
        [
            jnp.einsum(
                "ti,to->io",
                tiles[a][b],
                gradients[a][b],
                precision=lax.Precision.HIGHEST,
            )
            for b in range(_TILE)
        ]
        for a in range(_TILE)
    ]
    transposed = list(zip(*_KERNEL, strict=True))
    columns = [_combine([row[b] for row in kernels], transposed) for b in range(_TILE)]
    taps = [
        jnp.stack(_combine([column[k] for column in columns], transposed))
        for k in range(3)
    ]
    return jnp.stack(taps)


def _combine(terms: Sequence[jax.Array], matrix: Matrix) -> list[jax.Array]:
    """The rows of a matrix times a column of arrays, without multiplying by 0 or 1."""
    found = []
    for row in matrix:
        parts = [_scaled(x, k) for x, k in zip(terms, row, strict=True) if k]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        found.append(total)
    return found


def _scaled(x: jax.Array, factor: float) -> jax.Array:
    if abs(factor) == 1:
        return x if factor > 0 else -x
    return x * factor


def _tiles(x: jax.Array) -> Table:
    """B^T x B of every tile: 6 by 6 arrays [N*down*across, I]."""
    _, height, width, channels = x.shape
    down, across = -(-height // _STEP), -(-width // _STEP)
    after = (down * _STEP + 1 - height, across * _STEP + 1 - width)
    x = jnp.pad(x, ((0, 0), (1, after[0]), (1, after[1]), (0, 0)))
    rows = _combine([_every_fourth(x, a, down, 1) for a in range(_TILE)], _PIXELS)
    return [
        [
            tile.reshape(-1, channels)
            for tile in _combine(
                [_every_fourth(row, b, across, 2) for b in range(_TILE)], _PIXELS
            )
        ]
        for row in rows
    ]


def _spread(g: jax.Array) -> Table:
    """A g A^T of every 4x4 square of a result's gradient, [N*down*across, O] each."""
    _, height, width, channels = g.shape
    down, across = -(-height // _STEP), -(-width // _STEP)
    after = (down * _STEP - height, across * _STEP - width)
    g = jnp.pad(g, ((0, 0), (0, after[0]), (0, after[1]), (0, 0)))
    transposed = list(zip(*_RESULT, strict=True))
    rows = _combine([_every_fourth(g, a, down, 1) for a in range(_STEP)], transposed)
    return [
        [
            square.reshape(-1, channels)
            for square in _combine(
                [_every_fourth(row, b, across, 2) for b in range(_STEP)], transposed
            )
        ]
        for row in rows
    ]


def _transformed_kernel(w: jax.Array) -> Table:
    """G w G^T: 6 by 6 arrays [I,O]."""
    rows = [_combine([w[i, j] for i in range(3)], _KERNEL) for j in range(3)]
    return [_combine([row[a] for row in rows], _KERNEL) for a in range(_TILE)]


def _every_fourth(x: jax.Array, start: int, count: int, axis: int) -> jax.Array:
    return lax.slice_in_dim(x, start, start + _STEP * (count - 1) + 1, _STEP, axis)
