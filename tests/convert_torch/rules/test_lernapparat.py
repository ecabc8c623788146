import numpy as np
import pytest
from golden_case import GoldenCase
from golden_draw import normal

from stylegan_jax.checkpoints.stylegan1 import StyleGAN1Generator
from stylegan_jax.convert_torch.rules import lernapparat as rules
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError

(LAYOUT,) = rules.LAYOUTS


def _state(case):
    state = case.state_dict("net")
    state["latent_avg"] = np.float32(0.1) * normal(case, "avg_latent", (512,))
    return state


def _convert(state):
    config = LAYOUT.config(state, {"where": "g.pt"})
    shapes = StyleGAN1Generator.shapes(config, where="g.pt")
    return config, to_jax(state, LAYOUT.expand(config), shapes, where="g.pt")


@pytest.fixture(scope="module")
def small():
    """The tensors of the smaller case, drawn once; tests change a copy."""
    return _state(GoldenCase("stylegan1_64"))


@pytest.mark.parametrize("size", [64, 256])
def test_the_config_is_read_from_the_tensors(size):
    case = GoldenCase(f"stylegan1_{size}")
    config = LAYOUT.config(_state(case), {"where": "g.pt"})
    assert not config["stored_noise"] and config["norm_eps"] == 1e-5
    assert config["channel_base"] == 2 * case.info["fmap_base"]
    assert config["channel_max"] == case.info["fmap_max"]


def test_a_state_comes_back_bit_for_bit(small):
    config, variables = _convert(small)
    again = to_torch(variables, LAYOUT.expand(config), where="g")
    assert set(again) == set(small)
    for name, tensor in small.items():
        assert again[name].dtype == tensor.dtype
        np.testing.assert_array_equal(again[name], tensor, err_msg=name)


def test_names_of_whole_programs_are_recognised(small):
    mean = small["latent_avg"]
    whole = {f"g_all.{k}": v for k, v in small.items() if k != "latent_avg"}
    whole["g_all.truncation.avg_latent"] = mean[None]
    assert not rules.is_generator(whole)
    plain = rules.named(whole)
    assert rules.is_generator(plain) and set(plain) == set(small)
    np.testing.assert_array_equal(plain["latent_avg"], mean)


def test_a_generator_without_noise_inputs(small):
    state = {k: v for k, v in small.items() if not k.endswith("noise.weight")}
    config, variables = _convert(state)
    assert not config["use_noise"]
    assert set(to_torch(variables, LAYOUT.expand(config), where="g")) == set(state)


def test_every_tensor_that_does_not_fit_is_named(small):
    state = dict(small)
    del state["g_synthesis.blocks.8x8.conv1.bias"]
    state["g_synthesis.surplus"] = np.zeros(1, np.float32)
    state["g_mapping.dense3.bias"] = np.zeros(7, np.float32)
    kernel = "g_synthesis.blocks.16x16.conv0_up.intermediate.kernel"
    state[kernel] = state[kernel] * 2
    with pytest.raises(UserError) as caught:
        _convert(state)
    text = str(caught.value)
    for part in (
        "missing: g_synthesis.blocks.8x8.conv1.bias",
        "unexpected: g_synthesis.surplus",
        "of another shape: g_mapping.dense3.bias [7] instead of [512]",
        f"of other values than this architecture has: {kernel}",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("name", "tensor", "sentence"),
    [
        ("g_synthesis.blocks.4x4.const", None, "missing: g_synthesis.blocks.4x4.const"),
        ("g_synthesis.blocks.4x4.const", (1, 128, 0, 4), r"const \[1, 128, 0, 4\]"),
        ("g_synthesis.blocks.8x8.conv1.weight", (3,), r"8x8.conv1.weight \[3\]"),
        ("g_mapping.dense0.weight", None, "missing: g_mapping.dense0.weight"),
        (
            "g_mapping.dense999999999.weight",
            (2, 2),
            "unexpected: g_mapping.dense999999999",
        ),
        ("g_synthesis.blocks.24x24.conv1.weight", (1,), None),
        (
            f"g_synthesis.blocks.{4 << 40}x{4 << 40}.a",
            (1,),
            "unexpected: .*4398046511104",
        ),
        ("g_synthesis.torgb.weight", None, "missing: g_synthesis.torgb.weight"),
        (
            "g_synthesis.blocks.8x8.conv0_up.intermediate.kernel",
            (3, 3),
            r"smoothing filter of g.pt is \[3, 3\]",
        ),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(small, name, tensor, sentence):
    state = dict(small)
    if tensor is None:
        del state[name]
    else:
        state[name] = np.ones(tensor, np.float32)
    with pytest.raises(UserError, match=sentence):
        _convert(state)
