"""The three sources of StyleGAN2: every field is read, every fault is a sentence."""

import numpy as np
import pytest
from tiny_models import tiny_discriminator, tiny_generator

from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.convert_torch.rules import nvlabs, rosinality, stylegan2_tensorflow
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError

SOURCES = {"nvlabs": nvlabs, "tensorflow": stylegan2_tensorflow}
GENERATORS = [
    {},
    {"architecture": "orig"},
    {"architecture": "resnet", "c_dim": 3},
    {"base_grid": (4, 6), "img_channels": 1},
    {"use_noise": False, "mapping_layers": 1},
    {"resample_filter": (0.25, 0.5, 0.25)},
]
DISCRIMINATORS = [
    {},
    {"architecture": "skip", "mbstd_num_channels": 2},
    {"architecture": "orig", "mbstd_num_channels": 0},
    {"c_dim": 3, "mapping_layers": 2, "cmap_dim": 5},
]
# How a network is computed, which no tensor tells.
UNTOLD = ("dtype", "low_precision_blocks", "conv_clamp")


def made(kind, **fields):
    """A tiny network's config and variables."""
    build = tiny_generator if kind == "generator" else tiny_discriminator
    module, variables = build(**fields)
    return config_of(module), variables


def file_of(source, kind, **fields):
    """Its config, its variables, its tensors as the source names them, its layout."""
    config, variables = made(kind, **fields)
    layout = next(x for x in SOURCES[source].LAYOUTS if x.family.endswith(kind))
    state = to_torch(variables, layout.expand(config), where="tiny")
    return config, variables, state, layout


def convert(state, layout, hints):
    config = layout.config(state, {"where": "the file", **hints})
    shapes = FAMILIES[layout.family].shapes(config, where="the file")
    return config, to_jax(state, layout.expand(config), shapes, where="the file")


def hints_of(source, config):
    hints = {"base_grid": config["base_grid"]}
    if source == "tensorflow":
        kernel = np.asarray(config["resample_filter"])
        hints["static_kwargs"] = {"resample_kernel": list(kernel * 8)}
    return hints


CASES = [
    *(("generator", fields) for fields in GENERATORS),
    *(("discriminator", fields) for fields in DISCRIMINATORS),
]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("kind", "fields"), CASES)
def test_every_field_is_read_and_tensors_come_back(source, kind, fields):
    if source == "tensorflow" and (fields.get("cmap_dim") or fields.get("c_dim")):
        pytest.skip("TensorFlow's labels have widths of their own")
    config, variables, state, layout = file_of(source, kind, **fields)
    found, ours = convert(state, layout, hints_of(source, config))
    defaults = {"mapping_features": 0, "embed_features": 0, "cmap_dim": 0}
    found = {**{k: v for k, v in defaults.items() if k in config}, **found}
    assert found == {k: v for k, v in config.items() if k in found}
    assert set(config) - set(found) <= set(UNTOLD)
    flat, want = flatten(ours), flatten(variables)
    assert set(flat) == set(want)
    for name, value in want.items():
        np.testing.assert_allclose(flat[name], value, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", ["generator", "discriminator"])
def test_no_missing_tensor_is_a_crash(source, kind):
    config, _, state, layout = file_of(source, kind)
    for gone in state:
        if gone.endswith("resample_filter"):
            continue  # filters of layers that do not resample may hold anything
        rest = {name: value for name, value in state.items() if name != gone}
        with pytest.raises(UserError):
            convert(rest, layout, hints_of(source, config))
        odd = {**state, gone: np.zeros((1, 2, 3, 4, 5, 6), np.float32)}
        with pytest.raises(UserError):
            convert(odd, layout, hints_of(source, config))


def grown(**fields):
    """A TensorFlow generator that grew (configs b to d): a ToRGB for every size."""
    config, variables, state, layout = file_of(
        "tensorflow", "generator", architecture="orig", **fields
    )
    top = 4 << (config["num_blocks"] - 1)
    state = {
        name.replace(f"{top}x{top}/ToRGB", "ToRGB_lod0"): value
        for name, value in state.items()
    }
    state["lod"] = state["synthesis/lod"] = np.zeros((), np.float32)
    state["synthesis/ToRGB_lod1/bias"] = np.zeros(3, np.float32)
    return config, variables, state, layout


def test_networks_that_grew_keep_what_draws_the_picture():
    config, variables, state, layout = grown()
    kept, left = stylegan2_tensorflow.settled(state, where="the file")
    assert left == ["synthesis/ToRGB_lod1/bias"]
    found, ours = convert(kept, layout, hints_of("tensorflow", config))
    assert found["architecture"] == "orig"
    flat, want = flatten(ours), flatten(variables)
    for name, value in want.items():
        np.testing.assert_allclose(flat[name], value, rtol=0, atol=1e-6, err_msg=name)


def test_networks_that_still_grow_are_refused():
    _, _, state, _ = grown()
    state["lod"] = np.full((), 1.5, np.float32)
    with pytest.raises(UserError, match="lod is 1.5"):
        stylegan2_tensorflow.settled(state, where="the file")


@pytest.mark.parametrize(
    ("static", "words"),
    [
        ({"nonlinearity": "relu"}, "nonlinearity='relu'"),
        ({"use_spectral_norm": True, "fmap_decay": 2}, "fmap_decay=2"),
        ({"something_new": 3}, "something_new=3"),
    ],
)
def test_arguments_that_ask_for_something_else_are_refused(static, words):
    config, _, state, layout = file_of("tensorflow", "generator")
    hints = hints_of("tensorflow", config)
    with pytest.raises(UserError, match=words):
        convert(state, layout, {**hints, "static_kwargs": static})


def test_labels_of_the_first_tensorflow_program_are_refused():
    config, _, state, layout = file_of("tensorflow", "generator")
    state["mapping/LabelConcat/weight"] = np.zeros((3, 8), np.float32)
    with pytest.raises(UserError, match="mixes labels in another way"):
        convert(state, layout, hints_of("tensorflow", config))
    config, _, state, layout = file_of("tensorflow", "discriminator")
    state["Output/weight"] = np.zeros((8, 3), np.float32)
    with pytest.raises(UserError, match="scores labels in another way"):
        convert(state, layout, hints_of("tensorflow", config))


def test_widths_that_no_base_gives_are_refused():
    config, _, state, layout = file_of("nvlabs", "generator")
    state["synthesis.b8.conv1.weight"] = np.zeros((5, 8, 3, 3), np.float32)
    with pytest.raises(UserError, match="which no channel_base gives"):
        convert(state, layout, {})


@pytest.mark.parametrize("size", [4, 5, 8])
def test_long_filters_are_kept_as_rows(size):
    taps = tuple(float(t) for t in np.full(size, 1 / size))
    if size == 5:
        taps = (0.2,) * 5
    config, _, state, layout = file_of("nvlabs", "generator", resample_filter=taps)
    rank = 1 if size >= 8 else 2
    assert state["synthesis.b8.resample_filter"].ndim == rank
    found, _ = convert(state, layout, {})
    np.testing.assert_allclose(found["resample_filter"], taps, atol=1e-6)


def test_what_rosinality_cannot_build():
    config, _ = made("generator", c_dim=3, architecture="resnet")
    reasons = rosinality.fits_rosinality(config, "stylegan2.generator")
    assert len(reasons) == 3
    wide = {**config, "c_dim": 0, "architecture": "skip", "channel_max": 512}
    wide["channel_base"] = 32768
    assert rosinality.fits_rosinality(wide, "stylegan2.generator") == []
