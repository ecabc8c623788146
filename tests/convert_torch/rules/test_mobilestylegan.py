"""MobileStyleGAN's OpenVINO files: what their graphs must be, what comes of them."""

import shutil

import numpy as np
import pytest
from openvino_files import mapping_graph, synthesis_graph
from tiny_mobilestylegan import TINY, tiny_mobilestylegan

import stylegan_jax
from stylegan_jax.checkpoints.model_file import flatten, read_model
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.convert_torch.describe import describe, table
from stylegan_jax.convert_torch.published import convert_published
from stylegan_jax.convert_torch.rules import mobilestylegan
from stylegan_jax.convert_torch.rules.layout import as_array, to_torch
from stylegan_jax.convert_torch.sources import mobilestylegan_file
from stylegan_jax.errors import UserError

LAYOUT = mobilestylegan.LAYOUTS[0]


def state():
    """The tiny network's tensors by the names that the rules give them."""
    _, variables = tiny_mobilestylegan()
    found = to_torch(variables, LAYOUT.expand(TINY), where="a test")
    del found["w_avg"]  # in no file
    return found


def write(folder, *, mapping=None, synthesis=None):
    (mapping or mapping_graph(state())).write(folder)
    (synthesis or synthesis_graph(state())).write(folder)
    return folder


def refused(folder, **graphs):
    write(folder, **graphs)
    with pytest.raises(UserError) as error:
        mobilestylegan_file.read(mobilestylegan_file.files_of(folder), folder)
    text = str(error.value)
    assert text.startswith(str(folder)) and text.endswith(".")
    return text


def test_every_tensor_and_field_is_read_from_the_graphs(tmp_path):
    source = mobilestylegan_file.read(
        mobilestylegan_file.files_of(write(tmp_path)), tmp_path
    )
    (part,) = source.parts
    want = state()
    assert set(part.state) == set(want)
    for name, tensor in part.state.items():
        # The mapping's gain was multiplied in, and taken out.
        close = 1e-6 if name.startswith("mapping.") else 0
        np.testing.assert_allclose(as_array(tensor), want[name], close, err_msg=name)
    assert LAYOUT.config(part.state, {}) == TINY


def test_a_folder_becomes_a_model_file(tmp_path):
    write(tmp_path)
    found = describe(tmp_path)
    assert found["container"] == "openvino" and "NVIDIA" in found["licence"]
    assert found["bytes"] == sum(p.stat().st_size for p in tmp_path.iterdir())
    assert "g_ema  mobilestylegan" in table(found) and "32x32x3" in table(found)

    result = convert(tmp_path, tmp_path / "m.safetensors")
    assert any("w_avg was estimated from 10000 z" in note for note in result.notes)
    model = read_model(tmp_path / "m.safetensors")
    module, variables = tiny_mobilestylegan()
    ours, want = flatten(model.variables), flatten(variables)
    assert set(ours) == set(want)
    for name in set(ours) - {"moving_stats/mapping/w_avg"}:
        np.testing.assert_allclose(ours[name], want[name], rtol=1e-6, err_msg=name)
    generator = stylegan_jax.load(tmp_path / "m.safetensors")
    w = np.asarray(generator.mapping(generator.latents(range(500))))[:, 0]
    mean = ours["moving_stats/mapping/w_avg"]
    assert np.abs(w.mean(0) - mean).max() < 5 * w.std() / 500**0.5
    provenance = model.metadata["provenance"]
    assert provenance["estimated"]["w_avg"]["samples"] == 10_000
    assert provenance["source"]["container"] == "openvino"


def test_another_size_is_not_the_published_network(tmp_path):
    files = mobilestylegan_file.files_of(write(tmp_path))
    with pytest.raises(UserError, match="is not mobilestylegan_ffhq: it has num_block"):
        convert_published(
            "mobilestylegan_ffhq", files, tmp_path / "m.safetensors", {}, "a licence"
        )
    assert not (tmp_path / "m.safetensors").exists()


def test_a_folder_that_lacks_a_file_is_no_checkpoint(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError, match="OpenVINO's files: give the folder"):
        convert(tmp_path / "MappingNetwork.xml", tmp_path / "m.safetensors")
    (tmp_path / "MappingNetwork.bin").unlink()
    with pytest.raises(UserError, match="folder without model files"):
        convert(tmp_path, tmp_path / "m.safetensors")


def test_the_two_graphs_are_not_exchanged(tmp_path):
    write(tmp_path)
    for ending in ("xml", "bin"):
        shutil.copy(tmp_path / f"SynthesisNetwork.{ending}", tmp_path / "x")
        shutil.copy(
            tmp_path / f"MappingNetwork.{ending}",
            tmp_path / f"SynthesisNetwork.{ending}",
        )
        shutil.copy(tmp_path / "x", tmp_path / f"MappingNetwork.{ending}")
    with pytest.raises(UserError, match="another network than MobileStyleGAN"):
        convert(tmp_path, tmp_path / "m.safetensors")


def setting(kind, place, **values):
    """The graph from w to the picture with settings of an operation exchanged."""
    graph = synthesis_graph(state())
    graph.find(kind, place).attributes.update(values)
    return graph


def fed(kind, place, number, value):
    """The graph from w to the picture with a constant exchanged."""
    graph = synthesis_graph(state())
    graph.find(kind, place).inputs[number] = graph.const(value)
    return graph


def turned(kind, place):
    """The graph from w to the picture with two inputs exchanged."""
    graph = synthesis_graph(state())
    graph.find(kind, place).inputs.reverse()
    return graph


def renamed(kind, place, other):
    graph = synthesis_graph(state())
    graph.find(kind, place).kind = other
    return graph


ONE = np.float32([1.0])
ODD = {
    "stride": lambda: setting("Convolution", 1, strides="2, 2"),
    "padding": lambda: setting("Convolution", 0, pads_begin="0, 0"),
    "dilation": lambda: setting("GroupConvolution", 1, dilations="2, 2"),
    "gaps": lambda: setting("GroupConvolutionBackpropData", 0, strides="1, 2"),
    "slope": lambda: fed("PReLU", 2, 1, ONE),
    "scale of a style": lambda: fed("Multiply", 0, 1, ONE),
    "wavelet": lambda: fed(
        "GroupConvolutionBackpropData", 1, 1, np.ones((4, 1, 1, 2, 1), np.float32)
    ),
    "sub-bands": lambda: fed("VariadicSplit", 0, 2, np.array([6, 10])),
    "axis": lambda: fed("VariadicSplit", 1, 1, np.array([3])),
    "order of sub-bands": lambda: turned("Add", 5),
    "weights turned": lambda: setting("MatMul", 3, transpose_b="false"),
    "noise that is computed": lambda: turned("Add", 2),
    "an operation": lambda: renamed("PReLU", 1, "Relu"),
    "no result": lambda: renamed("Result", 0, "Add"),
}


@pytest.mark.parametrize("graph", ODD.values(), ids=ODD)
def test_another_graph_is_refused(graph, tmp_path):
    text = refused(tmp_path, synthesis=graph())
    assert "another network than MobileStyleGAN" in text


@pytest.mark.parametrize(
    ("kind", "number", "value"),
    [
        ("Power", 1, ONE * 3),
        ("Add", 1, ONE * 1e-5),
        ("PReLU", 1, ONE * 0.1),
        ("Multiply", 0, ONE * 2),
        ("ReduceMean", 1, np.array([0])),
    ],
)
def test_another_mapping_is_refused(kind, number, value, tmp_path):
    graph = mapping_graph(state())
    graph.find(kind).inputs[number] = graph.const(value)
    text = refused(tmp_path, mapping=graph)
    assert "another network than MobileStyleGAN" in text


def test_a_circle_ends(tmp_path):
    graph = synthesis_graph(state())
    ends = [x.number for x in graph.operations if x.kind == "PReLU"]
    modulated = [
        x
        for x in graph.operations
        if x.kind == "Multiply" and x.inputs[1][0] in ends
        if graph.operations[x.inputs[0][0]].kind == "Reshape"
    ]
    # What the last block doubles is what it gives.
    modulated[-1].inputs[1] = (ends[-1], 0)
    assert "too many blocks" in refused(tmp_path, synthesis=graph)


def test_channels_that_follow_no_law(tmp_path):
    uneven = state()
    uneven["block1.conv1.pointwise"] = np.zeros((8, 16, 1, 1), np.float32)
    with pytest.raises(UserError, match="16, 8, 12 channels"):
        LAYOUT.config(uneven, {"where": "f"})
