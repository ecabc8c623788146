"""MobileFaceNet's ONNX file: what its graph must be, and what onnxruntime computes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from golden_case import FOLDER
from golden_draw import relative_error
from onnx_files import TINY, face_file, face_state

import stylegan_jax
from stylegan_jax.checkpoints.mobilefacenet import MobileFaceNetFeatures
from stylegan_jax.convert_torch import frozen
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.convert_torch.readers import Node, read_bytes
from stylegan_jax.convert_torch.rules import mobilefacenet
from stylegan_jax.convert_torch.rules.layout import as_array, to_jax
from stylegan_jax.errors import UserError

LAYOUT = mobilefacenet.LAYOUTS[0]
GRAPH = read_bytes(face_file(), "a.onnx").root


def test_every_tensor_and_field_is_read_from_the_graph():
    state = mobilefacenet.state_of(GRAPH, "a.onnx")
    want = face_state()
    assert set(state) == set(want)
    for name, tensor in state.items():
        np.testing.assert_array_equal(as_array(tensor), want[name], err_msg=name)
    assert LAYOUT.config(state, {}) == TINY
    wide = {**TINY, "stages": (4,), "blocks": (0,), "halving": (6,), "inner": (6,)}
    found = mobilefacenet.state_of(read_bytes(face_file(wide), "a").root, "a")
    assert LAYOUT.config(found, {}) == wide


def test_convert_gives_what_onnxruntime_computes(tmp_path):
    (tmp_path / "a.onnx").write_bytes(face_file())
    convert(tmp_path / "a.onnx", tmp_path / "a.safetensors")
    network = stylegan_jax.load(tmp_path / "a.safetensors")
    assert isinstance(network, MobileFaceNetFeatures)
    x = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    with np.load(FOLDER / "mobilefacenet_tiny.npz") as golden:
        want = golden["output"]  # not of length 1 there
    want = want / np.linalg.norm(want, axis=1, keepdims=True)
    assert relative_error(network(x)["embedding"], want) < 1e-5


def test_another_size_is_not_the_published_network(tmp_path):
    (tmp_path / "a.onnx").write_bytes(face_file())
    with pytest.raises(UserError, match="a.onnx is not arcface_mobilefacenet: it has "):
        frozen.convert_frozen(
            "arcface_mobilefacenet",
            {"weights": tmp_path / "a.onnx"},
            tmp_path / "n.safetensors",
            {},
            "a licence",
        )
    assert [p.name for p in Path(tmp_path).iterdir()] == ["a.onnx"]


def nodes(changed):
    """The graph with some nodes exchanged; None takes a node away."""
    kept = [changed.get(i, node) for i, node in enumerate(GRAPH.nodes)]
    return dataclasses.replace(GRAPH, nodes=tuple(n for n in kept if n is not None))


def setting(place, **attributes):
    node = GRAPH.nodes[place]
    new = dataclasses.replace(node, attributes={**node.attributes, **attributes})
    return nodes({place: new})


def without(place, name):
    node = GRAPH.nodes[place]
    left = {k: v for k, v in node.attributes.items() if k != name}
    return nodes({place: dataclasses.replace(node, attributes=left)})


def fed(place, *inputs):
    return nodes({place: dataclasses.replace(GRAPH.nodes[place], inputs=inputs)})


ADD = next(i for i, node in enumerate(GRAPH.nodes) if node.op == "Add")
LAST = len(GRAPH.nodes) - 1
DEPTH = 6  # the first depthwise convolution


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (setting(0, strides=(1, 1)), "node 0, Conv: its strides is another"),
        (setting(0, group=2), "node 0, Conv: its group is another"),
        (setting(0, auto_pad="SAME_UPPER"), "its auto_pad is another"),
        (setting(2, dilations=(2, 2)), "node 2, Conv: its dilations is another"),
        (setting(0, novelty=1), "its novelty is another"),
        (without(0, "pads"), "its settings are others"),
        (without(DEPTH, "group"), "its settings are others"),
        (setting(DEPTH, strides=(1, 1)), "its first unit does not halve"),
        (setting(DEPTH, pads=(0, 0, 1, 1)), f"node {DEPTH}, Conv: its pads"),
        (nodes({ADD: None}), "the sum of a unit is expected there"),
        (fed(ADD, "0", "0"), "the sum of a unit is expected there"),
        (setting(ADD, axis=1), "its settings are others"),
        (nodes({1: None}), "PRelu of the map before is expected there"),
        (nodes({1: Node("Relu", ("0",), ("1",), {})}), "node 1, Relu: PRelu of"),
        (fed(2, "0", *GRAPH.nodes[2].inputs[1:]), "node 2, Conv: Conv of the map"),
        (setting(LAST, epsilon=1e-3), "its last epsilon is 0.001"),
        (setting(LAST, training_mode=1), "its training_mode is another"),
        (setting(LAST - 1, transB=0), "its transB is another"),
        (setting(LAST - 2, axis=2), "its axis is another"),
        (fed(LAST, *GRAPH.nodes[LAST].inputs[:4], "9"), "running_var is no constant"),
        (nodes({LAST: None}), "it ends early"),
        (dataclasses.replace(GRAPH, nodes=()), "it ends early"),
        (dataclasses.replace(GRAPH, outputs=("0",)), "its output is another node's"),
        (dataclasses.replace(GRAPH, inputs={}), "it has 0 inputs"),
        (dataclasses.replace(GRAPH, inputs={"input.1": (1, 3, 32, 32)}), "its input"),
        (
            dataclasses.replace(GRAPH, nodes=(*GRAPH.nodes, GRAPH.nodes[0])),
            "Conv: it goes on",
        ),
        (
            dataclasses.replace(
                GRAPH, tensors={**GRAPH.tensors, "x": GRAPH.tensors["700"]}
            ),
            "not every tensor is used by one node",
        ),
    ],
)
def test_another_graph_is_refused(graph, words):
    with pytest.raises(UserError) as error:
        mobilefacenet.state_of(graph, "a.onnx")
    text = str(error.value)
    assert text.startswith("a.onnx is an ONNX file of another network")
    assert words in text and text.endswith("give w600k_mbf.onnx.")


def test_shapes_that_do_not_fit_are_all_listed():
    state = mobilefacenet.state_of(GRAPH, "a.onnx")
    state = {**state, "stem0.bias": np.zeros(3), "stage0.1.depth.slope": np.zeros(1)}
    state["stage1.0.expand.bias"] = np.full(8, np.nan, np.float32)
    config = LAYOUT.config(state, {})
    shapes = MobileFaceNetFeatures.shapes(config, where="a.onnx")
    with pytest.raises(UserError) as error:
        to_jax(state, LAYOUT.expand(config), shapes, where="a.onnx")
    for name in ("stem0.bias", "stage0.1.depth.slope", "stage1.0.expand.bias"):
        assert name in str(error.value)
