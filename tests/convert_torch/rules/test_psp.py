import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.checkpoints.psp import PSPEncoder, PSPNetwork
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.convert_torch.rules import psp, psp_file
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.convert_torch.rules.rosinality import LAYOUTS as ROSINALITY
from stylegan_jax.errors import UserError
from stylegan_jax.models.psp import PSP, Encoder
from stylegan_jax.models.psp.encoder import GRADUAL, INTO_W, INTO_W_PLUS
from tests.models.psp.tiny_psp import FIELDS, draw, tiny_psp

WHOLE, ENCODER = psp.LAYOUTS
OPTS = {
    "output_size": 64,
    "encoder_type": GRADUAL,
    "input_nc": 3,
    "label_nc": 0,
    "learn_in_w": False,
    "start_from_latent_avg": True,
}


@functools.cache
def shapes_of(network, config):
    return network.shapes(dict(config), where="a.pt")


def convert(layout, network, state, hints):
    config = layout.config(state, {"where": "a.pt", **hints})
    if layout is WHOLE:
        mean = hints["latent_avg"]
        state = psp_file.with_mean(state, mean, config, where="a.pt")
    shapes = shapes_of(network, tuple(config.items()))
    variables = to_jax(state, layout.expand(config), shapes, where="a.pt")
    return config, variables


def assert_same(back, state):
    assert set(back) == set(state)
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype
        # A filter is made anew from its taps.
        close = dict(rtol=1e-6) if name.endswith(".kernel") else dict(rtol=0)
        np.testing.assert_allclose(back[name], tensor, **close, err_msg=name)


_IMAGES = ("image", "image_mixed")


def tiny(**fields):
    """A whole model's config, variables, and its file: tensors and mean latent."""
    module, variables = tiny_psp(**fields)
    config = config_of(module)
    # Stored divided by the multiplier, whose size is told from their spread.
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * 100 if "mapping" in str(path) else leaf, variables
    )
    state = to_torch(variables, WHOLE.expand(config), where="tiny")
    return config, variables, *psp_file.without_mean(state)


def opts_of(config):
    return psp_file.opts_of(config)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"encoder_type": INTO_W, "learn_in_w": True, "input_size": 256},
        {"encoder_type": INTO_W, "input_size": 256},
        {"encoder_type": INTO_W_PLUS, "input_size": 256, "input_nc": 1},
        {"input_size": 64, "mode": "ir", "width": 8, "input_nc": 19},
        {"num_layers": 34, "start_from_latent_avg": False},
        {"decoder_num_blocks": 4, "decoder_mapping_layers": 3},
        {"decoder_base_grid": (4, 2)},
    ],
    ids=str,
)
def test_every_field_is_read_from_the_file(fields):
    config, variables, state, mean = tiny(**fields)
    hints = {"opts": opts_of(config), "latent_avg": mean}
    found, converted = convert(WHOLE, PSPNetwork, state, hints)
    own = {k: v for k, v in config.items() if k in found}
    # Several pairs of base and maximum give the same few blocks; to_jax holds the
    # widths themselves to the tensors.
    widths = ("decoder_channel_base", "decoder_channel_max")
    assert {k: v for k, v in found.items() if k not in widths} == {
        k: v for k, v in own.items() if k not in widths
    }
    ours = flatten(variables)
    for name, tensor in flatten(converted).items():
        if name != "moving_stats/decoder/mapping/w_avg":
            np.testing.assert_array_equal(tensor, ours[name], err_msg=name)
    np.testing.assert_allclose(
        converted["moving_stats"]["decoder"]["mapping"]["w_avg"],
        mean.mean(0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_without_options_the_tensors_tell():
    config, _, state, mean = tiny()
    found = WHOLE.config(state, {"latent_avg": mean})
    assert not found["learn_in_w"] and found["start_from_latent_avg"]
    assert not WHOLE.config(state, {"latent_avg": None})["start_from_latent_avg"]
    assert WHOLE.config(state, {"latent_avg": mean[:1]})["learn_in_w"]
    assert found["encoder_type"] == config["encoder_type"]


def test_what_nothing_tells_is_said():
    config, _, state, _ = tiny()
    (sentence,) = psp_file.remarks(state, {})
    assert "e4e" in sentence
    assert not psp_file.remarks(state, {"opts": opts_of(config)})
    _, _, into_w, _ = tiny(encoder_type=INTO_W)
    assert not psp_file.remarks(into_w, {})


def test_one_mean_serves_all_layers():
    config, _, state, _ = tiny()
    mean = np.random.default_rng(0).standard_normal(8).astype(np.float16)
    for given_mean in (mean, mean[None]):
        tensors = psp_file.with_mean(state, given_mean, config, where="a.pt")
        np.testing.assert_array_equal(tensors["latent_avg"], [mean] * 6)
        np.testing.assert_array_equal(tensors["decoder.latent_avg"], mean)
        assert tensors["decoder.latent_avg"].dtype == np.float16
    with pytest.raises(UserError, match=r"latent_avg of a\.pt is \[7, 8\]"):
        psp_file.with_mean(state, np.zeros((7, 8)), config, where="a.pt")


def test_the_decoder_alone_is_a_generator_of_rosinalitys():
    _, _, state, mean = tiny()
    decoder = psp.part(state, "decoder.")
    layout = ROSINALITY[0]
    config = layout.config(decoder, {})
    expansion = layout.expand(config)
    names = {e.source for e in expansion.entries} | {
        b.source for b in expansion.buffers
    }
    assert names == {*decoder, "latent_avg"}


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_tensor_that_is_missing_is_named(data):
    config, _, state, mean = tiny()
    lost = data.draw(st.sampled_from(sorted(k for k in state if "num_ba" not in k)))
    del state[lost]
    hints = {"opts": opts_of(config), "latent_avg": mean}
    short = lost.removeprefix("encoder.").removeprefix("decoder.")
    with pytest.raises(UserError, match=short.replace(".", r"\.")):
        convert(WHOLE, PSPNetwork, state, hints)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_tensor_of_another_shape_is_refused(data):
    config, _, state, mean = tiny()
    # Filters are read by the decoder's own rules, which have tests of their own.
    names = [k for k in state if state[k].ndim]
    name = data.draw(st.sampled_from(sorted(names)))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=5))
    if tuple(shape) == state[name].shape:
        return
    state[name] = np.zeros(shape, np.float32)
    with pytest.raises(UserError):
        convert(WHOLE, PSPNetwork, state, {"opts": opts_of(config), "latent_avg": mean})


def test_all_faults_are_listed_at_once():
    config, _, state, mean = tiny()
    del state["encoder.styles.1.linear.bias"]
    state["decoder.to_rgbs.0.bias"] = np.zeros((1, 4, 1, 1), np.float32)
    state["encoder.fc.weight"] = np.zeros(2, np.float32)
    hints = {"opts": opts_of(config), "latent_avg": mean}
    with pytest.raises(UserError) as error:
        convert(WHOLE, PSPNetwork, state, hints)
    for name in ("styles.1.linear.bias", "to_rgbs.0.bias", "encoder.fc.weight"):
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("opts", "program"),
    [
        ({"encoder_type": "Encoder4Editing"}, "e4e"),
        ({"encoder_type": "SingleStyleCodeEncoder"}, "e4e"),
        ({"w_discriminator_lambda": 0.1}, "e4e"),
        ({"encoder_type": "BackboneEncoder"}, "ReStyle"),
        ({"encoder_type": "ProgressiveBackboneEncoder"}, "ReStyle"),
    ],
    ids=str,
)
def test_encoders_of_other_programs_are_recognised_by_their_options(opts, program):
    _, _, state, mean = tiny()
    with pytest.raises(UserError, match=f"{program}.*--part decoder"):
        WHOLE.config(state, {"opts": opts, "latent_avg": mean})


def test_an_encoder_without_lateral_layers_is_restyles():
    _, _, state, _ = tiny()
    state = {k: v for k, v in state.items() if "latlayer" not in k}
    with pytest.raises(UserError, match="ReStyle"):
        WHOLE.config(state, {})


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        ({"output_size": 1024}, "output_size 1024 instead of 16"),
        ({"n_styles": 18}, "n_styles 18 instead of 6"),
        ({"input_nc": 1}, "input_nc 1 instead of 3"),
        ({"encoder_type": INTO_W}, f"instead of {GRADUAL}"),
        ({"learn_in_w": "no"}, "learn_in_w='no'"),
        ({"output_size": [16]}, "output_size"),
        ({"encoder_type": ["a", {}]}, "encoder_type"),
    ],
    ids=str,
)
def test_options_that_contradict_the_tensors(opts, words):
    _, _, state, _ = tiny()
    with pytest.raises(UserError) as error:
        WHOLE.config(state, {"where": "a.pt", "opts": opts})
    assert words in str(error.value)
    assert "a.pt" in str(error.value)


def test_an_encoder_and_a_decoder_of_two_models():
    _, _, small, mean = tiny()
    _, _, large, _ = tiny(decoder_num_blocks=4)
    decoder = {k: v for k, v in large.items() if k.startswith("decoder.")}
    encoder = {k: v for k, v in small.items() if k.startswith("encoder.")}
    with pytest.raises(UserError, match="gives 6 latents and its decoder takes 8"):
        WHOLE.config({**encoder, **decoder}, {"latent_avg": mean})


@pytest.mark.parametrize(
    "name",
    [
        "encoder.styles.999999.linear.bias",
        f"encoder.styles.{'9' * 5000}.linear.bias",
        "encoder.styles.0.convs.999998.weight",
        "decoder.convs.999999.activate.bias",
        "decoder.style.999999.bias",
    ],
    ids=lambda name: name[:40],
)
def test_numbers_out_of_reach_cost_nothing(name):
    config, _, state, mean = tiny()
    state[name] = np.zeros(8, np.float32)
    with pytest.raises(UserError):
        convert(WHOLE, PSPNetwork, state, {"opts": opts_of(config), "latent_avg": mean})


def test_an_encoder_without_a_head():
    state = {
        k: v
        for k, v in psp.part(tiny()[2], "encoder.").items()
        if k.startswith(("body.", "input_layer."))
    }
    assert not psp.is_encoder(state)
    with pytest.raises(UserError, match="no head"):
        ENCODER.config(state, {})


def test_options_that_the_original_program_needs():
    config = config_of(PSP(decoder_num_blocks=9, input_nc=19, learn_in_w=True))
    opts = psp_file.opts_of(config)
    assert opts["output_size"] == 1024 and opts["n_styles"] == 18
    assert opts["label_nc"] == 19 and opts["learn_in_w"]
    assert psp_file.fits_psp(config) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"num_layers": 34},
        {"mode": "ir"},
        {"width": 32},
        {"input_size": 128},
        {"decoder_channel_base": 16384},
        {"decoder_mapping_layers": 2},
        {"decoder_architecture": "resnet"},
        {"iterations": 5},
    ],
    ids=str,
)
def test_models_that_the_original_program_cannot_have(fields):
    config = config_of(PSP(**{"decoder_num_blocks": 9, **fields}))
    assert len(psp_file.fits_psp(config)) == 1


def test_a_file_from_before_the_passes_can_be_written():
    config = config_of(PSP(decoder_num_blocks=9))
    del config["iterations"]
    assert psp_file.fits_psp(config) == []


def test_a_bare_encoder_goes_there_and_back():
    fields = {k: FIELDS[k] for k in ("num_layers", "width", "input_size", "w_dim")}
    module = Encoder(**fields, num_ws=8)
    variables, config = draw(module, (32, 32, 3)), config_of(module)
    state = to_torch(variables, ENCODER.expand(config), where="it")
    found, converted = convert(ENCODER, PSPEncoder, state, {})
    assert found == config
    assert_same(to_torch(converted, ENCODER.expand(found), where="it"), state)
