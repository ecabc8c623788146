import numpy as np
import pytest
from tiny_models import tiny_generator

from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.errors import UserError
from stylegan_jax.latents.generator_layers import generator_layers, resolutions_of

SMALL = {
    "num_blocks": 3,
    "w_dim": 8,
    "z_dim": 8,
    "mapping_layers": 2,
    "channel_base": 64,
    "channel_max": 8,
}


def stylegan1_shapes():
    config = {**SMALL, "mapping_features": 8}
    return FAMILIES["stylegan1.generator"].shapes(config, where="the test")


def nested(flat):
    tree = {}
    for path, leaf in flat.items():
        *parents, last = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = leaf
    return tree


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_every_tensor_has_one_place(architecture):
    _, variables = tiny_generator(architecture=architecture)
    layers = generator_layers(variables)
    placed = [p for x in layers for paths in x.tensors.values() for p in paths]
    assert sorted(placed) == sorted(flatten(variables))
    assert resolutions_of(layers) == (4, 8, 16)


def test_names_positions_and_parts_of_stylegan2():
    _, variables = tiny_generator(architecture="skip")
    layers = {x.name: x for x in generator_layers(variables)}
    assert list(layers) == [
        "mapping",
        *("b4/const", "b4/conv1", "b4/torgb"),
        *("b8/conv0", "b8/conv1", "b8/torgb"),
        *("b16/conv0", "b16/conv1", "b16/torgb"),
    ]
    assert [x.position for x in layers.values()] == [-1, 0, 1, 1, 2, 3, 3, 4, 5, 5]
    assert layers["b8/conv0"].tensors == {
        "affine": (
            "params/synthesis/b8/conv0/affine/bias",
            "params/synthesis/b8/conv0/affine/weight",
        ),
        "conv": (
            "params/synthesis/b8/conv0/bias",
            "params/synthesis/b8/conv0/weight",
        ),
        "noise": (
            "noise/synthesis/b8/conv0/noise_const",
            "params/synthesis/b8/conv0/noise_strength",
        ),
    }
    assert layers["b8/torgb"].parts == ("torgb", "affine")
    assert "moving_stats/mapping/w_avg" in layers["mapping"].tensors["mapping"]


def test_skip_is_a_layer_of_residual_networks():
    _, variables = tiny_generator(architecture="resnet")
    layers = {x.name: x for x in generator_layers(variables)}
    assert layers["b8/skip"].parts == ("skip",)
    assert layers["b8/skip"].position == layers["b8/conv0"].position


def test_stylegan_of_2018():
    layers = {x.name: x for x in generator_layers(nested(stylegan1_shapes()))}
    assert layers["b4/input"].parts == ("const", "conv", "affine", "noise")
    # Its one torgb draws the highest resolution.
    assert layers["b16/torgb"].resolution == 16
    assert [x for x in layers if x.startswith("b4/")] == ["b4/input", "b4/conv1"]


@pytest.mark.parametrize(
    "path",
    ["params/synthesis/b8/extra/weight", "params/b8/conv0/weight", "params/x/weight",
     "params/synthesis/b7/conv0/weight", "params/synthesis/c8/conv0/weight"],
)  # fmt: skip
def test_tensors_of_other_networks_are_refused(path):
    with pytest.raises(UserError, match=f"the tensor {path} has its place in no"):
        generator_layers(nested({path: np.zeros(1)}))
