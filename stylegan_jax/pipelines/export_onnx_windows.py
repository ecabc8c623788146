"""Convolutions and windows in ONNX, whose pictures are [N, C, H, W]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.export_onnx_graph import Graph, Shape, Value
from stylegan_jax.pipelines.export_onnx_operators import Due, Operator

_NHWC, _NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def convolution(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    """A convolution, or with zeros between the pixels its transpose."""
    x, kernel = (graph.full(v) for v in xs)
    if not isinstance(kernel, np.ndarray):
        raise UserError("this model makes its kernels as it runs: use StableHLO.")
    spec = params["dimension_numbers"]
    x = graph.transpose(x, spec.lhs_spec)
    kernel = kernel.transpose(spec.rhs_spec)  # [O,I,h,w]
    shape = tuple(due.shape[i] for i in spec.out_spec)  # [N,O,H,W]
    if params["batch_group_count"] != 1:
        raise UserError("a convolution over groups of the batch has no ONNX operator.")
    dilation = tuple(params["lhs_dilation"])
    if set(dilation) <= {1}:
        y: Value = graph.node(
            "Conv",
            [x, kernel],
            shape,
            due.dtype,
            strides=list(params["window_strides"]),
            pads=_ends(params["padding"]),
            dilations=list(params["rhs_dilation"]),
            group=params["feature_group_count"],
        )
    else:
        y = _transposed(graph, x, kernel, params, shape, due)
    back = [0] * len(shape)
    for place, axis in enumerate(spec.out_spec):
        back[axis] = place
    return graph.transpose(y, back)


def _transposed(
    graph: Graph, x: Value, kernel: np.ndarray, params: Any, shape: Shape, due: Due
) -> Value:
    """A convolution of pictures with zeros between their pixels."""
    strides, sides = tuple(params["lhs_dilation"]), kernel.shape[2:]
    plain = (
        set(params["window_strides"]) <= {1}
        and set(params["rhs_dilation"]) <= {1}
        and params["feature_group_count"] == 1
    )
    if not plain:
        raise UserError("this transposed convolution has no ONNX operator.")
    # ONNX counts what is cut off the whole transpose, whose kernel is flipped.
    cuts = [
        (side - 1 - low, side - 1 - high)
        for side, (low, high) in zip(sides, params["padding"], strict=True)
    ]
    kept = [(max(low, 0), max(high, 0)) for low, high in cuts]
    more = [(max(-low, 0), max(-high, 0)) for low, high in cuts]
    flipped = np.ascontiguousarray(kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])
    inner = [side - sum(ends) for side, ends in zip(shape[2:], more, strict=True)]
    y = graph.node(
        "ConvTranspose",
        [x, flipped],
        (*shape[:2], *inner),
        due.dtype,
        strides=list(strides),
        pads=_ends(kept),
    )
    if not any(map(any, more)):
        return y
    pads = np.array([0, 0, *(e[0] for e in more), 0, 0, *(e[1] for e in more)])
    zero = np.zeros((), due.dtype)
    return graph.node("Pad", [y, pads.astype(np.int64), zero], shape, due.dtype)


def _window_sum(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    """Sums over windows of pictures [N, H, W, C]: means, times their pixels."""
    y = _pool(graph, "AveragePool", xs, params, due, count_include_pad=1)
    window = np.prod([int(side) for side in params["window_dimensions"]])
    return graph.node("Mul", [y, np.array(window, due.dtype)], due.shape, due.dtype)


def _window_max(graph: Graph, xs: list[Value], params: Any, due: Due) -> Value:
    return _pool(graph, "MaxPool", xs, params, due)


def _pool(
    graph: Graph, op: str, xs: list[Value], params: Any, due: Due, **attributes: Any
) -> Value:
    windows = [int(side) for side in params["window_dimensions"]]
    *front, rows, columns, channels = windows
    dilated = {*params["base_dilation"], *params["window_dilation"]} != {1}
    if not front or {*front, channels} != {1} or dilated:
        raise UserError("these windows have no ONNX operator.")
    x = graph.full(xs[0])
    number: Any = 1
    for side in x.shape[:-3]:  # a batch of batches is one batch
        number = number * side
    x = graph.transpose(graph.reshape(x, (number, *x.shape[-3:])), _NCHW)
    shape = tuple((number, *due.shape[-3:])[i] for i in _NCHW)
    y = graph.node(
        op,
        [x],
        shape,
        due.dtype,
        kernel_shape=[rows, columns],
        strides=[int(s) for s in params["window_strides"][-3:-1]],
        pads=_ends(params["padding"][-3:-1]),
        **attributes,
    )
    return graph.reshape(graph.transpose(y, _NHWC), due.shape)


def _ends(padding: Sequence[tuple[int, int]]) -> list[int]:
    """Pads as ONNX has them: all in front, then all behind."""
    return [int(low) for low, _ in padding] + [int(high) for _, high in padding]


WINDOWS: Mapping[str, Operator] = {
    "conv_general_dilated": convolution,
    "reduce_window_max": _window_max,
    "reduce_window_sum": _window_sum,
}
