"""From a jax function to an ONNX file with the weights inside.

The function is traced, and every operator that depends on an input becomes a node of
the graph; all that depends on the weights alone is computed now and stored. What an
operator becomes is in `export_onnx_operators` and `export_onnx_windows`.

There is a library for this, jax2onnx, and it is not used: its releases that know this
jax cannot be installed beside this orbax-checkpoint, and those that can draw transposed
convolutions wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from stylegan_jax.errors import MissingExtra, UserError
from stylegan_jax.pipelines.export_onnx_graph import Graph, Value, elements
from stylegan_jax.pipelines.export_onnx_operators import OPERATORS, Due
from stylegan_jax.pipelines.export_onnx_windows import WINDOWS

# Operators that only call what is inside them, and the parameter that holds it.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
}
# Known arrays up to here are stretched in the file instead of as it runs.
FOLDED = 2**14


def to_onnx(
    function: Callable[..., Sequence[jax.Array]],
    inputs: Mapping[str, jax.ShapeDtypeStruct],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
) -> bytes:
    """Writes a function as an ONNX model.

    Args:
        function: pure, of arrays; what it closes over is stored.
        inputs: by name; one side may be jax's symbol of the batch.
        outputs: names of its results.
        metadata: texts that the file keeps.

    Returns:
        The file.

    Raises:
        UserError: an operator that this cannot write, or too large a model.
        MissingExtra: the package onnx is not installed.
    """
    graph = Graph()
    closed = jax.make_jaxpr(function)(*inputs.values())
    values: list[Value] = [
        graph.input(name, tuple(x.shape), np.dtype(x.dtype))
        for name, x in inputs.items()
    ]
    results = _run(graph, closed.jaxpr, closed.consts, values)
    named = dict(zip(outputs, results, strict=True))
    return graph.model(named, dict(metadata))


def run_onnx(data: bytes) -> Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]:
    """Opens a model in onnxruntime on this machine's processor.

    Args:
        data: what `to_onnx` returned.

    Returns:
        From inputs by name to the results.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnx", "Checking an ONNX file") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: its warnings are about its own choices
    session = onnxruntime.InferenceSession(
        data, options, providers=["CPUExecutionProvider"]
    )
    return lambda inputs: session.run(None, dict(inputs))


def _run(
    graph: Graph, jaxpr: Jaxpr, consts: Sequence[Any], values: Sequence[Value]
) -> list[Value]:
    """Writes the equations of a traced function."""
    known: dict[Any, Value] = dict(zip(jaxpr.invars, values, strict=True))
    known |= {v: np.asarray(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}

    def read(atom: Any) -> Value:
        if isinstance(atom, Literal):
            aval: Any = atom.aval
            return np.asarray(atom.val, aval.dtype)
        return known[atom]

    for equation in jaxpr.eqns:
        results = _write(graph, equation, [read(atom) for atom in equation.invars])
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _write(graph: Graph, equation: Any, xs: list[Value]) -> list[Value]:
    """Writes one equation."""
    name, params = equation.primitive.name, equation.params
    if name in _CALLS:
        return _call(graph, params[_CALLS[name]], xs)
    if name == "platform_index":
        return [np.asarray(_default_platform(params["platforms"]), np.int32)]
    if name == "cond" and isinstance(xs[0], np.ndarray):
        return _call(graph, params["branches"][int(xs[0])], xs[1:])
    if all(isinstance(x, np.ndarray) for x in xs) and _is_small(equation):
        return _computed(equation, xs)
    if name == "split":
        return _split(graph, equation, xs[0])
    if name == "dynamic_slice":
        return [_fixed_slice(graph, equation, xs)]
    table = WINDOWS if name in WINDOWS else OPERATORS
    if name not in table:
        raise UserError(
            f"this model uses jax's operator {name}, which is not written to ONNX: "
            "export it to StableHLO."
        )
    aval = equation.outvars[0].aval
    due = Due(tuple(aval.shape), np.dtype(aval.dtype))
    return [table[name](graph, xs, params, due)]


def _call(graph: Graph, inner: Any, xs: Sequence[Value]) -> list[Value]:
    if isinstance(inner, ClosedJaxpr):
        return _run(graph, inner.jaxpr, inner.consts, xs)
    return _run(graph, inner, [], xs)


def _default_platform(platforms: Sequence[Sequence[str] | None]) -> int:
    """The variant for no platform in particular: convolutions, no tricks of a CPU."""
    return next(i for i, names in enumerate(platforms) if names is None)


def _is_small(equation: Any) -> bool:
    """Whether a result of known arrays may be computed now."""
    if equation.primitive.name != "broadcast_in_dim":
        shapes = [v.aval.shape for v in equation.outvars]
        return all(isinstance(side, int) for shape in shapes for side in shape)
    return elements(equation.outvars[0].aval.shape) <= FOLDED


def _computed(equation: Any, xs: Sequence[Value]) -> list[Value]:
    found = equation.primitive.bind(*xs, **equation.params)
    results = found if equation.primitive.multiple_results else [found]
    return [np.asarray(x) for x in results]


def _split(graph: Graph, equation: Any, x: Value) -> list[Value]:
    sizes = np.array([int(s) for s in equation.params["sizes"]], np.int64)
    shapes = [tuple(v.aval.shape) for v in equation.outvars]
    dtype, axis = np.dtype(x.dtype), int(equation.params["axis"])
    return [*graph.nodes("Split", [graph.full(x), sizes], shapes, dtype, axis=axis)]


def _fixed_slice(graph: Graph, equation: Any, xs: Sequence[Value]) -> Value:
    """A slice whose place is known now."""
    x, *places = xs
    known = [int(place) for place in places if isinstance(place, np.ndarray)]
    if len(known) < len(places):
        raise UserError(
            "this model chooses a part of an array as it runs: export it to StableHLO."
        )
    sizes = equation.params["slice_sizes"]
    starts = [
        min(max(place, 0), side - size)  # as jax does
        for place, side, size in zip(known, x.shape, sizes, strict=True)
    ]
    aval = equation.outvars[0].aval
    cut = {
        "start_indices": starts,
        "limit_indices": [a + b for a, b in zip(starts, sizes, strict=True)],
        "strides": None,
    }
    due = Due(tuple(aval.shape), np.dtype(aval.dtype))
    return OPERATORS["slice"](graph, [x], cut, due)
