"""The real pickles of three writers, whose classes are not installed here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from stylegan_jax.convert_torch.readers import (
    attributes,
    read_checkpoint,
    state_dict,
    submodule,
    tf_networks,
)

GOLDEN = Path(__file__).parents[2] / "golden"
NVIDIA = [
    "nvada_tiny",
    "nvlabs_tiny_orig_skip",
    "nvlabs_tiny_resnet_orig",
    "nvlabs_tiny_skip_resnet",
]


@pytest.mark.parametrize("name", NVIDIA)
def test_nvidias_networks(name):
    root = read_checkpoint(GOLDEN / f"{name}.pkl").root
    assert {"G", "D", "G_ema", "augment_pipe", "training_set_kwargs"} <= set(root)
    assert root["G_ema"].class_name == "Generator"
    weights = state_dict(root["G_ema"])
    assert weights["synthesis.b4.const"].shape == (32, 4, 4)
    assert weights["mapping.w_avg"].shape == (32,)
    other = state_dict(root["G"])
    assert weights.keys() == other.keys()
    changed = [
        key for key in weights if (weights[key].array() != other[key].array()).any()
    ]
    assert "synthesis.b8.conv0.weight" in changed
    assert all(np.isfinite(value.array()).all() for value in weights.values())
    assert "b4.out.weight" in state_dict(root["D"])


def test_attributes_of_networks():
    generator = read_checkpoint(GOLDEN / "nvlabs_tiny_skip_resnet.pkl").root["G_ema"]
    found = attributes(generator)
    assert (found["img_resolution"], found["c_dim"], found["num_ws"]) == (32, 3, 8)
    assert found["_init_kwargs"]["mapping_kwargs"] == {"num_layers": 3}
    assert type(found["_init_kwargs"]) is dict
    block = attributes(submodule(generator, "synthesis.b8"))
    assert block["architecture"] == "skip" and block["resolution"] == 8
    assert "_parameters" not in block and "conv0" not in block


def test_tensorflows_networks():
    generator, discriminator, average = tf_networks(
        read_checkpoint(GOLDEN / "tf_tiny.pkl").root
    )
    assert (generator.name, discriminator.name) == ("G", "D")
    assert list(average.components) == ["mapping", "synthesis"]
    assert average.components["synthesis"].name == "G_synthesis"
    assert average.static_kwargs["resolution"] == 32
    variables = average.all_variables()
    assert variables["G_mapping/Dense0/weight"].shape == (24, 32)
    assert variables["dlatent_avg"].shape == (32,)
    assert variables["lod"].array().shape == ()
    mapping = average.components["mapping"].arrays()
    assert mapping["Dense0/weight"].dtype == np.float32
    before = generator.all_variables()["G_synthesis/4x4/Const/const"].array()
    after = variables["G_synthesis/4x4/Const/const"].array()
    assert before.shape == after.shape and (before != after).any()


def test_no_other_program_is_imported():
    for name in NVIDIA[:1]:
        read_checkpoint(GOLDEN / f"{name}.pkl")
    absent = ("torch", "tensorflow", "dnnlib", "torch_utils", "training")
    assert not [name for name in absent if name in sys.modules]
