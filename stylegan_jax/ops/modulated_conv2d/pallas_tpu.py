"""The fused layer on TPUs: sizes, operands and grids of the Mosaic kernels.

A kernel reads x once (and two rows more for each band), writes the result once, and
never writes the doubled picture before it is filtered. The result keeps its channels on
lanes; a picture of a few channels has its columns there.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from stylegan_jax.ops.modulated_conv2d import pallas_tpu_kernels as kernels
from stylegan_jax.ops.modulated_conv2d import pallas_tpu_packing as packing
from stylegan_jax.ops.modulated_conv2d import traffic
from stylegan_jax.ops.modulated_conv2d.problem import (
    Problem,
    correlated,
    like,
    precision,
)

# VMEM is 64 MiB on v5p and v7x, 128 MiB on v5e and v6e. Blocks and buffers take half of
# the smaller; the compiler gets the same again by half for what it spills.
BUDGET = 32 * 2**20
VMEM_LIMIT = 48 * 2**20
# A product of this many pixels keeps a 128 x 128 unit busy four times as long as
# loading its weights takes; more only makes the float32 sums larger.
PIXELS = 512
# Two more rows are read for each band: 6 % of 32, and more rows gain little.
MOST_ROWS = 32
# Results of fewer channels than this are written with columns on lanes.
PICTURE_CHANNELS = 8


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of one kernel.

    Attributes:
        rows: rows of x that a program takes.
        chunk: rows of one matrix product; divides ``rows`` in the 3x3 kernel.
        precision: of float32 products, as XLA's own would have on the backend.
    """

    rows: int
    chunk: int
    precision: lax.Precision


@dataclasses.dataclass(frozen=True)
class Operand:
    """An array, its block, and which block a program takes."""

    array: Any
    block: tuple[int, ...]
    index: Callable[..., tuple]
    resident: bool = False

    def spec(self) -> pl.BlockSpec:
        """The block spec; what all programs share needs no second buffer."""
        mode = {"pipeline_mode": pl.Buffered(1)} if self.resident else {}
        return pl.BlockSpec(self.block, self.index, **mode)

    def moved(self) -> tuple:
        """What ``traffic.total_bytes`` needs."""
        return self.block, self.index, self.array.dtype


def configure(problem: Problem) -> Config:
    """Chooses the largest band that VMEM holds.

    Raises:
        NotImplementedError: with the reason, for a problem that no kernel here serves.
    """
    problem.refuse()
    if problem.dtype not in ("float32", "bfloat16"):
        raise NotImplementedError(f"{problem.dtype} on a TPU")
    if problem.w[0] == 1 and (problem.w[3] > PICTURE_CHANNELS or problem.noise):
        raise NotImplementedError("1x1 kernels other than a picture's")
    seen = packing.grouped(problem)
    rows = MOST_ROWS
    while rows > 1 and (_vmem(seen, rows) > BUDGET or rows >= 2 * problem.x[1]):
        rows //= 2
    if _vmem(seen, rows) > BUDGET:
        raise NotImplementedError(
            f"a row of {problem.x[2]} pixels with {problem.x[3]} and {problem.w[3]} "
            f"channels does not fit into {BUDGET >> 20} MiB of VMEM"
        )
    chunk = 1
    while 2 * chunk * _padded_width(seen) <= PIXELS and chunk < rows:
        chunk *= 2
    return Config(rows, chunk, precision(problem.dtype))


# Jitted so that equal layers are traced once: a kernel's body takes a while.
@functools.partial(jax.jit, static_argnums=0, static_argnames="interpret", inline=True)
def layer(
    problem: Problem, x, w, s, d, noise, bias, *, interpret: bool = False
) -> jax.Array:
    """Runs the kernel for a problem; arguments as in ``fused.layer``."""
    config = configure(problem)
    seen, narrow = packing.grouped(problem), packing.is_narrow(problem)
    group = packing.together(problem)
    outputs = problem.w[3]
    d = jnp.ones((x.shape[0], outputs), jnp.float32) if d is None else d
    bias = jnp.zeros((outputs,), jnp.float32) if bias is None else bias
    share = group * problem.up if narrow else 1
    s, d = (v.astype(jnp.float32)[:, None] for v in (s, d))
    s, d = jnp.tile(s, (1, 1, group)), jnp.tile(d, (1, 1, share))
    bias = jnp.tile(bias.astype(jnp.float32), share)
    width = seen.x[2]
    padded = _padded_width(seen)
    x = jnp.pad(x.reshape(seen.x), ((0, 0), (0, 0), (0, padded - width), (0, 0)))
    if problem.w[0] == 1:
        w = packing.group_pointwise_kernel(w, group)
        y = _picture(seen, config, x, w, s, bias, interpret)
        y = y[..., :width].reshape(*y.shape[:2], group, outputs, width)
        return jnp.moveaxis(y, 4, 2).reshape(problem.y)
    w = packing.group_kernel(w, group, problem.taps) if narrow else w
    if noise is not None:
        noise = _noise_rows(noise, problem.up, width, padded)
    build = _same if problem.up == 1 else _narrow_up if narrow else _up
    y = build(seen, config, x, w.astype(x.dtype), s, d, noise, bias, interpret)
    return y[:, :, : problem.y[2] // share].reshape(problem.y)


def _padded_width(problem):
    """Whole tiles of sublanes: 8 rows of 4 bytes, 16 of 2."""
    return _ceil(problem.x[2], 32 // problem.itemsize)


def _ceil(value, multiple):
    return -(-value // multiple) * multiple


def _vmem(seen, rows):
    """Bytes of blocks and buffers for a band of ``rows``."""
    size, taps = seen.itemsize, seen.w[0] * seen.w[1]
    inputs, outputs = (_ceil(c, packing.LANES) for c in seen.w[2:])
    width = _padded_width(seen)
    row_in, row_out = width * inputs * size, width * outputs * size
    weights = taps * _ceil(seen.w[2], 8) * outputs * size
    blocks = 2 * (rows + 2) * row_in + 2 * rows * row_out * seen.up**2 + weights
    if taps == 1:
        return blocks
    sums = 2 * max(PIXELS, width) * outputs * 4
    if seen.up == 1:
        return blocks + 3 * (rows + 2) * row_in + sums
    halves = 2 * 3 * (rows + 2) * width * outputs * 4
    return blocks + 3 * (rows + 2) * row_in + halves + 3 * sums


def _noise_rows(noise, up, width, padded):
    """[n, H*up, W', 1] to [n, H, P, padded]: a row for each place in a group of y.

    ``width`` groups make up a row of y, or ``width`` pairs of its columns.
    """
    n, height, columns, _ = noise.shape
    share = columns // width
    v = noise.astype(jnp.float32).reshape(n, height // up, up, width, share)
    v = jnp.moveaxis(v, 3, 4).reshape(n, height // up, up * share, width)
    return jnp.pad(v, ((0, 0), (0, 0), (0, 0), (0, padded - width)))


def _operands(rows, x, w, s, d, noise, bias) -> dict[str, Operand]:
    """What both 3x3 kernels read, by the names of their parameters."""
    height = x.shape[1]
    row, band = (1, 1, *x.shape[2:]), (1, rows, *x.shape[2:])

    def above(n, i):
        return n, _most(i * rows - 1, 0), 0, 0

    def below(n, i):
        return n, _least(i * rows + rows, height - 1), 0, 0

    def here(n, i):
        return n, i, 0, 0

    def image(n, i):
        return n, 0, 0

    table = {
        "above": Operand(x, row, above),
        "x": Operand(x, band, here),
        "below": Operand(x, row, below),
        "w": Operand(w, w.shape, lambda n, i: (0,) * w.ndim, resident=True),
        "s": Operand(s, (1, *s.shape[1:]), image),
        "d": Operand(d, (1, *d.shape[1:]), image),
    }
    if noise is not None:
        shared = noise.shape[0] == 1
        block = (1, rows, *noise.shape[2:])
        table["noise"] = Operand(
            noise, block, lambda n, i: (0 if shared else n, i, 0, 0)
        )
    bias = bias[None]
    return table | {"bias": Operand(bias, bias.shape, lambda n, i: (0, 0))}


def _most(a, b):
    return max(a, b) if isinstance(a, int) else jnp.maximum(a, b)


def _least(a, b):
    return min(a, b) if isinstance(a, int) else jnp.minimum(a, b)


def _same(problem, config, x, w, s, d, noise, bias, interpret):
    n, height, width, _ = x.shape
    operands = _operands(config.rows, x, w, s, d, noise, bias)
    shape = (n, height, width, problem.w[3])
    block = (1, config.rows, *shape[2:])
    out = Operand(like(x, shape), block, lambda n, i: (n, i, 0, 0))
    body = functools.partial(
        kernels.same_kernel, config=config, height=height, epilogue=problem.epilogue
    )
    band = pltpu.VMEM((3, config.rows + 2, *x.shape[2:]), x.dtype)
    return _call(problem, "same", body, operands, out, {"band": band}, interpret)


def _up(problem, config, x, w, s, d, noise, bias, interpret):
    n, height, width, inputs = x.shape
    outputs = problem.w[3]
    operands = _operands(config.rows, x, w, s, d, noise, bias)
    shape = (n, height, 2, 2 * width, outputs)
    block = (1, config.rows, *shape[2:])
    out = Operand(like(x, shape), block, lambda n, i: (n, i, 0, 0, 0))
    body = functools.partial(
        kernels.up_kernel,
        config=config,
        height=height,
        epilogue=problem.epilogue,
        taps=correlated(problem.taps),
    )
    rows = config.rows + 2
    half = pltpu.VMEM((3, rows, width, outputs), jnp.float32)
    scratch = {
        "band": pltpu.VMEM((rows, width, inputs), x.dtype),
        "even": half,
        "odd": half,
        "lanes": pltpu.VMEM((2 * width, packing.LANES), jnp.float32),
    }
    y = _call(problem, "up", body, operands, out, scratch, interpret)
    return y.reshape(n, 2 * height, 2 * width, outputs)


def _narrow_up(problem, config, x, w, s, d, noise, bias, interpret):
    n, height, width, inputs = x.shape
    outputs = problem.w[3]
    operands = _operands(config.rows, x, w, s, d, noise, bias)
    shape = (n, height, 2, width, outputs)
    block = (1, config.rows, *shape[2:])
    out = Operand(like(x, shape), block, lambda n, i: (n, i, 0, 0, 0))
    body = functools.partial(
        kernels.narrow_up_kernel,
        config=config,
        height=height,
        epilogue=problem.epilogue,
        taps=correlated(problem.taps),
    )
    rows = config.rows + 2
    half = pltpu.VMEM((1, rows, width, outputs), jnp.float32)
    band = pltpu.VMEM((3, rows, width, inputs), x.dtype)
    scratch = {"band": band, "even": half, "odd": half}
    y = _call(problem, "narrow_up", body, operands, out, scratch, interpret)
    return y.reshape(n, 2 * height, width, outputs)


def _picture(problem, config, x, w, s, bias, interpret):
    n, height, width, _ = x.shape
    outputs = problem.w[3]
    w, bias = jnp.transpose(w[0, 0]).astype(jnp.float32), bias[:, None]
    operands = {
        "x": Operand(x, (1, config.rows, *x.shape[2:]), lambda n, i: (n, i, 0, 0)),
        "w": Operand(w, w.shape, lambda n, i: (0, 0)),
        "s": Operand(s, (1, *s.shape[1:]), lambda n, i: (n, 0, 0)),
        "bias": Operand(bias, bias.shape, lambda n, i: (0, 0)),
    }
    shape = (n, height, outputs, width)
    block = (1, config.rows, *shape[2:])
    out = Operand(like(x, shape), block, lambda n, i: (n, i, 0, 0))
    body = functools.partial(
        kernels.picture_kernel, config=config, epilogue=problem.epilogue
    )
    return _call(problem, "picture", body, operands, out, {}, interpret)


def _call(
    problem: Problem,
    name: str,
    body: Callable,
    operands: Mapping[str, Operand],
    out: Operand,
    scratch: Mapping[str, Any],
    interpret: bool,
) -> jax.Array:
    """Binds a body's parameters by name; ``noise`` is None where it is not an operand.

    Its declared cost is what ``traffic`` counts for the grid.
    """
    names = (*operands, "out", *scratch)
    optional = {} if "noise" in operands or name == "picture" else {"noise": None}
    grid = (out.array.shape[0], pl.cdiv(out.array.shape[1], out.block[1]))

    def kernel(*refs):
        body(**dict(zip(names, refs, strict=True)), **optional)

    moved = [operand.moved() for operand in (*operands.values(), out)]
    cost = pl.CostEstimate(
        flops=problem.flops,
        transcendentals=0,
        bytes_accessed=traffic.total_bytes(grid, moved),
    )
    return pl.pallas_call(
        kernel,
        grid=grid,
        in_specs=[operand.spec() for operand in operands.values()],
        out_specs=out.spec(),
        out_shape=out.array,
        scratch_shapes=list(scratch.values()),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel"),
            vmem_limit_bytes=VMEM_LIMIT,
        ),
        cost_estimate=cost,
        interpret=interpret,
        name=f"modulated_conv2d_{name}",
    )(*(operand.array for operand in operands.values()))
