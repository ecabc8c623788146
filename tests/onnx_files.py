"""Writes small ONNX files, as tests need them: a MobileFaceNet, and odd ones."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from feature_cases import random_state

TINY = {
    "input_size": 16,
    "width": 8,
    "stem_groups": 4,
    "stages": (8, 6),
    "blocks": (1, 2),
    "halving": (8, 12),
    "inner": (8, 6),
    "last": (10, 4),
    "embedding_dim": 6,
}


def varint(n: int) -> bytes:
    """An integer of the wire format; negative ones take ten bytes."""
    n %= 1 << 64
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number: int, value: int | float | str | bytes) -> bytes:
    """One field of a message: an integer, a float of 32 bits, text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(name: str, value: int | float | str | Sequence[int]) -> bytes:
    """A setting of a node."""
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    if isinstance(value, float):
        return field(1, name) + field(2, value) + field(20, 1)
    if isinstance(value, str):
        return field(1, name) + field(4, value) + field(20, 3)
    ints = b"".join(field(8, n) for n in value)
    return field(1, name) + ints + field(20, 7)


def node(op: str, inputs: Sequence[str], output: str, **attributes) -> bytes:
    """An operation."""
    return (
        b"".join(field(1, name) for name in inputs)
        + field(2, output)
        + field(4, op)
        + b"".join(field(5, attribute(k, v)) for k, v in attributes.items())
    )


def tensor(name: str, array: np.ndarray) -> bytes:
    """A constant, its elements as bytes."""
    kinds = {"float32": 1, "int32": 6, "int64": 7, "float16": 10, "float64": 11}
    dims = b"".join(field(1, n) for n in array.shape)
    kind = field(2, kinds[array.dtype.name])
    return dims + kind + field(8, name) + field(9, array.tobytes())


def value(name: str, shape: Sequence[int]) -> bytes:
    """An input or output of the graph; a length of 0 is not fixed."""
    dims = (field(1, field(1, n) if n else field(2, "N")) for n in shape)
    of_tensor = field(1, 1) + field(2, b"".join(dims))
    return field(1, name) + field(2, field(1, of_tensor))


def model(
    nodes: Iterable[bytes],
    tensors: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
) -> bytes:
    """A whole file."""
    graph = b"".join(field(1, part) for part in nodes) + field(2, "net")
    graph += b"".join(field(5, part) for part in tensors)
    graph += b"".join(field(11, part) for part in inputs)
    graph += b"".join(field(12, part) for part in outputs)
    opset = field(2, 11)
    return field(1, 6) + field(2, "a test") + field(7, graph) + field(8, opset)


def face_state(fields: Mapping = TINY, seed: int = 0) -> dict[str, np.ndarray]:
    """A MobileFaceNet's tensors by the names that the rules give them."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out: int, fed: int, side: int, slope: bool = True) -> int:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (
            (out, fed, side, side),
            (out,),
        )
        if slope:
            shapes[f"{name}.slope"] = (out, 1, 1)
        return out

    width = conv("stem0", fields["width"], 3, 3)
    fed = conv("stem1", width, width // fields["stem_groups"], 3)
    plans = zip(
        *(fields[k] for k in ("stages", "blocks", "halving", "inner")), strict=True
    )
    for s, (features, blocks, halving, inner) in enumerate(plans):
        for i in range(blocks + 1):
            name, wide = f"stage{s}.{i}", inner if i else halving
            conv(f"{name}.expand", wide, fed, 1)
            conv(f"{name}.depth", wide, 1, 3)
            fed = conv(f"{name}.project", features, wide, 1, slope=False)
    fed = conv("last1", fields["last"][1], conv("last0", fields["last"][0], fed, 1), 1)
    side = fields["input_size"] >> (1 + len(fields["stages"]))
    shapes["dense.weight"] = (fields["embedding_dim"], fed * side * side)
    shapes["dense.bias"] = (fields["embedding_dim"],)
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"bn.{leaf}"] = (fields["embedding_dim"],)
    state = random_state(shapes, seed)
    # Slopes as after training; of 1 they would let a sign pass unseen.
    small = np.float32(0.2)
    return {k: v * small if k.endswith("slope") else v for k, v in state.items()}


def face_file(fields: Mapping = TINY, seed: int = 0) -> bytes:
    """That network as an ONNX file; its tensors have numbers for names."""
    state = face_state(fields, seed)
    number = {name: str(700 + i) for i, name in enumerate(state)}
    nodes: list[bytes] = []
    current = "input.1"

    def add(op: str, inputs: Sequence[str], **attributes) -> str:
        nonlocal current
        before, current = current, str(len(nodes))
        nodes.append(node(op, [before, *inputs], current, **attributes))
        return current

    def conv(name: str, stride: int = 1) -> str:
        weight = state[f"{name}.weight"]
        side = weight.shape[2]
        groups = {"depth": weight.shape[0], "stem1": fields["stem_groups"]}
        result = add(
            "Conv",
            [number[f"{name}.weight"], number[f"{name}.bias"]],
            dilations=(1, 1),
            group=groups.get(name.rpartition(".")[2], 1),
            kernel_shape=(side, side),
            pads=(side // 2,) * 4,
            strides=(stride, stride),
        )
        if f"{name}.slope" in state:
            result = add("PRelu", [number[f"{name}.slope"]])
        return result

    conv("stem0", 2)
    conv("stem1")
    for s, blocks in enumerate(fields["blocks"]):
        for i in range(blocks + 1):
            begin = current
            conv(f"stage{s}.{i}.expand")
            conv(f"stage{s}.{i}.depth", 1 if i else 2)
            conv(f"stage{s}.{i}.project")
            if i:
                end, current = current, begin
                add("Add", [end])
    conv("last0")
    conv("last1")
    add("Flatten", [], axis=1)
    dense = [number["dense.weight"], number["dense.bias"]]
    add("Gemm", dense, alpha=1.0, beta=1.0, transB=1)
    leaves = ("weight", "bias", "running_mean", "running_var")
    norm = [number[f"bn.{leaf}"] for leaf in leaves]
    add("BatchNormalization", norm, epsilon=1e-5, momentum=0.9)
    side = fields["input_size"]
    return model(
        nodes,
        [tensor(number[name], array) for name, array in state.items()],
        [value("input.1", (0, 3, side, side))],
        [value(current, (0, fields["embedding_dim"]))],
    )
