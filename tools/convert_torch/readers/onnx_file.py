"""ONNX files: the nodes of a graph and its tensors, without the onnx package.

The messages are those of onnx.proto, versions 3 to 13 of its format. Sizes are compared
with the file's before memory is taken; tensors stay in the file until they are asked
for. Subgraphs, functions, sparse tensors and tensors in other files are refused, since
no network that is read here has them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.readers import protobuf
from stylegan_jax.convert_torch.readers.faults import CutShort, Damaged, Unsupported
from stylegan_jax.convert_torch.readers.protobuf import Fields
from stylegan_jax.convert_torch.readers.values import ELEMENTS, Storage, Tensor

# A file begins with the field ir_version; the others that may come next.
_BEGIN, _SECOND = 0x08, (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)

_MODEL = {
    1: "ir_version",
    2: "producer_name",
    3: "producer_version",
    4: "domain",
    5: "model_version",
    6: "doc_string",
    7: "graph",
    8: "opset_import",
    14: "metadata_props",
}
_OPSET = {1: "domain", 2: "version"}
_GRAPH = {
    1: "node",
    2: "name",
    5: "initializer",
    10: "doc_string",
    11: "input",
    12: "output",
    13: "value_info",
    16: "metadata_props",
}
_NODE = {
    1: "input",
    2: "output",
    3: "name",
    4: "op_type",
    5: "attribute",
    6: "doc_string",
    7: "domain",
    9: "metadata_props",
}
_ATTRIBUTE = {
    1: "name",
    2: "f",
    3: "i",
    4: "s",
    5: "t",
    7: "floats",
    8: "ints",
    13: "doc_string",
    20: "type",
}
_TENSOR = {
    1: "dims",
    2: "data_type",
    4: "float_data",
    8: "name",
    9: "raw_data",
    10: "double_data",
    12: "doc_string",
    14: "data_location",
}
_VALUE = {1: "name", 2: "type", 3: "doc_string"}
_TYPE = {1: "tensor_type", 6: "denotation"}
_TENSOR_TYPE = {1: "elem_type", 2: "shape"}
_SHAPE = {1: "dim"}
_DIM = {1: "dim_value", 2: "dim_param", 3: "denotation"}

# Element types by their numbers in the format.
_KINDS = {1: "float32", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
_ATTRIBUTE_KINDS = ("a float", "an integer", "a text", "a tensor", "floats", "integers")


@dataclasses.dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Attributes:
        op: its name in ONNX, e.g. ``Conv``.
        inputs: names of what goes in; empty for an optional one that is absent.
        outputs: names of what comes out.
        attributes: its settings: numbers, texts, tensors, or tuples of numbers.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Graph:
    """What an ONNX file holds.

    Attributes:
        nodes: the operations, in the order in which they run.
        tensors: the constants by name.
        inputs: the shapes of the inputs by name, constants left out; 0 where a length
            is not fixed.
        outputs: names of the results.
    """

    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]


def is_onnx(first: bytes) -> bool:
    """Whether bytes could be the beginning of an ONNX file."""
    return (
        first[:1] == bytes([_BEGIN])
        and first[1:2] < b"\x80"
        and any(first[2:3] == bytes([tag]) for tag in _SECOND)
    )


def read_onnx(view: memoryview) -> Graph:
    """Reads the graph of an ONNX file.

    Args:
        view: the whole file.

    Raises:
        Fault: the bytes are no such file, or it has what is not read here.
    """
    model = protobuf.read_fields(view, _MODEL, "model")
    graphs = protobuf.messages(model, 7)
    if len(graphs) != 1:
        raise Damaged(f"it has {len(graphs)} graphs instead of one")
    opsets = protobuf.messages(model, 8)
    if not opsets:
        raise CutShort("it does not say which operations it has")
    for opset in opsets:
        domain = protobuf.text(protobuf.read_fields(opset, _OPSET, "opset"), 1)
        if domain not in ("", "ai.onnx"):
            raise Unsupported(
                f"it uses operations of {domain[:80]!r}, which are unknown here"
            )
    graph = protobuf.read_fields(graphs[0], _GRAPH, "graph")
    tensors: dict[str, Tensor] = {}
    for message in protobuf.messages(graph, 5):
        name, tensor = _tensor(message)
        if not name or name in tensors:
            raise Damaged(f"it has two tensors of the name {name[:80]!r}")
        tensors[name] = tensor
    inputs = dict(_value(message) for message in protobuf.messages(graph, 11))
    outputs = tuple(_value(message)[0] for message in protobuf.messages(graph, 12))
    return Graph(
        tuple(_node(message) for message in protobuf.messages(graph, 1)),
        tensors,
        {name: shape for name, shape in inputs.items() if name not in tensors},
        outputs,
    )


def _node(message: memoryview) -> Node:
    fields = protobuf.read_fields(message, _NODE, "node")
    if domain := protobuf.text(fields, 7):
        raise Unsupported(
            f"it uses operations of {domain[:80]!r}, which are unknown here"
        )
    attributes = [_attribute(part) for part in protobuf.messages(fields, 5)]
    named = dict(attributes)
    if len(named) < len(attributes):
        raise Damaged("a node has two attributes of one name")
    return Node(
        protobuf.text(fields, 4),
        tuple(protobuf.texts(fields, 1)),
        tuple(protobuf.texts(fields, 2)),
        named,
    )


def _attribute(message: memoryview) -> tuple[str, Any]:
    """An attribute by its type, which says which field counts."""
    fields = protobuf.read_fields(message, _ATTRIBUTE, "attribute")
    name, kind = protobuf.text(fields, 1), protobuf.integer(fields, 20)
    if kind == 2:
        return name, protobuf.integer(fields, 3)
    if kind == 7:
        return name, tuple(protobuf.integers(fields, 8))
    if kind == 3:
        return name, protobuf.text(fields, 4)
    if kind == 6:
        return name, tuple(protobuf.floats(fields, 7))
    if kind == 1:
        return name, (protobuf.floats(fields, 2) or [0.0])[-1]
    if kind == 4:
        parts = protobuf.messages(fields, 5)
        return name, _tensor(parts[-1] if parts else memoryview(b""))[1]
    raise Unsupported(
        f"the attribute {name[:80]!r} is none of {', '.join(_ATTRIBUTE_KINDS)}"
    )


def _tensor(message: memoryview) -> tuple[str, Tensor]:
    """A tensor's name, and the tensor as a view of the file."""
    fields = protobuf.read_fields(message, _TENSOR, "tensor")
    name, number = protobuf.text(fields, 8), protobuf.integer(fields, 2)
    shape, kind = protobuf.integers(fields, 1), _KINDS.get(number)
    if kind is None:
        raise Unsupported(f"the tensor {name[:80]!r} has elements of type {number}")
    if protobuf.integer(fields, 14):
        raise Unsupported(f"the tensor {name[:80]!r} lies in another file")
    data = [
        part
        for part in (
            *protobuf.messages(fields, 9),
            protobuf.packed(fields, 4, protobuf.FIXED32),
            protobuf.packed(fields, 10, protobuf.FIXED64),
        )
        if len(part)
    ]
    view = data[0] if data else memoryview(b"")
    # Float tensors have bytes or floats; every other type in this list only bytes,
    # or doubles where it is that.
    typed = {4: "float32", 10: "float64"}
    if len(data) > 1 or any(n in fields and kind != typed[n] for n in typed):
        raise Damaged(f"the tensor {name[:80]!r} has its elements twice")
    stored = ELEMENTS[kind]
    if any(not 0 <= n < 2**31 for n in shape) or len(shape) > 32:
        raise Damaged(f"the tensor {name[:80]!r} has an impossible shape")
    size = math.prod(shape)
    if size * stored.itemsize != len(view):
        raise Damaged(
            f"the tensor {name[:80]!r} of shape {shape} has {len(view)} bytes instead "
            f"of {size * stored.itemsize}"
        )
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return name, Tensor(Storage(kind, stored, size, lambda: view), shape, strides)


def _value(message: memoryview) -> tuple[str, tuple[int, ...]]:
    """The name and the shape of a graph's input or output."""
    fields = protobuf.read_fields(message, _VALUE, "value")
    shape: list[int] = []
    for kind in protobuf.messages(fields, 2):
        of_tensor = protobuf.messages(protobuf.read_fields(kind, _TYPE, "type"), 1)
        for part in of_tensor:
            inner = protobuf.read_fields(part, _TENSOR_TYPE, "type")
            shape = [n for dims in protobuf.messages(inner, 2) for n in _lengths(dims)]
    return protobuf.text(fields, 1), tuple(shape)


def _lengths(message: memoryview) -> list[int]:
    dims = protobuf.messages(protobuf.read_fields(message, _SHAPE, "shape"), 1)
    fields: list[Fields] = [protobuf.read_fields(d, _DIM, "length") for d in dims]
    return [max(0, protobuf.integer(f, 1)) for f in fields]
