"""Counts the arithmetic of a traced program, equation by equation.

For devices whose compiler counts nothing, and to tell in which number format and
precision the products are, which decides what peak they are held against. Products are
counted as XLA counts them: two operations for each tap of a convolution that meets a
real element, none for padding and for the zeros between dilated elements. What no
result depends on is left out, as the compiler does.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

# Equations that move or make elements without arithmetic; any other equation on
# floating point numbers counts one operation for each element of its result.
_NO_ARITHMETIC = {
    "broadcast_in_dim",
    "concatenate",
    "convert_element_type",
    "copy",
    "copy_p",
    "dynamic_slice",
    "dynamic_update_slice",
    "gather",
    "get",
    "iota",
    "load",
    "masked_load",
    "masked_swap",
    "optimization_barrier",
    "pad",
    "pbroadcast",
    "pvary",
    "random_bits",
    "random_wrap",
    "random_unwrap",
    "reshape",
    "rev",
    "select_n",
    "slice",
    "split",
    "squeeze",
    "stop_gradient",
    "store",
    "swap",
    "transpose",
}
_PER_OPERAND = ("reduce_", "cum", "argm", "reduce", "scatter")
FULL, THREE_PASSES, ONE_PASS = "highest", "high", "default"


@dataclasses.dataclass(frozen=True)
class Product:
    """A kind of matrix products and convolutions.

    Attributes:
        dtype: of the wider operand, such as ``float32``.
        precision: ``highest``, ``high`` or ``default``: see `jax.lax.Precision`.
    """

    dtype: str
    precision: str


@dataclasses.dataclass(frozen=True)
class Counts:
    """Operations of one run of a program on one device.

    Attributes:
        products: operations of matrix products and convolutions, by kind.
        elementwise: floating point operations of everything else.
        kernel_bytes: bytes that Pallas kernels say they move.
        kernels: how many run.
        unknown_loops: loops that end by a computed condition, counted as one round.
    """

    products: Mapping[Product, float]
    elementwise: float
    kernel_bytes: float
    kernels: int
    unknown_loops: int

    @property
    def flops(self) -> float:
        """Operations in all."""
        return sum(self.products.values()) + self.elementwise


def count(program: core.ClosedJaxpr, platform: str) -> Counts:
    """Counts a traced program, as `jax.stages.Traced.jaxpr` gives it.

    Inside shard_map shapes are a device's, so the counts are, too.

    Args:
        program: the traced program.
        platform: where it would run, ``cpu``, ``cuda`` or ``tpu``: of
            `jax.lax.platform_dependent` this platform's form is counted.
    """
    tally = _Tally(platform)
    tally.visit(program.jaxpr, [True] * len(program.jaxpr.outvars), 1)
    return Counts(
        dict(tally.products),
        tally.elementwise,
        tally.kernel_bytes,
        tally.kernels,
        tally.unknown_loops,
    )


class _Tally:
    """Sums while it walks through a program backwards, from what is needed."""

    def __init__(self, platform: str):
        self.platform = platform
        self.products: dict[Product, float] = defaultdict(float)
        self.elementwise = 0.0
        self.kernel_bytes = 0.0
        self.kernels = 0
        self.unknown_loops = 0

    def visit(self, jaxpr: Any, wanted: Sequence[bool], times: int) -> list[bool]:
        """Adds what the wanted results cost; returns which inputs they need."""
        pairs = zip(jaxpr.outvars, wanted, strict=True)
        live = {v for v, is_wanted in pairs if is_wanted and _is_variable(v)}
        for eqn in reversed(jaxpr.eqns):
            needed = [v in live for v in eqn.outvars]
            if not any(needed) and not eqn.effects:
                continue
            used = self._equation(eqn, needed, times)
            pairs = zip(eqn.invars, used, strict=True)
            live |= {v for v, is_used in pairs if is_used and _is_variable(v)}
        return [v in live for v in jaxpr.invars]

    def _equation(self, eqn: Any, needed: list[bool], times: int) -> list[bool]:
        name = eqn.primitive.name
        everything = [True] * len(eqn.invars)
        handler = _HANDLERS.get(name)
        if handler is not None:
            return handler(self, eqn, needed, times)
        if inner := _called(eqn):
            # jit, remat, custom derivatives, shard_map: inputs and results in order.
            found = self.visit(inner, needed, times)
            return found if len(found) == len(everything) else everything
        if name not in _NO_ARITHMETIC:
            results = [v.aval for v in eqn.outvars]
            if name.startswith(_PER_OPERAND):
                results = [eqn.invars[0].aval]
            self.elementwise += times * sum(map(_float_elements, results))
        return everything

    def _dot(self, eqn: Any, needed: list[bool], times: int) -> list[bool]:
        left, right = (v.aval for v in eqn.invars[:2])
        (contracted, _), _ = eqn.params["dimension_numbers"]
        depth = math.prod(left.shape[i] for i in contracted)
        flops = 2.0 * depth * math.prod(eqn.outvars[0].aval.shape)
        self.products[_kind(left, right, eqn.params["precision"])] += flops * times
        return [True] * len(eqn.invars)

    def _convolution(self, eqn: Any, needed: list[bool], times: int) -> list[bool]:
        left, right = (v.aval for v in eqn.invars)
        flops = convolution_flops(
            left.shape, right.shape, eqn.outvars[0].aval.shape, eqn.params
        )
        self.products[_kind(left, right, eqn.params["precision"])] += flops * times
        return [True, True]

    def _scan(self, eqn: Any, needed: list[bool], times: int) -> list[bool]:
        params = eqn.params
        body = params["jaxpr"].jaxpr
        carried = params["num_carry"]
        wanted = [True] * carried + needed[carried:]
        return self.visit(body, wanted, times * params["length"])

    def _while(self, eqn: Any, needed: list[bool], times: int) -> list[bool]:
        self.unknown_loops += 1
        for which in ("cond_jaxpr", "body_jaxpr"):
            body = eqn.params[which].jaxpr
            self.visit(body, [True] * len(body.outvars), times)
        return [True] * len(eqn.invars)

    def _cond(self, eqn: Any, needed: list[bool], times: int) -> list[bool]:
        branches = [branch.jaxpr for branch in eqn.params["branches"]]
        platforms = eqn.params.get("branches_platforms")
        if platforms is not None:
            branches = [branches[_choose(platforms, self.platform)]]
        trials = [_Tally(self.platform) for _ in branches]
        used = [
            [True, *trial.visit(branch, needed, times)]
            for trial, branch in zip(trials, branches, strict=True)
        ]
        best = max(range(len(trials)), key=lambda i: trials[i].flops)
        self._add(trials[best])
        return [any(each) for each in zip(*used, strict=True)]

    def _kernel(self, eqn: Any, needed: list[bool], times: int) -> list[bool]:
        """A Pallas kernel: what it says of itself, or its body over the grid."""
        estimate = eqn.params["cost_estimate"]
        inside = _Tally(self.platform)
        rounds = math.prod(int(n) for n in eqn.params["grid_mapping"].grid)
        body = eqn.params["jaxpr"]
        inside.visit(body, [True] * len(body.outvars), rounds)
        arrays = [v.aval for v in (*eqn.invars, *eqn.outvars)]
        moved = float(sum(a.size * a.dtype.itemsize for a in arrays))
        if estimate is not None:
            moved = float(estimate.bytes_accessed)
            inside.scale_to(float(estimate.flops))
        inside.kernel_bytes, inside.kernels = moved, 1
        self._add(inside, times)
        return [True] * len(eqn.invars)

    @property
    def flops(self) -> float:
        return sum(self.products.values()) + self.elementwise

    def scale_to(self, flops: float) -> None:
        """Keeps the shares of the kinds, and takes the sum from outside."""
        if self.flops > 0:
            factor = flops / self.flops
            self.elementwise *= factor
            for kind in self.products:
                self.products[kind] *= factor
        else:
            self.elementwise = flops

    def _add(self, other: _Tally, times: int = 1) -> None:
        for kind, flops in other.products.items():
            self.products[kind] += flops * times
        self.elementwise += other.elementwise * times
        self.kernel_bytes += other.kernel_bytes * times
        self.kernels += other.kernels * times
        self.unknown_loops += other.unknown_loops


_HANDLERS: dict[str, Callable[[_Tally, Any, list[bool], int], list[bool]]] = {
    "dot_general": _Tally._dot,
    "conv_general_dilated": _Tally._convolution,
    "scan": _Tally._scan,
    "while": _Tally._while,
    "cond": _Tally._cond,
    "pallas_call": _Tally._kernel,
}


def convolution_flops(
    left: Sequence[int],
    right: Sequence[int],
    out: Sequence[int],
    params: Mapping[str, Any],
) -> float:
    """Operations of a convolution, two for each tap that meets a real element.

    Args:
        left: shape of the images.
        right: shape of the kernel.
        out: shape of the result.
        params: strides, padding, dilations and ``dimension_numbers``, as
            `jax.lax.conv_general_dilated_p` has them.
    """
    numbers: lax.ConvDimensionNumbers = params["dimension_numbers"]
    taps = 1
    for axis, (low, _) in enumerate(params["padding"]):
        taps *= _pairs(
            int(left[numbers.lhs_spec[2 + axis]]),
            int(right[numbers.rhs_spec[2 + axis]]),
            int(out[numbers.out_spec[2 + axis]]),
            int(params["window_strides"][axis]),
            int(low),
            int(params["lhs_dilation"][axis]),
            int(params["rhs_dilation"][axis]),
        )
    batch, channels = (out[numbers.out_spec[i]] for i in (0, 1))
    return 2.0 * taps * batch * channels * right[numbers.rhs_spec[1]]


@functools.lru_cache(maxsize=4096)
def _pairs(
    size: int, kernel: int, out: int, stride: int, low: int, spread: int, apart: int
) -> int:
    """Pairs of an output and a tap along one axis that meet a real element."""
    outputs = np.arange(out)[:, None] * stride - low
    places = outputs + np.arange(kernel)[None, :] * apart
    inside = (places >= 0) & (places <= (size - 1) * spread) & (places % spread == 0)
    return int(inside.sum())


def _kind(left: Any, right: Any, precision: Any) -> Product:
    dtype = max((left.dtype, right.dtype), key=lambda d: d.itemsize).name
    if isinstance(precision, tuple):
        precision = max(precision, key=_RANKS.__getitem__)
    return Product(dtype, _NAMES[precision])


_NAMES = {
    None: ONE_PASS,
    lax.Precision.DEFAULT: ONE_PASS,
    lax.Precision.HIGH: THREE_PASSES,
    lax.Precision.HIGHEST: FULL,
}
_RANKS = {precision: rank for rank, precision in enumerate(_NAMES)}


def _choose(platforms: Sequence[Any], platform: str) -> int:
    """The branch that is lowered for a platform."""
    for index, names in enumerate(platforms):
        if names is None or platform in names:
            return index
    raise ValueError(f"no branch of {platforms} is for {platform}")


def _called(eqn: Any) -> Any:
    """The program that an equation calls, where it calls exactly one."""
    inner = [
        getattr(value, "jaxpr", value)
        for value in eqn.params.values()
        if isinstance(value, core.Jaxpr | core.ClosedJaxpr)
    ]
    same = [i for i in inner if len(i.outvars) == len(eqn.outvars)]
    plain = eqn.primitive.name.startswith(("reduce", "scatter", "sort"))
    return same[0] if len(same) == 1 and not plain else None


def _is_variable(v: Any) -> bool:
    return not isinstance(v, core.Literal)


def _float_elements(aval: Any) -> int:
    dtype = getattr(aval, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
        return 0
    return math.prod(aval.shape)
