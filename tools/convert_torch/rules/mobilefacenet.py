"""InsightFace's MobileFaceNet, as its ONNX file ``w600k_mbf.onnx`` has it.

Tensors have numbers for names there, so what a tensor is follows from the node that
uses it. `state_of` walks the graph, which must be exactly this architecture, and gives
every tensor a name; the table then turns them as for any other file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.readers import Graph, Node
from stylegan_jax.convert_torch.rules.feature_tensors import norm_rules
from stylegan_jax.convert_torch.rules.language import Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.convert_torch.rules.tensors import highest, need
from stylegan_jax.errors import UserError, printable

NAME = "insightface onnx"
FILE = "w600k_mbf.onnx"

# torch's BatchNorm, rounded to float32 by its exporter.
_EPSILON, _ROUNDING = 1e-5, 1e-9


def _conv_rules(source: str, target: str, over: str = "") -> tuple[Rule, Rule]:
    return (
        Rule(f"{source}.weight", f"params/{target}/kernel", "OIHW>HWIO", over),
        Rule(f"{source}.bias", f"params/{target}/bias", "", over),
    )


def _slope_rule(source: str, target: str, over: str = "") -> Rule:
    return Rule(f"{source}.slope", f"params/{target}_prelu/slope", "C11>C", over)


TABLE: Table = (
    *_conv_rules("stem{i}", "stem{i}", "pair"),
    _slope_rule("stem{i}", "stem{i}", "pair"),
    *_conv_rules("stage{s}.{i}.expand", "stage{s}_{i}/expand", "unit"),
    _slope_rule("stage{s}.{i}.expand", "stage{s}_{i}/expand", "unit"),
    *_conv_rules("stage{s}.{i}.depth", "stage{s}_{i}/depth", "unit"),
    _slope_rule("stage{s}.{i}.depth", "stage{s}_{i}/depth", "unit"),
    *_conv_rules("stage{s}.{i}.project", "stage{s}_{i}/project", "unit"),
    *_conv_rules("last{i}", "last{i}", "pair"),
    _slope_rule("last{i}", "last{i}", "pair"),
    Rule("dense.weight", "params/dense/kernel", "O(CHW)>(HWC)O"),
    Rule("dense.bias", "params/dense/bias"),
    *(rule for rule in norm_rules("bn", "bn") if isinstance(rule, Rule)),
)


def scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks: ``s`` and ``i`` count stages and units from 0."""
    side = config["input_size"] >> (1 + len(config["stages"]))
    return {
        "": [{"H": side, "W": side}],
        "pair": [{"i": i} for i in range(2)],
        "unit": [
            {"s": s, "i": i}
            for s, blocks in enumerate(config["blocks"])
            for i in range(blocks + 1)
        ],
    }


def config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a network, from its tensors alone.

    Args:
        state: tensors by the names that `state_of` gives.
        hints: ``where``: what to name in errors.

    Raises:
        UserError: a tensor that says so much is missing or has too few axes.
    """
    where = hints.get("where", "the file")
    number = highest(state, r"stage(\d+)\.0\.depth\.weight") + 1
    kernels = ["stem0", "stem1", "last0", "last1"]
    kernels += [
        f"stage{s}.0.{part}" for s in range(number) for part in ("depth", "project")
    ]
    needed = {f"{name}.weight": 4 for name in kernels} | {"dense.weight": 2}
    need(state, needed, where=where)
    blocks = tuple(highest(state, rf"stage{s}\.(\d+)\..*") for s in range(number))

    def channels(name: str, axis: int = 0) -> int:
        return int(state[f"{name}.weight"].shape[axis])

    inner = []
    for s in range(number):
        # A stage without residual units states its own channels.
        name = f"stage{s}.1.depth"
        inner.append(
            channels(name if f"{name}.weight" in state else f"stage{s}.0.depth")
        )
    width, last = channels("stem0"), (channels("last0"), channels("last1"))
    return {
        "input_size": _side(channels("dense", 1), last[1]) << (1 + number),
        "width": width,
        "stem_groups": width // max(1, channels("stem1", 1)),
        "stages": tuple(channels(f"stage{s}.0.project") for s in range(number)),
        "blocks": blocks,
        "halving": tuple(channels(f"stage{s}.0.depth") for s in range(number)),
        "inner": tuple(inner),
        "last": last,
        "embedding_dim": channels("dense"),
    }


def _side(flat: int, channels: int) -> int:
    """The side of the map that is flattened; 0 where it is no square."""
    side = math.isqrt(flat // channels) if channels else 0
    return side if side * side * channels == flat else 0


def layout_of(state: State) -> Layout | None:
    """The layout of these names; None where they are another network's."""
    return LAYOUTS[0] if "stage0.0.depth.weight" in state else None


def ignored(_: State) -> tuple[str, ...]:
    """Names that the finished network does not use: none."""
    return ()


def state_of(graph: Graph, where: object) -> State:
    """The tensors of a graph by names that say what they are.

    Args:
        graph: what an ONNX file holds.
        where: what to name in errors, e.g. the file's path.

    Raises:
        UserError: the graph is another network's; says from which node on.
    """
    walk = _Walk(graph, where)
    walk.stem()
    walk.stages()
    walk.end()
    return walk.state


class _Walk:
    """Follows a graph from its input to its output, and names what it finds."""

    def __init__(self, graph: Graph, where: object):
        self.state: dict[str, Any] = {}
        self._graph = graph
        self._where = where
        self._place = 0
        if len(graph.inputs) != 1:
            raise self._refused(f"it has {len(graph.inputs)} inputs instead of one")
        ((self._current, self._shape),) = graph.inputs.items()

    def stem(self) -> None:
        """Two convolutions of 3x3; the first halves, the second is grouped."""
        self._conv("stem0", 3, 2, groups=1)
        self._prelu("stem0")
        self._conv("stem1", 3, 1)
        self._prelu("stem1")

    def stages(self) -> None:
        """Units until two convolutions of 1x1 follow each other, and those."""
        stage = block = -1
        while True:
            kernel = self._peek_weight()
            begin = self._current
            channels = kernel[0]
            place = self._place
            self._conv("last0", 1, 1, groups=1)
            self._prelu("last0")
            if self._peek_weight()[2:] == (1, 1):
                break
            # It was the first convolution of a unit, under its other name.
            halves = self._peek().attributes.get("strides") == (2, 2)
            if stage < 0 and not halves:
                raise self._refused("its first unit does not halve", place)
            stage, block = (stage + 1, 0) if halves else (stage, block + 1)
            name = f"stage{stage}.{block}"
            for part in ("weight", "bias", "slope"):
                self.state[f"{name}.expand.{part}"] = self.state.pop(f"last0.{part}")
            self._conv(f"{name}.depth", 3, 2 if halves else 1, groups=channels)
            self._prelu(f"{name}.depth")
            self._conv(f"{name}.project", 1, 1, groups=1)
            if not halves:
                self._add(begin)
        if stage < 0:
            raise self._refused("it has no units", self._place)
        self._conv("last1", 1, 1, groups=1)
        self._prelu("last1")

    def end(self) -> None:
        """Flattening, a dense layer, a batch normalisation, and nothing else."""
        node = self._next("Flatten", ("axis",), {"axis": 1}, 0)
        self._current = node.outputs[0]
        settings = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        node = self._next("Gemm", tuple(settings), settings, 2)
        self._take("dense", node, ("weight", "bias"))
        node = self._next(
            "BatchNormalization",
            ("epsilon", "momentum", "training_mode", "spatial"),
            {"training_mode": 0},
            4,
        )
        epsilon = node.attributes.get("epsilon", _EPSILON)
        if not isinstance(epsilon, float) or abs(epsilon - _EPSILON) > _ROUNDING:
            raise self._refused(f"its last epsilon is {epsilon!r} instead of 1e-5")
        self._take("bn", node, ("weight", "bias", "running_mean", "running_var"))
        if self._place < len(self._graph.nodes):
            raise self._refused("it goes on", self._place)
        if self._graph.outputs != (self._current,):
            raise self._refused("its output is another node's")
        if len(self._graph.tensors) != len(self.state):
            raise self._refused("not every tensor is used by one node")
        side = config(self.state, {"where": self._where})["input_size"]
        if len(self._shape) != 4 or any(n not in (0, side) for n in self._shape[2:]):
            raise self._refused(f"its input is {list(self._shape)}")

    def _peek(self) -> Node:
        if self._place >= len(self._graph.nodes):
            raise self._refused("it ends early")
        return self._graph.nodes[self._place]

    def _peek_weight(self) -> tuple[int, ...]:
        """The shape of the kernel of the convolution that must come next."""
        node = self._peek()
        tensor = self._graph.tensors.get(node.inputs[1] if len(node.inputs) > 1 else "")
        if node.op != "Conv" or tensor is None or len(tensor.shape) != 4:
            raise self._refused("a convolution is expected there", self._place)
        return tensor.shape

    def _next(
        self, op: str, known: tuple[str, ...], wanted: Mapping[str, Any], tensors: int
    ) -> Node:
        """The next node, which must be this operation of the current map."""
        node = self._peek()
        inputs = len(node.inputs) == 1 + tensors and node.inputs[0] == self._current
        if node.op != op or not inputs or len(node.outputs) != 1:
            raise self._refused(
                f"{op} of the map before is expected there", self._place
            )
        odd = sorted(set(node.attributes) - set(known))
        odd += [k for k, v in wanted.items() if node.attributes.get(k, v) != v]
        if odd:
            raise self._refused(f"its {', '.join(odd)} is another", self._place)
        self._place += 1
        return node

    def _take(self, name: str, node: Node, leaves: tuple[str, ...]) -> None:
        """Names a node's tensors, and goes on behind it."""
        for leaf, source in zip(leaves, node.inputs[1:], strict=True):
            if source not in self._graph.tensors:
                raise self._refused(f"its {leaf} is no constant", self._place - 1)
            self.state[f"{name}.{leaf}"] = self._graph.tensors[source]
        self._current = node.outputs[0]

    def _conv(
        self, name: str, kernel: int, stride: int, groups: int | None = None
    ) -> None:
        """A convolution with a bias and equal padding."""
        if self._peek_weight()[2:] != (kernel, kernel):
            raise self._refused(
                f"a kernel of {kernel}x{kernel} is expected there", self._place
            )
        wanted: dict[str, Any] = {
            "kernel_shape": (kernel, kernel),
            "dilations": (1, 1),
            "auto_pad": "NOTSET",
            "pads": (kernel // 2,) * 4,
            "strides": (stride, stride),
            "group": groups,
        }
        known = tuple(wanted)
        given = self._peek().attributes
        if groups is None:
            channels = self._peek_weight()
            wanted["group"] = channels[0] // channels[1] if channels[1] else 0
        # What a file leaves out has a default, which may not be what is wanted.
        defaults = {"pads": (0, 0, 0, 0), "strides": (1, 1), "group": 1}
        absent = {k: v for k, v in defaults.items() if k not in given}
        if any(wanted[k] != v for k, v in absent.items()):
            raise self._refused("its settings are others", self._place)
        self._take(name, self._next("Conv", known, wanted, 2), ("weight", "bias"))

    def _prelu(self, name: str) -> None:
        self._take(name, self._next("PRelu", (), {}, 1), ("slope",))

    def _add(self, begin: str) -> None:
        """The sum of the current map and the one that the unit began with."""
        node = self._peek()
        if node.op != "Add" or sorted(node.inputs) != sorted((begin, self._current)):
            raise self._refused("the sum of a unit is expected there", self._place)
        if len(node.outputs) != 1 or node.attributes:
            raise self._refused("its settings are others", self._place)
        self._place += 1
        self._current = node.outputs[0]

    def _refused(self, why: str, place: int | None = None) -> UserError:
        what = ""
        if place is not None and place < len(self._graph.nodes):
            what = f"node {place}, {self._graph.nodes[place].op[:40]}: "
        return UserError(
            f"{self._where} is an ONNX file of another network than InsightFace's "
            f"MobileFaceNet ({printable(what + why)}): give {FILE}."
        )


LAYOUTS = (Layout(NAME, "features.mobilefacenet", TABLE, scopes, config),)
