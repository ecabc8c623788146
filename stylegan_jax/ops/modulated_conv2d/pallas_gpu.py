"""The fused layer on NVIDIA's GPUs, through Pallas's lowering to Triton.

An implicit GEMM: a program takes some pixels of one image and some output channels, and
sums over taps and blocks of input channels. The upsampling form composes the kernel
with the filter, which leaves 3x3 taps on x for each of the four phases of the result:
four times the arithmetic of the transposed convolution, and no intermediate picture.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from types import ModuleType

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl

from stylegan_jax.ops.modulated_conv2d.problem import (
    Problem,
    like,
    phase_taps,
    precision,
)
from stylegan_jax.types import Filter


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of one kernel; Triton takes powers of two, and products from 16 up.

    Attributes:
        pixels: of x that a program takes.
        inputs: channels of one matrix product's sum.
        outputs: channels of the result that a program gives.
        warps: of 32 threads.
        stages: of the pipeline that loads ahead.
        precision: of float32 products.
    """

    pixels: int
    inputs: int
    outputs: int
    warps: int
    stages: int
    precision: lax.Precision


def configure(problem: Problem) -> Config:
    """Chooses the sizes.

    Raises:
        NotImplementedError: with the reason, for a problem that no kernel here serves,
            or a jax without the lowering to Triton.
    """
    _triton()
    problem.refuse()
    if problem.dtype not in ("float32", "bfloat16", "float16"):
        raise NotImplementedError(f"{problem.dtype} on a GPU")
    phases = problem.up**2
    # Sums of 128 x 128 float32 fill half of the registers of four warps' threads; the
    # four phases of an upsampling layer share what one has otherwise.
    outputs = min(128 // problem.up, _power(problem.w[3]))
    pixels = min(128 // problem.up, _power(problem.x[1] * problem.x[2]))
    # 128 bytes of a pixel's channels: a line of the cache.
    inputs = min(128 // problem.itemsize, _power(problem.w[2]))
    warps = 8 if phases * pixels * outputs > 8192 else 4
    return Config(pixels, inputs, outputs, warps, 3, precision(problem.dtype))


# Jitted so that equal layers are traced once: a kernel's body takes a while.
@functools.partial(jax.jit, static_argnums=0, static_argnames="interpret", inline=True)
def layer(
    problem: Problem, x, w, s, d, noise, bias, *, interpret: bool = False
) -> jax.Array:
    """Runs the kernel for a problem; arguments as in ``fused.layer``."""
    config = configure(problem)
    n, height, width, inputs = problem.x
    outputs, up = problem.w[3], problem.up
    d = jnp.ones((n, outputs), jnp.float32) if d is None else d
    bias = jnp.zeros((outputs,), jnp.float32) if bias is None else bias
    taps = problem.w[0] * problem.w[1]
    phases = compose(w, problem.taps) if up == 2 else w[None]
    phases = phases.reshape(up * up * taps * inputs, outputs).astype(x.dtype)
    operands = [x.reshape(-1, inputs), phases, s, d, bias]
    if noise is not None:
        operands.append(noise.astype(jnp.float32).reshape(noise.shape[0], -1))
    moved = problem.floor_bytes + (pl.cdiv(outputs, config.outputs) - 1) * (
        x.size * problem.itemsize
    )
    y = pl.pallas_call(
        functools.partial(_kernel, problem=problem, config=config),
        grid=(
            pl.cdiv(height * width, config.pixels),
            pl.cdiv(outputs, config.outputs),
            n,
        ),
        out_shape=like(x, (n * height * width * up * up, outputs)),
        compiler_params=_triton().CompilerParams(
            num_warps=config.warps, num_stages=config.stages
        ),
        # Each block of output channels reads x again; neighbours' taps meet in the L2.
        cost_estimate=pl.CostEstimate(
            flops=problem.flops * up * up, transcendentals=0, bytes_accessed=moved
        ),
        interpret=interpret,
        name=f"modulated_conv2d_{'same' if up == 1 else 'up'}",
    )(*operands)
    return y.reshape(problem.y)


def compose(w: jax.Array, taps: Filter) -> jax.Array:
    """Kernel and filter in one: [4, 3, 3, I, O], phase (q, r) at 2 q + r.

    Pixel (2i+q, 2j+r) of the result is the sum over a, b of x[i+a-1, j+b-1] times
    entry (a, b) of its phase.
    """
    phases = phase_taps(taps)

    def along(axis, shift):
        """[3, ...] over the shifts of x, from w's taps along its first axis."""
        # Written out: as a product its inner size of 3 is one that XLA cannot tile.
        return [
            sum(axis[a][k] * shift[k] for k in range(3) if axis[a][k]) for a in range(3)
        ]

    full = []
    for rows in phases:
        wide = jnp.stack(along(rows, w.astype(jnp.float32)))  # [a, l, I, O]
        for columns in phases:
            full.append(jnp.stack(along(columns, jnp.moveaxis(wide, 1, 0)), 1))
    return jnp.stack(full)


def _triton() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # jax 0.11 announces the end of this lowering; where it has ended, the
            # dispatch falls back to XLA, so there is nothing for a user to do.
            warnings.simplefilter("ignore", DeprecationWarning)
            from jax.experimental.pallas import triton
    except ImportError as error:
        raise NotImplementedError(
            f"jax {jax.__version__} has no lowering to Triton"
        ) from error
    return triton


def _power(size):
    return max(16, pl.next_power_of_2(size))


def _kernel(x, w, s, d, bias, *rest, problem: Problem, config: Config):
    """Sums over (tap, block of input channels), then the epilogue of each phase."""
    noise, out = rest if problem.noise else (None, *rest)
    triton = _triton()
    _, height, width, inputs = problem.x
    outputs, size = problem.w[3], problem.w[0]
    image = pl.program_id(2)
    pixel = pl.program_id(0) * config.pixels + jnp.arange(config.pixels)
    # lax.div and rem round towards zero, which Triton has; // rounds down.
    row, column = lax.div(pixel, width), lax.rem(pixel, width)
    o = pl.program_id(1) * config.outputs + jnp.arange(config.outputs)
    blocks = pl.cdiv(inputs, config.inputs)
    phases = problem.up**2

    def step(i, sums):
        tap, block = lax.div(i, blocks), lax.rem(i, blocks)
        r = row + lax.div(tap, size) - size // 2
        c = column + lax.rem(tap, size) - size // 2
        k = block * config.inputs + jnp.arange(config.inputs)
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width) & (row < height)
        v = triton.load(
            x.at[((image * height + r) * width + c)[:, None], k[None]],
            mask=inside[:, None] & (k < inputs)[None],
            other=0.0,
        )
        style = triton.load(s.at[image, k], mask=k < inputs, other=0.0)
        v = (v.astype(jnp.float32) * style[None]).astype(x.dtype)

        def product(phase):
            first = (phase * size * size + tap) * inputs
            weights = triton.load(
                w.at[(first + k)[:, None], o[None]],
                mask=(k < inputs)[:, None] & (o < outputs)[None],
                other=0.0,
            )
            return jnp.dot(
                v,
                weights,
                precision=config.precision,
                preferred_element_type=jnp.float32,
            )

        return tuple(total + product(p) for p, total in enumerate(sums))

    zero = jnp.zeros((config.pixels, config.outputs), jnp.float32)
    sums = lax.fori_loop(0, size * size * blocks, step, (zero,) * phases)
    scale = triton.load(d.at[image, o], mask=o < outputs, other=0.0)[None]
    offset = triton.load(bias.at[o], mask=o < outputs, other=0.0)[None]
    for phase, total in enumerate(sums):
        q, r = divmod(phase, problem.up)
        place = (row * problem.up + q) * width * problem.up + column * problem.up + r
        y = total * scale + offset
        if noise is not None:
            which = 0 if noise.shape[0] == 1 else image
            value = triton.load(noise.at[which, place], mask=row < height, other=0.0)
            y = y + value[:, None]
        triton.store(
            out.at[(image * height * width * phases + place)[:, None], o[None]],
            problem.epilogue(y).astype(out.dtype),
            mask=(row < height)[:, None] & (o < outputs)[None],
        )
