"""What jax's operators are in ONNX, one function for each that a network here uses.

A function takes the graph, the inputs' values, the equation's parameters and the result
that is due (`Due`), and returns the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.export_onnx_graph import Graph, Shape, Tensor, Value


@dataclasses.dataclass(frozen=True)
class Due:
    """A result as jax describes it.

    Attributes:
        shape: its shape.
        dtype: its type.
    """

    shape: Shape
    dtype: np.dtype


Operator = Callable[[Graph, list[Value], Mapping[str, Any], Due], Value]

# jax's elementwise operators that ONNX has under another name.
ELEMENTWISE = {
    "abs": "Abs",
    "add": "Add",
    "add_any": "Add",
    "and": "And",
    "ceil": "Ceil",
    "cos": "Cos",
    "div": "Div",
    "eq": "Equal",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "log": "Log",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "not": "Not",
    "or": "Or",
    "pow": "Pow",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "sub": "Sub",
    "tanh": "Tanh",
}
_REDUCTIONS = {
    "reduce_sum": "ReduceSum",
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def elementwise(graph: Graph, op: str, xs: Sequence[Value], due: Due) -> Tensor:
    """An operator on every element; thin inputs are stretched by ONNX itself."""
    made = graph.node(op, xs, due.shape, due.dtype)
    if any(_is_long(x, due.shape) for x in xs):
        return made
    return dataclasses.replace(made, thin=True)


def _is_long(x: Value, shape: Shape) -> bool:
    """Whether a value has the whole shape in the graph."""
    return x.shape == shape and not (isinstance(x, Tensor) and x.thin)


def _not_equal(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    return elementwise(graph, "Not", [elementwise(graph, "Equal", xs, due)], due)


def _rsqrt(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    root = elementwise(graph, "Sqrt", xs, due)
    return elementwise(graph, "Reciprocal", [root], due)


def _square(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    return elementwise(graph, "Mul", [xs[0], xs[0]], due)


def _integer_pow(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    if params["y"] == 2:
        return _square(graph, xs, params, due)
    return elementwise(graph, "Pow", [xs[0], np.array(params["y"], due.dtype)], due)


def _round(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    if int(params["rounding_method"]) != 1:  # halves to the even number, as ONNX
        raise UserError("ONNX rounds halves to even numbers and this model does not.")
    return elementwise(graph, "Round", xs, due)


def _clamp(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    low, x, high = xs
    raised = elementwise(graph, "Max", [x, low], due)
    return elementwise(graph, "Min", [raised, high], due)


def _select(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    which, *cases = xs
    if len(cases) != 2 or which.dtype != np.bool_:
        raise UserError("a choice among more than two arrays has no ONNX operator.")
    return elementwise(graph, "Where", [which, cases[1], cases[0]], due)


def _cast(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    kind = graph.kind(due.dtype)
    x = xs[0]
    made = graph.node("Cast", [x], due.shape, due.dtype, to=kind)
    thin = isinstance(x, Tensor) and x.thin
    return dataclasses.replace(made, thin=thin)


def _same(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    return xs[0]


def _broadcast(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    x, axes = xs[0], [int(axis) for axis in params["broadcast_dimensions"]]
    x = graph.full(x)
    shape: list[Any] = [1] * len(due.shape)
    for place, axis in enumerate(axes):
        shape[axis] = x.shape[place]
    placed = graph.reshape(x, tuple(shape)) if tuple(shape) != x.shape else x
    if tuple(shape) == due.shape:
        return placed
    # An array becomes a weight of the graph here: it is not stretched in the file.
    return Tensor(graph.name(placed), due.shape, due.dtype, thin=True)


def _reshape(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    if params.get("dimensions") is not None:
        raise UserError("a reshape that permutes axes has no ONNX operator.")
    return graph.reshape(xs[0], due.shape)


def _squeeze(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    return graph.reshape(xs[0], due.shape)


def _transpose(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    return graph.transpose(xs[0], [int(axis) for axis in params["permutation"]])


def _concatenate(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    axis = int(params["dimension"])
    mirrored = _mirror_padding(graph, xs, axis, due)
    if mirrored is not None:
        return mirrored
    wide = [graph.full(x) for x in xs]
    return graph.node("Concat", wide, due.shape, due.dtype, axis=axis)


def _mirror_padding(
    graph: Graph, xs: list[Value], axis: int, due: Due
) -> Tensor | None:
    """Mirrored pixels put in front of or behind a tensor, as one operator.

    jax writes reflection as a slice, reversed and concatenated, for each border; the
    four of a picture become a single node.

    Returns:
        None where it is something else.
    """
    if len(xs) != 2 or not all(isinstance(x, Tensor) for x in xs):
        return None
    for place in (0, 1):
        border, body = xs[place], xs[1 - place]
        assert isinstance(border, Tensor) and isinstance(body, Tensor)
        if border.made[:1] != ("mirror",) or border.made[1:3] != (body.name, axis):
            continue
        start, stop = border.made[3:]
        length, width = body.shape[axis], stop - start
        if (start, stop) != ((1, 1 + width), (length - 1 - width, length - 1))[place]:
            continue
        source: Tensor = body
        pads = [0] * (2 * len(due.shape))
        if body.made[:1] == ("reflect",):
            _, inner, before = body.made
            # Mirrored twice on one side is not mirrored once.
            if not before[axis + len(due.shape) * place] and width < inner.shape[axis]:
                source, pads = inner, list(before)
        pads[axis + len(due.shape) * place] += width
        inputs: list[Value] = [source, np.array(pads, np.int64)]
        made = ("reflect", source, tuple(pads))
        return graph.node(
            "Pad", inputs, due.shape, due.dtype, made=made, mode="reflect"
        )
    return None


def _stack(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    axis = int(params["axis"])
    shape = (*due.shape[:axis], 1, *due.shape[axis + 1 :])
    parts = [graph.reshape(graph.full(x), shape) for x in xs]
    return graph.node("Concat", parts, due.shape, due.dtype, axis=axis)


def _slice(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    x = graph.full(xs[0])
    starts, stops = params["start_indices"], params["limit_indices"]
    strides = params["strides"] or [1] * len(starts)
    cut = [
        axis
        for axis, ends in enumerate(zip(starts, stops, strides, strict=True))
        if ends[0] != 0 or ends[1] != x.shape[axis] or ends[2] != 1
    ]
    if not cut:
        return x
    made: tuple[Any, ...] = ()
    if len(cut) == 1 and strides[cut[0]] == 1 and isinstance(x, Tensor):
        made = ("slice", x.name, cut[0], starts[cut[0]], stops[cut[0]])
    ends = [np.array([w[a] for a in cut], np.int64) for w in (starts, stops)]
    steps = np.array([strides[a] for a in cut], np.int64)
    inputs: list[Value] = [x, *ends, np.array(cut, np.int64), steps]
    return graph.node("Slice", inputs, due.shape, due.dtype, made=made)


def _reverse(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    x = graph.full(xs[0])
    axes = [int(axis) for axis in params["dimensions"]]
    made: tuple[Any, ...] = ()
    if isinstance(x, Tensor) and x.made[:1] == ("slice",) and [x.made[2]] == axes:
        made = ("mirror", *x.made[1:])
    last, beyond = [-1] * len(axes), [np.iinfo(np.int64).min] * len(axes)
    inputs: list[Value] = [x]
    inputs += [np.array(v, np.int64) for v in (last, beyond, axes, last)]
    return graph.node("Slice", inputs, due.shape, due.dtype, made=made)


def _pad(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    x, value = graph.full(xs[0]), xs[1]
    widths = params["padding_config"]
    if any(between for _, _, between in widths):
        raise UserError("zeros between pixels have no ONNX operator.")
    cut = [(max(-low, 0), max(-high, 0)) for low, high, _ in widths]
    if any(map(any, cut)):
        axes = [axis for axis, ends in enumerate(cut) if any(ends)]
        ends = [cut[a][0] for a in axes], [x.shape[a] - cut[a][1] for a in axes]
        shape = tuple(side - sum(cut[a]) for a, side in enumerate(x.shape))
        inputs = [x, *(np.array(v, np.int64) for v in (*ends, axes))]
        x = graph.node("Slice", inputs, shape, due.dtype)
    pads = [max(w[0], 0) for w in widths] + [max(w[1], 0) for w in widths]
    if not any(pads):
        return x
    inputs = [x, np.array(pads, np.int64), value]
    return graph.node("Pad", inputs, due.shape, due.dtype)


def _reduce(op: str) -> Operator:
    def reduce(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
        axes = np.array([int(axis) for axis in params["axes"]], np.int64)
        x = graph.full(xs[0])
        return graph.node(op, [x, axes], due.shape, due.dtype, keepdims=0)

    return reduce


def _dot(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    (mine, theirs), (my_batch, their_batch) = params["dimension_numbers"]
    x, y = (graph.full(v) for v in xs)
    ranks = len(x.shape), len(y.shape)
    if ranks[1] == 2 and mine == (ranks[0] - 1,) and theirs == (0,) and not my_batch:
        return graph.node("MatMul", [x, y], due.shape, due.dtype)
    letters = list(_LETTERS)
    left = [letters.pop(0) for _ in range(ranks[0])]
    right = [letters.pop(0) for _ in range(ranks[1])]
    shared = zip((*mine, *my_batch), (*theirs, *their_batch), strict=True)
    for ours, other in shared:
        right[other] = left[ours]
    batch = [left[i] for i in my_batch]
    free = [left[i] for i in range(ranks[0]) if i not in (*mine, *my_batch)]
    free += [right[i] for i in range(ranks[1]) if i not in (*theirs, *their_batch)]
    equation = f"{''.join(left)},{''.join(right)}->{''.join(batch + free)}"
    return graph.node("Einsum", [x, y], due.shape, due.dtype, equation=equation)


def _elementwise(op: str) -> Operator:
    return lambda graph, xs, params, due: elementwise(graph, op, xs, due)


OPERATORS: Mapping[str, Operator] = {
    **{name: _elementwise(op) for name, op in ELEMENTWISE.items()},
    **{name: _reduce(op) for name, op in _REDUCTIONS.items()},
    "broadcast_in_dim": _broadcast,
    "clamp": _clamp,
    "concatenate": _concatenate,
    "convert_element_type": _cast,
    "copy": _same,
    "name": _same,
    "dot_general": _dot,
    "integer_pow": _integer_pow,
    "ne": _not_equal,
    "optimization_barrier": _same,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _reverse,
    "round": _round,
    "rsqrt": _rsqrt,
    "select_n": _select,
    "slice": _slice,
    "square": _square,
    "squeeze": _squeeze,
    "stack": _stack,
    "stop_gradient": _same,
    "transpose": _transpose,
}
