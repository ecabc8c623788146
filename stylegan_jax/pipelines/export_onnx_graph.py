"""An ONNX graph under construction: values, nodes, weights.

A value is an array that is known while the graph is made (`numpy.ndarray`), or a
`Tensor`, the result of a node. A tensor may be *thin*: it has size 1 along axes that
its shape says are longer. ONNX's elementwise operators stretch such axes themselves;
for all others `Graph.full` does it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stylegan_jax.errors import MissingExtra, UserError

# Every runtime of the last years reads it. Reflect, Split and reductions over axes that
# are inputs are of 18.
OPSET = 18
# Of ONNX's release with these operators.
IR_VERSION = 8
# A protocol buffer holds no more.
MAX_BYTES = 2**31 - 2**20

Shape = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A result of a node, or an input.

    Attributes:
        name: in the graph.
        shape: in jax; the batch is a number or jax's symbol of it.
        dtype: NumPy's.
        thin: whether some axes have size 1 in the graph and are longer here.
        made: how the tensor was made, where a later operator can do better with that.
    """

    name: str
    shape: Shape
    dtype: np.dtype
    thin: bool = False
    made: tuple[Any, ...] = ()


Value = np.ndarray | Tensor


def import_onnx() -> Any:
    """The package ``onnx``.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "onnx", "Exporting to ONNX") from error
    return onnx


class Graph:
    """Nodes and weights in the order of their making.

    Attributes:
        inputs: by name.
    """

    def __init__(self) -> None:
        self._onnx = import_onnx()
        self._nodes: list[Any] = []
        self._weights: dict[str, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._stretched: dict[str, Tensor] = {}
        self._number = 0
        self.inputs: dict[str, Tensor] = {}

    def input(self, name: str, shape: Shape, dtype: np.dtype) -> Tensor:
        """Adds an input; a dimension that is no number is the batch."""
        tensor = Tensor(name, shape, np.dtype(dtype))
        self.inputs[name] = tensor
        return tensor

    def node(
        self,
        op: str,
        inputs: Sequence[Value | str],
        shape: Shape,
        dtype: np.dtype,
        *,
        made: tuple[Any, ...] = (),
        **attributes: Any,
    ) -> Tensor:
        """Adds a node.

        Args:
            op: ONNX's operator.
            inputs: values; text is the name of one.
            shape: of the result, in jax.
            dtype: of the result.
            made: see `Tensor`.
            **attributes: of the operator.

        Returns:
            The result.
        """
        return self.nodes(op, inputs, [shape], dtype, made=made, **attributes)[0]

    def nodes(
        self,
        op: str,
        inputs: Sequence[Value | str],
        shapes: Sequence[Shape],
        dtype: np.dtype,
        *,
        made: tuple[Any, ...] = (),
        **attributes: Any,
    ) -> list[Tensor]:
        """Adds a node of several results; arguments as of `node`."""
        names = [x if isinstance(x, str) else self.name(x) for x in inputs]
        results = [self._fresh() for _ in shapes]
        node = self._onnx.helper.make_node(op, names, results, **attributes)
        self._nodes.append(node)
        kind = np.dtype(dtype)
        return [
            Tensor(name, shape, kind, made=made)
            for name, shape in zip(results, shapes, strict=True)
        ]

    def name(self, value: Value) -> str:
        """The name of a value; known arrays become weights of the graph."""
        if isinstance(value, Tensor):
            return value.name
        array = np.ascontiguousarray(value).reshape(value.shape)
        # Small ones, such as shapes, come again and again.
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size < 64 else ()
        if key in self._known:
            return self._known[key]
        name = self._fresh()
        self._weights[name] = array
        if key:
            self._known[key] = name
        return name

    def kind(self, dtype: np.dtype) -> int:
        """ONNX's number of a type."""
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def full(self, value: Value) -> Value:
        """The value with all of its axes as long as its shape says."""
        if isinstance(value, np.ndarray) or not value.thin:
            return value
        if value.name not in self._stretched:
            inputs = [value.name, self.shape(value.shape)]
            wide = self.node("Expand", inputs, value.shape, value.dtype)
            self._stretched[value.name] = wide
        wide = self._stretched[value.name]
        if wide.shape != value.shape:
            inputs = [value.name, self.shape(value.shape)]
            return self.node("Expand", inputs, value.shape, value.dtype)
        return wide

    def shape(self, shape: Shape) -> Value:
        """A shape as a value; the batch is taken from the first input."""
        if all(isinstance(side, int) for side in shape):
            return np.array(shape, np.int64)
        first = next(iter(self.inputs.values()))
        whole = self.node("Shape", [first], (len(first.shape),), np.dtype(np.int64))
        batch = self.node(
            "Slice", [whole, _ints([0]), _ints([1])], (1,), np.dtype(np.int64)
        )
        parts: list[Value] = []
        for side in shape:
            if isinstance(side, int):
                parts.append(_ints([side]))
            elif side == first.shape[0]:
                parts.append(batch)
            else:
                raise UserError(
                    f"a batch of any size becomes {side} inside this model, which ONNX "
                    "cannot say: export it with a fixed --batch."
                )
        return self.node("Concat", parts, (len(shape),), np.dtype(np.int64), axis=0)

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """Permutes axes; a permutation that undoes the last one costs nothing."""
        if isinstance(x, np.ndarray):
            return x.transpose(axes)
        axes = tuple(axes)
        if axes == tuple(range(len(axes))):
            return x
        if x.made[:1] == ("transpose",):
            _, before, first = x.made
            return self.transpose(before, [first[i] for i in axes])
        x_full = self.full(x)
        shape = tuple(x.shape[i] for i in axes)
        made = ("transpose", x_full, axes)
        return self.node("Transpose", [x_full], shape, x.dtype, made=made, perm=axes)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """Reshapes; the one side that is no number is left to the runtime."""
        if isinstance(x, np.ndarray):
            return x.reshape(shape)
        if x.shape == shape and not x.thin:
            return x
        sides = [side if isinstance(side, int) else -1 for side in shape]
        if sides.count(-1) > 1 or 0 in sides:
            raise UserError(
                f"this model reshapes to {shape}, which ONNX cannot say: export it "
                "with a fixed --batch."
            )
        return self.node("Reshape", [self.full(x), _ints(sides)], shape, x.dtype)

    def model(self, outputs: dict[str, Value], metadata: dict[str, str]) -> bytes:
        """The finished model.

        Args:
            outputs: by name.
            metadata: texts that the file keeps.

        Returns:
            The file's bytes; nodes and weights that no output needs are left out.

        Raises:
            UserError: it is larger than an ONNX file can be.
        """
        helper = self._onnx.helper
        for name, value in outputs.items():
            last = self.name(self.full(value))
            self._nodes.append(helper.make_node("Identity", [last], [name]))
        nodes, used = self._needed(set(outputs))
        weights = {k: v for k, v in self._weights.items() if k in used}
        size = sum(array.nbytes for array in weights.values())
        if size > MAX_BYTES:
            raise UserError(
                f"the weights are {size / 2**30:.1f} GiB and an ONNX file holds 2: "
                "export to StableHLO."
            )
        numpy_helper = self._onnx.numpy_helper
        graph = helper.make_graph(
            nodes,
            "stylegan_jax",
            [self._info(name, x) for name, x in self.inputs.items()],
            [self._info(name, x) for name, x in outputs.items()],
            [numpy_helper.from_array(v, k) for k, v in weights.items()],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="stylegan_jax",
            ir_version=IR_VERSION,
        )
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model)
        return model.SerializeToString()

    def _needed(self, wanted: set[str]) -> tuple[list[Any], set[str]]:
        """The nodes that the wanted names need, and all names that these use."""
        used, nodes = set(wanted), []
        for node in reversed(self._nodes):
            if used & {*node.output}:
                nodes.append(node)
                used |= {*node.input}
        return nodes[::-1], used

    def _info(self, name: str, value: Value) -> Any:
        shape = [side if isinstance(side, int) else "batch" for side in value.shape]
        make = self._onnx.helper.make_tensor_value_info
        return make(name, self.kind(value.dtype), shape)

    def _fresh(self) -> str:
        self._number += 1
        return f"v{self._number}"


def elements(shape: Shape) -> float:
    """How many elements a shape has; infinite where its batch is open."""
    if all(isinstance(side, int) for side in shape):
        return math.prod(shape)
    return math.inf


def _ints(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.int64)
