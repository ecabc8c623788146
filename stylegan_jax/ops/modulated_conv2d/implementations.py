"""What computes a layer: XLA's form, or a fused kernel of the platform."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from stylegan_jax.ops import dispatch
from stylegan_jax.ops.dispatch import Choice
from stylegan_jax.ops.modulated_conv2d import fused, table, xla
from stylegan_jax.ops.modulated_conv2d.problem import Epilogue, Problem
from stylegan_jax.types import Filter

OP = "modulated_conv2d"
NAMES = ("xla", *table.KERNELS)


@dataclasses.dataclass(frozen=True)
class Options:
    """The static arguments of ``modulated_conv2d``; see there."""

    demodulate: bool = True
    up: int = 1
    resample_filter: Filter = ()
    act: str = "linear"
    gain: float = 1.0
    clamp: float | None = None


def call(
    x: jax.Array,
    w: jax.Array,
    styles: jax.Array,
    noise: jax.Array | None,
    bias: jax.Array | None,
    options: Options,
    implementation: str | None,
) -> jax.Array:
    """``modulated_conv2d`` with its shapes checked."""
    dispatch.check_name(OP, NAMES, implementation)
    problem = _problem(x, w, options, noise is not None)
    if not _kernel_somewhere(problem, implementation):
        return xla.modulated_conv2d(
            x, w, styles, noise=noise, bias=bias, **dataclasses.asdict(options)
        )
    if options.demodulate and x.dtype == jnp.float16:
        w, styles = xla.tame(w, styles)
    d = xla.demodulation(w, styles) if options.demodulate else None
    if noise is not None:
        images = noise.shape[0] if noise.ndim == 4 else 1
        noise = jnp.broadcast_to(noise, (images, *problem.y[1:3], 1))
    static = options.up, problem.taps, problem.epilogue
    return fused.layer(_Run(implementation), *static, x, w, styles, d, noise, bias)


def explain(
    x: jax.Array | jax.ShapeDtypeStruct,
    w: jax.Array | jax.ShapeDtypeStruct,
    *,
    noise: bool = True,
    **options,
) -> dict[str, Choice]:
    """Tells what ``modulated_conv2d`` takes on each platform, and why.

    Args:
        x: [N, H, W, I], or its shape and dtype alone.
        w: [k, k, I, O], or its shape and dtype alone.
        noise: whether noise is added.
        **options: the other static arguments of ``modulated_conv2d``.

    Returns:
        "tpu", "cuda" and "default" (every other platform) to a choice.
    """
    return table.choose(_problem(x, w, Options(**options), noise))


def _problem(x, w, options, noise):
    taps = tuple(options.resample_filter) if options.up == 2 else ()
    return Problem(
        tuple(x.shape),
        tuple(w.shape),
        jnp.dtype(x.dtype).name,
        options.up,
        taps,
        Epilogue(options.act, options.gain, options.clamp),
        noise,
    )


def _kernel_somewhere(problem, implementation):
    if implementation is None:
        if not dispatch.kernels_allowed():
            return False
        chosen = {c.implementation for c in table.choose(problem).values()}
        return chosen != {"xla"}
    if implementation == "xla":
        return False
    table.module(implementation).configure(problem)  # declines here, with the reason
    return True


@dataclasses.dataclass(frozen=True)
class _Run:
    """What ``fused.layer`` runs: a named kernel, or with None the table's choice."""

    implementation: str | None

    def __call__(self, problem: Problem) -> Callable[..., jax.Array]:
        if self.implementation is None:
            choices = table.choose(problem)
            names = {choice.implementation for choice in choices.values()}
            functions = {name: _function(name, problem) for name in names}
            return functools.partial(dispatch.run, OP, choices, functions)
        # On another platform than its own the kernel's body is interpreted.
        kernel = _function(self.implementation, problem)
        platform = {table.KERNELS[self.implementation]: kernel}
        interpreted = functools.partial(kernel, interpret=True)
        return lambda *args: lax.platform_dependent(
            *args, **platform, default=interpreted
        )


def _function(name, problem):
    module = xla if name == "xla" else table.module(name)
    return functools.partial(module.layer, problem)
