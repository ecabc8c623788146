"""Writes small OpenVINO files, as tests need them: a MobileStyleGAN's two graphs."""

import dataclasses
from xml.sax.saxutils import quoteattr

import numpy as np

# The names of the files in a folder that is a checkpoint.
NAMES = ("MappingNetwork", "SynthesisNetwork")

_TYPES = {"float32": "f32", "int64": "i64", "float16": "f16"}
_ROOT = np.float32(0.5**0.5)


@dataclasses.dataclass
class Operation:
    """An operation of a graph that is being written; tests change its fields."""

    number: int
    name: str
    kind: str
    inputs: list
    shapes: list
    attributes: dict


class GraphFile:
    """A graph that grows operation by operation; a port is (layer, output)."""

    def __init__(self, name):
        self.name = name
        self.operations = []
        self.data = bytearray()

    def add(self, kind, inputs=(), shapes=((),), name=None, **attributes):
        """An operation; gives the port of its first output."""
        number = len(self.operations)
        self.operations.append(
            Operation(
                number,
                name or f"{kind}_{number}",
                kind,
                list(inputs),
                [tuple(s) for s in shapes],
                attributes,
            )
        )
        return number, 0

    def const(self, array):
        """A constant; gives its port."""
        array = np.asarray(array)
        offset = len(self.data)
        self.data += array.tobytes()
        return self.add(
            "Const",
            shapes=[array.shape],
            element_type=_TYPES[array.dtype.name],
            shape=", ".join(map(str, array.shape)),
            offset=str(offset),
            size=str(array.nbytes),
        )

    def shape(self, port):
        """The shape of a port."""
        return self.operations[port[0]].shapes[port[1]]

    def find(self, kind, place=0):
        """The operation of a kind at a place among its kind; to be changed."""
        return [x for x in self.operations if x.kind == kind][place]

    def text(self):
        """The XML."""
        lines = [
            '<?xml version="1.0" ?>',
            f'<net name="{self.name}" version="10">',
            "<layers>",
        ]
        edges = []
        for op in self.operations:
            lines.append(
                f'<layer id="{op.number}" name={quoteattr(op.name)} type="{op.kind}">'
            )
            settings = "".join(f" {k}={quoteattr(v)}" for k, v in op.attributes.items())
            lines.append(f"<data{settings}/>")
            lines.append("<output>")
            for i, shape in enumerate(op.shapes):
                dims = "".join(f"<dim>{n}</dim>" for n in shape)
                lines.append(f'<port id="{i + len(op.inputs)}">{dims}</port>')
            lines += ["</output>", "</layer>"]
            for place, (layer, output) in enumerate(op.inputs):
                start = output + len(self.operations[layer].inputs)
                edges.append(
                    f'<edge from-layer="{layer}" from-port="{start}" '
                    f'to-layer="{op.number}" to-port="{place}"/>'
                )
        lines += ["</layers>", "<edges>", *edges, "</edges>", "</net>"]
        return "\n".join(lines)

    def write(self, folder):
        """Writes both files."""
        (folder / f"{self.name}.xml").write_text(self.text())
        (folder / f"{self.name}.bin").write_bytes(bytes(self.data))


def _f(value):
    return np.float32(value)


def _i(*values):
    return np.array(values, np.int64)


def mapping_graph(state):
    """The graph from z to w.

    Args:
        state: tensors by the names that the rules give them, StyleGAN2's mapping.
    """
    g = GraphFile(NAMES[0])
    layers = sum(name.startswith("mapping.") for name in state) // 2
    width = state["mapping.fc0.weight"].shape[1]
    row, one = [(1, width)], [(1, 1)]
    z = g.add("Parameter", shapes=row, shape=f"1, {width}", element_type="f32")
    square = g.add("Power", [z, g.const(_f([2]))], row)
    mean = g.add("ReduceMean", [square, g.const(_i(1))], one, keep_dims="true")
    total = g.add("Add", [mean, g.const(_f([1e-8]))], one)
    root = g.add("Power", [total, g.const(_f([0.5]))], one)
    inverse = g.add("Power", [root, g.const(_f([-1]))], one)
    factor = g.add("Multiply", [g.const(_f([1])), inverse], one)
    x = g.add("Multiply", [z, factor], row)
    for i in range(layers):
        weight = state[f"mapping.fc{i}.weight"]
        bias = state[f"mapping.fc{i}.bias"] * _f(0.01)
        row = [(1, len(weight))]
        weight = weight * _f(0.01 / weight.shape[1] ** 0.5)
        x = g.add(
            "MatMul",
            [x, g.const(weight)],
            row,
            transpose_a="false",
            transpose_b="true",
        )
        shaped = g.add("Reshape", [g.const(bias), g.const(_i(1, -1))], row)
        x = g.add("Add", [x, shaped], row)
        x = g.add("PReLU", [x, g.const(_f([0.2]))], row)
        x = g.add("Multiply", [x, g.const(_f([2**0.5]))], row)
    g.add("Result", [x], [])
    return g


def synthesis_graph(state):
    """The graph from w to the picture; see `mapping_graph`."""
    g = _Synthesis(state)
    x = g.const(state["const"])
    x = g.add("Broadcast", [x, g.const(_i(1, 1, 1, 1))], [g.shape(x)])
    x = g.add("Tile", [x, g.const(_i(1, 1, 1, 1))], [g.shape(x)])
    x = g.styled(x, "first.style", 9)
    x = g.finish(g.conv(x, state["first.kernel"], 1), "first")
    blocks = sum(name.endswith(".up.weight") for name in state)
    for k in range(1, blocks + 1):
        x = g.haar(g.styled(x, f"block{k}.up", None))
        for i in range(2):
            name = f"block{k}.conv{i}"
            x = g.styled(x, f"{name}.style", 9)
            each = state[f"{name}.depthwise"]
            x = g.conv(x, each, 1, "GroupConvolution")
            x = g.finish(g.conv(x, state[f"{name}.pointwise"], 0), name)
    x = g.styled(x, "to_wavelets.style", 1)
    x = g.conv(x, state["to_wavelets.kernel"], 0)
    x = g.add("Add", [x, g.const(state["to_wavelets.bias"])], [g.shape(x)])
    g.add("Result", [g.haar(x)], [])
    return g


class _Synthesis(GraphFile):
    """The parts of the synthesis network's graph."""

    def __init__(self, state):
        super().__init__(NAMES[1])
        self.state = state
        width = state["first.style.weight"].shape[1]
        self.w = self.add(
            "Parameter", shapes=[(1, width)], shape=f"1, {width}", element_type="f32"
        )

    def styled(self, x, name, taps):
        weight, bias = (self.state[f"{name}.{leaf}"] for leaf in ("weight", "bias"))
        row, column = [(1, len(weight))], [(1, len(weight), 1, 1)]
        style = self.add(
            "MatMul",
            [self.w, self.const(weight)],
            row,
            transpose_a="false",
            transpose_b="true",
        )
        style = self.add("Add", [style, self.const(bias)], row)
        style = self.add("Reshape", [style, self.const(_i(1, -1, 1, 1))], column)
        if taps:
            scale = self.const(_f([[[[(taps * len(weight)) ** -0.5]]]]))
            style = self.add("Multiply", [style, scale], column)
        return self.add("Multiply", [style, x], [self.shape(x)])

    def conv(self, x, kernel, pads, kind="Convolution"):
        _, inputs, height, width = self.shape(x)
        channels = len(kernel) if kind == "Convolution" else inputs
        return self.add(
            kind,
            [x, self.const(kernel)],
            [(1, channels, height, width)],
            strides="1, 1",
            dilations="1, 1",
            pads_begin=f"{pads}, {pads}",
            pads_end=f"{pads}, {pads}",
            auto_pad="explicit",
        )

    def finish(self, x, name):
        shape = [self.shape(x)]
        x = self.add("Add", [x, self.const(self.state[f"{name}.noise"])], shape)
        x = self.add("Add", [x, self.const(self.state[f"{name}.bias"])], shape)
        return self.add("PReLU", [x, self.const(_f([0.2]))], shape)

    def haar(self, x):
        _, channels, height, width = self.shape(x)
        c = channels // 4
        band = (1, c, height, width)
        bands = self.add(
            "VariadicSplit",
            [x, self.const(_i(1)), self.const(_i(c, 3 * c))],
            [band, (1, 3 * c, height, width)],
        )
        shaped = self.add(
            "Reshape",
            [(bands[0], 1), self.const(_i(1, c, 3, height, width))],
            [(1, c, 3, height, width)],
        )
        details = self.add(
            "VariadicSplit",
            [shaped, self.const(_i(2)), self.const(_i(1, 1, 1))],
            [(1, c, 1, height, width)] * 3,
        )
        found = [
            self.add("Squeeze", [(details[0], i), self.const(_i(2))], [band])
            for i in range(3)
        ]
        left = self._joined(bands, found[0], (2, 1))
        right = self._joined(found[1], found[2], (2, 1))
        return self._joined(left, right, (1, 2))

    def _joined(self, one, two, size):
        halves = []
        for sign, port in ((1, one), (-1, two)):
            n, c, height, width = self.shape(port)
            kernel = np.broadcast_to(_ROOT * _f([1, sign]), (c, 1, 1, 2))
            halves.append(
                self.add(
                    "GroupConvolutionBackpropData",
                    [port, self.const(kernel.reshape(c, 1, 1, *size).copy())],
                    [(n, c, height * size[0], width * size[1])],
                    strides=f"{size[0]}, {size[1]}",
                    dilations="1, 1",
                    pads_begin="0, 0",
                    pads_end="0, 0",
                    auto_pad="explicit",
                    output_padding="0, 0",
                )
            )
        return self.add("Add", halves, [self.shape(halves[0])])
