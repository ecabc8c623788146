"""3x3 convolutions with fewer multiplications, for a CPU.

Winograd's minimal filtering (Lavin and Gray 2015, "Fast Algorithms for Convolutional
Neural Networks"): tiles of pixels and the kernel go through small fixed matrices, what
were convolutions are then matrix products, one for each element of a transformed tile,
and another fixed matrix gives 4x4 pixels of the result:

    y = A^T [(G w G^T) * (B^T x B)] A        summed over the input channels

At stride 1, F(4x4, 3x3), 36 products take the place of 144. At stride 2 the even pixels
of an axis meet two taps, which is F(4, 2) with 5 products, and the odd ones meet one, 4
products: 81 in all take the place of 144. The results differ from those of a plain sum
by some 5e-6 of their norm in float32; half precision would lose too much in the
transforms, so it is not taken.

The products stay operations of their own: stacked into one, the copies in and out cost
more than they save.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

Matrix = tuple[tuple[float, ...], ...]
Table = list[list[jax.Array]]

# Pixels of the result of a tile, along an axis.
_RESULT = 4


@dataclasses.dataclass(frozen=True)
class Scheme:
    """How a 3-tap correlation along an axis is computed for 4 pixels of its result.

    Attributes:
        pixels: B^T, [products, pixels of a tile].
        kernel: G, [products, 3].
        result: A^T, [4, products].
        step: pixels from one tile to the next.
        before: zeros in front of the first pixel.
    """

    pixels: Matrix
    kernel: Matrix
    result: Matrix
    step: int
    before: int

    @property
    def tile(self) -> int:
        """Pixels of a tile."""
        return len(self.pixels[0])


# Stride 1, zero padding 1: interpolation at 0, 1, -1, 2, -2 and infinity.
SAME = Scheme(
    pixels=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    kernel=(
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    result=(
        (1, 1, 1, 1, 1, 0),
        (0, 1, -1, 2, -2, 0),
        (0, 1, 1, 4, 4, 0),
        (0, 1, -1, 8, -8, 1),
    ),
    step=4,
    before=1,
)
# Stride 2, no padding. The even pixels and taps: interpolation at 0, 1, -1, 2 and
# infinity; behind them the odd pixels, each with the tap in the middle.
HALF = Scheme(
    pixels=(
        (2, 0, -1, 0, -2, 0, 1, 0, 0),
        (0, 0, -2, 0, -1, 0, 1, 0, 0),
        (0, 0, 2, 0, -3, 0, 1, 0, 0),
        (0, 0, -1, 0, 0, 0, 1, 0, 0),
        (0, 0, 2, 0, -1, 0, -2, 0, 1),
        (0, 1, 0, 0, 0, 0, 0, 0, 0),
        (0, 0, 0, 1, 0, 0, 0, 0, 0),
        (0, 0, 0, 0, 0, 1, 0, 0, 0),
        (0, 0, 0, 0, 0, 0, 0, 1, 0),
    ),
    kernel=(
        (1 / 2, 0, 0),
        (-1 / 2, 0, -1 / 2),
        (-1 / 6, 0, 1 / 6),
        (1 / 6, 0, 1 / 3),
        (0, 0, 1),
        (0, 1, 0),
        (0, 1, 0),
        (0, 1, 0),
        (0, 1, 0),
    ),
    result=(
        (1, 1, 1, 1, 0, 1, 0, 0, 0),
        (0, 1, -1, 2, 0, 0, 1, 0, 0),
        (0, 1, 1, 4, 0, 0, 0, 1, 0),
        (0, 1, -1, 8, 1, 0, 0, 0, 1),
    ),
    step=8,
    before=0,
)


def tiles(shape: Sequence[int]) -> int:
    """How many tiles a result (N, H, W, …) has: rows of each product."""
    return shape[0] * _count(shape[1]) * _count(shape[2])


# Traced once for a shape, however many layers have it.
@functools.partial(jax.jit, static_argnames=("height", "width", "scheme"))
def correlate(
    x: jax.Array, w: jax.Array, height: int, width: int, scheme: Scheme = SAME
) -> jax.Array:
    """Correlates x with w as the scheme says.

    Args:
        x: [N,H,W,I], float32.
        w: [3,3,I,O], float32.
        height: of the result: H for `SAME`, (H - 1) / 2 for `HALF`.
        width: of the result.
        scheme: of the operator.

    Returns:
        [N,height,width,O].
    """
    sides = x.shape[0], _count(height), _count(width)
    products = _products(_tiles(x, sides, scheme), _transformed_kernel(w, scheme))
    columns = [_combine(column, scheme.result) for column in _turned(products)]
    rows = []
    for p in range(_RESULT):
        pixels = _combine([column[p] for column in columns], scheme.result)
        rows.append(jnp.stack([pixel.reshape(*sides, -1) for pixel in pixels], 3))
    y = jnp.stack(rows, 2)  # [N,down,4,across,4,O]
    y = y.reshape(sides[0], sides[1] * _RESULT, sides[2] * _RESULT, w.shape[3])
    return y[:, :height, :width]


@jax.jit
def double(x: jax.Array, w: jax.Array) -> jax.Array:
    """Transposed convolution: y[2i+a,2j+b] += x[i,j] w[a,b], the adjoint of `HALF`.

    Args:
        x: [N,H,W,I], float32.
        w: [3,3,I,O], float32.

    Returns:
        [N,2H+1,2W+1,O].
    """
    n, height, width, _ = x.shape
    sides = n, _count(height), _count(width)
    products = _products(_spread(x, sides, HALF), _transformed_kernel(w, HALF))
    matrix = _transposed(HALF.pixels)
    columns = [_combine(column, matrix) for column in _turned(products)]
    lines = []
    for p in range(HALF.tile):
        pixels = _combine([column[p] for column in columns], matrix)
        lines.append(_joined([pixel.reshape(*sides, -1) for pixel in pixels]))
    y = _stacked(lines)
    return y[:, : 2 * height + 1, : 2 * width + 1]


@functools.partial(jax.jit, static_argnames=("scheme",))
def weight_gradient(x: jax.Array, g: jax.Array, scheme: Scheme = SAME) -> jax.Array:
    """Gradient of <correlate(x, w), g> with respect to w.

    Args:
        x: [N,H,W,I], float32.
        g: [N,height,width,O], float32.
        scheme: of the operator.

    Returns:
        [3,3,I,O].
    """
    sides = g.shape[0], _count(g.shape[1]), _count(g.shape[2])
    tiles, gradients = _tiles(x, sides, scheme), _spread(g, sides, scheme)
    kernels = [
        [
            jnp.einsum("ti,to->io", tile, gradient, precision=lax.Precision.HIGHEST)
            for tile, gradient in zip(*pair, strict=True)
        ]
        for pair in zip(tiles, gradients, strict=True)
    ]
    matrix = _transposed(scheme.kernel)
    columns = [_combine(column, matrix) for column in _turned(kernels)]
    taps = [
        jnp.stack(_combine([column[k] for column in columns], matrix)) for k in range(3)
    ]
    return jnp.stack(taps)


def _count(size: int) -> int:
    return -(-size // _RESULT)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _turned(table: Table) -> Table:
    return [list(column) for column in zip(*table, strict=True)]


def _products(tiles: Table, kernels: Table) -> Table:
    return [
        [
            jnp.dot(tile, kernel, precision=lax.Precision.HIGHEST)
            for tile, kernel in zip(*pair, strict=True)
        ]
        for pair in zip(tiles, kernels, strict=True)
    ]


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


def _tiles(x: jax.Array, sides: tuple[int, int, int], scheme: Scheme) -> Table:
    """B^T x B of every tile: arrays [N*down*across, I]."""
    padding = [(0, 0)] * 4
    for axis in (1, 2):
        reach = scheme.step * (sides[axis] - 1) + scheme.tile
        after = reach - scheme.before - x.shape[axis]
        padding[axis] = (scheme.before, max(0, after))
    x = jnp.pad(x, padding)
    return _transformed(x, sides, scheme.pixels, scheme.step)


def _spread(g: jax.Array, sides: tuple[int, int, int], scheme: Scheme) -> Table:
    """A g A^T of every 4x4 square: arrays [N*down*across, O]."""
    after = (sides[1] * _RESULT - g.shape[1], sides[2] * _RESULT - g.shape[2])
    g = jnp.pad(g, ((0, 0), (0, after[0]), (0, after[1]), (0, 0)))
    return _transformed(g, sides, _transposed(scheme.result), _RESULT)


def _transformed(
    x: jax.Array, sides: tuple[int, int, int], matrix: Matrix, step: int
) -> Table:
    """The matrix from both sides of every square of pixels, ``step`` apart."""
    size = len(matrix[0])

    def every(x: jax.Array, start: int, axis: int) -> jax.Array:
        end = start + step * (sides[axis] - 1) + 1
        return lax.slice_in_dim(x, start, end, step, axis)

    rows = _combine([every(x, a, 1) for a in range(size)], matrix)
    return [
        [
            square.reshape(-1, x.shape[3])
            for square in _combine([every(row, b, 2) for b in range(size)], matrix)
        ]
        for row in rows
    ]


def _transformed_kernel(w: jax.Array, scheme: Scheme) -> Table:
    """G w G^T: arrays [I,O]."""
    rows = [_combine([w[i, j] for i in range(3)], scheme.kernel) for j in range(3)]
    return [_combine(row, scheme.kernel) for row in _turned(rows)]


def _joined(pixels: Sequence[jax.Array]) -> jax.Array:
    """Tiles of 9 pixels, 8 apart, as a line: a tile's last falls on the next's first.

    Args:
        pixels: nine arrays [N,down,across,O].

    Returns:
        [N,down,8*across+1,O].
    """
    first, last = _carried(pixels, 2)
    y = jnp.stack([first, *pixels[1:8]], 3)
    n, down, across, _, outputs = y.shape
    return jnp.concatenate([y.reshape(n, down, across * 8, outputs), last], 2)


def _stacked(lines: Sequence[jax.Array]) -> jax.Array:
    """Nine lines [N,down,W,O] of tiles as pictures [N,8*down+1,W,O]."""
    n, down, width, outputs = lines[0].shape
    first, last = _carried(lines, 1)
    # As long rows: a stack along the axis asks at every pixel which line it is from,
    # which takes 65 ms instead of 25 for 8 pictures of 64x64 with 512 channels.
    whole = lax.optimization_barrier([first, *lines[1:8]])
    y = jnp.concatenate([line.reshape(n, down, -1) for line in whole], 2)
    y = lax.optimization_barrier(y.reshape(n, down * 8, width, outputs))
    return jnp.concatenate([y, last], 1)


def _carried(pixels: Sequence[jax.Array], axis: int) -> tuple[jax.Array, jax.Array]:
    """The tiles' first pixels with the last ones of those before, and the very last."""
    count = pixels[8].shape[axis]
    before = lax.slice_in_dim(pixels[8], 0, count - 1, axis=axis)
    widths = [(0, 0)] * before.ndim
    widths[axis] = (1, 0)
    last = lax.slice_in_dim(pixels[8], count - 1, count, axis=axis)
    return pixels[0] + jnp.pad(before, widths), last
