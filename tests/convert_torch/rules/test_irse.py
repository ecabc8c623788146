import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.checkpoints.irse import IRSEFeatures
from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.convert_torch.rules.irse import LAYOUTS
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.irse import IRSE
from tests.models.psp.tiny_psp import draw

LAYOUT = LAYOUTS[0]
CASE = "arcface_irse50"
TINY = {"num_layers": 18, "width": 16, "input_size": 32, "embedding_dim": 6}


def tiny(**fields):
    """A network's config, its variables, and the file's tensors."""
    module = IRSE(**{**TINY, **fields})
    side = module.input_size
    variables, config = draw(module, (side, side, 3)), config_of(module)
    return config, variables, to_torch(variables, LAYOUT.expand(config), where="tiny")


@functools.cache
def shapes_of(config):
    return IRSEFeatures.shapes(dict(config), where="a.pth")


def convert(state):
    config = LAYOUT.config(state, {"where": "a.pth"})
    shapes = shapes_of(tuple(config.items()))
    return to_jax(state, LAYOUT.expand(config), shapes, where="a.pth")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mode": "ir"},
        {"num_layers": 34, "width": 4},
        {"num_layers": 50, "mode": "ir", "affine": False},
        {"input_size": 48, "embedding_dim": 3},
        {"affine": False},
    ],
    ids=str,
)
def test_every_field_is_read_from_the_tensors(fields):
    config, variables, state = tiny(**fields)
    assert LAYOUT.config(state, {}) == config
    for name, tensor in flatten(convert(state)).items():
        np.testing.assert_array_equal(tensor, flatten(variables)[name], err_msg=name)


@pytest.mark.parametrize("number", [100, 152])
def test_deeper_networks_are_told_apart(number):
    config = {**config_of(IRSE(**TINY)), "num_layers": number}
    expansion = LAYOUT.expand(config)
    shapes = IRSEFeatures.shapes(config, where="it")
    state = {
        e.source: jax.ShapeDtypeStruct(
            e.axes.source_shape(shapes[e.target].shape), np.float32
        )
        for e in expansion.entries
    }
    assert LAYOUT.config(state, {}) == config


def test_old_files_without_batch_counters():
    _, variables, state = tiny()
    old = {k: v for k, v in state.items() if "num_batches" not in k}
    assert len(old) < len(state)
    for name, tensor in flatten(convert(old)).items():
        np.testing.assert_array_equal(tensor, flatten(variables)[name])


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_tensor_that_is_missing_is_named(data):
    _, _, state = tiny()
    needed = sorted(k for k in state if "num_batches" not in k)
    lost = data.draw(st.sampled_from(needed))
    del state[lost]
    with pytest.raises(UserError, match=lost.replace(".", r"\.")):
        convert(state)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_tensor_of_another_shape_is_refused(data):
    _, _, state = tiny()
    name = data.draw(st.sampled_from(sorted(k for k in state if state[k].ndim)))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=5))
    if tuple(shape) == state[name].shape:
        return
    with pytest.raises(UserError, match=r"a\.pth"):
        convert({**state, name: np.zeros(shape, np.float32)})


def test_all_faults_are_listed_at_once():
    _, _, state = tiny()
    del state["body.3.res_layer.0.weight"]
    state["body.4.res_layer.2.weight"] = np.zeros(3, np.float32)
    state["fc.weight"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as error:
        convert(state)
    for name in ("body.3.res_layer.0.weight", "body.4.res_layer.2.weight", "fc.weight"):
        assert name in str(error.value)


def test_a_depth_of_no_network():
    _, _, state = tiny()
    state = {k: v for k, v in state.items() if not k.startswith("body.7.")}
    with pytest.raises(UserError, match="7 residual units"):
        convert(state)


def test_numbers_out_of_reach_cost_nothing():
    _, _, state = tiny()
    far = np.zeros(4, np.float32)
    with pytest.raises(UserError, match="residual units"):
        convert({**state, "body.999999.res_layer.2.weight": far})
    with pytest.raises(UserError, match="unexpected"):
        convert({**state, f"body.{'9' * 5000}.res_layer.2.weight": far})
