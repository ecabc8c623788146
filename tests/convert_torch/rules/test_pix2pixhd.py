import numpy as np
import pytest
from golden_case import GoldenCase

from stylegan_jax.checkpoints.pix2pixhd import (
    Pix2PixHDDiscriminator,
    Pix2PixHDEncoder,
    Pix2PixHDGlobal,
    Pix2PixHDLocal,
)
from stylegan_jax.convert_torch.rules import pix2pixhd as rules
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError

FACADES = {
    "global": Pix2PixHDGlobal,
    "local": Pix2PixHDLocal,
    "encoder": Pix2PixHDEncoder,
    "discriminator": Pix2PixHDDiscriminator,
}
LAYOUTS = {layout.family.split(".")[1]: layout for layout in rules.LAYOUTS}
PREDICATES = {
    "global": rules.is_global,
    "local": rules.is_local,
    "encoder": rules.is_encoder,
    "discriminator": rules.is_discriminator,
    "plain": rules.is_plain_discriminator,
}
CONFIGS = {
    "global": {
        "input_channels": 5,
        "img_channels": 2,
        "width": 4,
        "downsamplings": 2,
        "residual_blocks": 2,
        "upsampling": "transposed",
    },
    "local": {
        "input_channels": 5,
        "img_channels": 2,
        "width": 4,
        "downsamplings": 1,
        "residual_blocks": 2,
        "enhancers": 2,
        "enhancer_blocks": 1,
        "upsampling": "transposed",
    },
    "encoder": {
        "input_channels": 5,
        "feature_channels": 2,
        "width": 4,
        "downsamplings": 3,
        "upsampling": "transposed",
    },
    "discriminator": {
        "input_channels": 5,
        "width": 4,
        "layers": 2,
        "scales": 3,
        "use_sigmoid": False,
    },
}

# Tracing a network takes a while, and many tests convert the same one.
SHAPES: dict = {}


def _convert(kind, state, layout=None, hints=None):
    layout = layout or LAYOUTS[kind]
    config = layout.config(state, hints or {"where": "net.pth"})
    key = (kind, repr(config))
    if key not in SHAPES:
        SHAPES[key] = FACADES[kind].shapes(config, where="net.pth")
    shapes = SHAPES[key]
    return config, to_jax(state, layout.expand(config), shapes, where="net.pth")


def _made(kind, norm, layout=None):
    """A state of the original's names with drawn tensors."""
    layout, config = layout or LAYOUTS[kind], {**CONFIGS[kind], "norm": norm}
    shapes = FACADES[kind].shapes(config, where="made")
    rng = np.random.default_rng(0)
    expansion = layout.expand(config)
    state = {
        e.source: rng.standard_normal(
            e.axes.source_shape(shapes[e.target].shape), dtype=np.float32
        )
        for e in expansion.entries
    }
    state.update({b.source: b.value() for b in expansion.buffers})
    return config, state


def _same(a, b):
    assert set(a) == set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("kind", FACADES)
def test_the_golden_cases_arguments_are_inferred(kind):
    case = GoldenCase(f"pix2pixhd_{kind}")
    config = LAYOUTS[kind].config(case.state_dict("net"), {})
    names = {
        "ngf": "width",
        "ndf": "width",
        "n_downsampling": "downsamplings",
        "n_downsample_global": "downsamplings",
        "n_blocks": "residual_blocks",
        "n_blocks_global": "residual_blocks",
        "n_blocks_local": "enhancer_blocks",
        "n_local_enhancers": "enhancers",
        "n_layers": "layers",
        "num_D": "scales",
    }
    args = {names[k]: v for k, v in case.info["args"].items() if k in names}
    assert args and config == {**config, **args, "norm": "instance"}


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("kind", FACADES)
def test_other_architectures_are_inferred_and_come_back(kind, norm):
    config, state = _made(kind, norm)
    got, variables = _convert(kind, state)
    assert got == config
    _same(to_torch(variables, LAYOUTS[kind].expand(config), where=kind), state)


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("no_lsgan", [False, True])
def test_a_discriminator_without_feature_matching(norm, no_lsgan):
    layout = rules.PLAIN_DISCRIMINATOR
    config, state = _made("discriminator", norm, layout)
    names = {"layer0.0.weight", "layer2.2.weight", "layer1.8.bias"}
    assert names < set(state) and ("layer0.3.running_var" in state) == (norm == "batch")
    assert _kinds(state) == ["plain"]
    got, variables = _convert("discriminator", state, layout, {"no_lsgan": no_lsgan})
    assert got == {**config, "use_sigmoid": no_lsgan}
    # Written again, it has the names of one with feature matching.
    again = to_torch(variables, LAYOUTS["discriminator"].expand(got), where="d")
    assert _kinds(again) == ["discriminator"]
    np.testing.assert_array_equal(
        again["scale2_layer1.0.weight"], state["layer2.2.weight"]
    )


def _kinds(state):
    return [kind for kind, fits in PREDICATES.items() if fits(state)]


@pytest.mark.parametrize("kind", FACADES)
def test_networks_are_told_apart(kind):
    for norm in ("instance", "batch"):
        assert _kinds(_made(kind, norm)[1]) == [kind]
    for other in ({}, {"conv.weight": np.zeros(3)}, {"model.1.weight": np.zeros(3)}):
        assert _kinds(other) == []


def test_counters_that_older_files_lack_are_written():
    config, state = _made("global", "batch")
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    lacking = {k: v for k, v in state.items() if k not in counters}
    got, variables = _convert("global", lacking)
    again = to_torch(variables, LAYOUTS["global"].expand(got), where="g")
    assert counters and all(again[name].dtype == np.int64 for name in counters)
    _same(again, state)


@pytest.mark.parametrize("kind", FACADES)
def test_every_tensor_that_does_not_fit_is_named(kind):
    state = GoldenCase(f"pix2pixhd_{kind}").state_dict("net")
    biases = [name for name in state if name.endswith("bias")]
    gone, *_, short = biases
    del state[gone]
    state[short] = state[short][:0]
    state["model.surplus"] = np.zeros(1, np.float32)
    with pytest.raises(UserError) as caught:
        _convert(kind, state)
    text = str(caught.value)
    assert f"missing: {gone}" in text and "unexpected: model.surplus" in text
    assert f"of another shape: {short} [0] instead of" in text
    assert "Nothing was written." in text


@pytest.mark.parametrize("kind", [*FACADES, "plain"])
def test_no_missing_tensor_is_a_crash(kind):
    layout = LAYOUTS.get(kind, rules.PLAIN_DISCRIMINATOR)
    facade = "discriminator" if kind == "plain" else kind
    _, state = _made(facade, "batch", layout)
    for name in state:
        if name.endswith("num_batches_tracked"):
            continue
        less = {k: v for k, v in state.items() if k != name}
        with pytest.raises(UserError):
            _convert(facade, less, layout)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("global", "model.27.bias", "model.999999999.bias"),
        ("local", "model.16.bias", "model.999999999.bias"),
        ("local", "model1_1.1.bias", "model999999999_1.1.bias"),
        ("discriminator", "scale1_layer0.0.bias", "scale999999999_layer0.0.bias"),
        ("discriminator", "scale1_layer0.0.bias", "scale1_layer999999999.0.bias"),
    ],
)
def test_a_damaged_name_does_not_mean_millions_of_layers(kind, old, new):
    state = GoldenCase(f"pix2pixhd_{kind}").state_dict("net")
    state[new] = state.pop(old)
    with pytest.raises(UserError, match="net.pth lie at places that no pix2pixHD"):
        _convert(kind, state)


def test_instance_norm_of_old_pytorch_is_told_apart_from_batch_norm():
    state = GoldenCase("pix2pixhd_global").state_dict("net")
    state["model.2.running_mean"] = np.zeros(16, np.float32)
    with pytest.raises(UserError, match="unexpected: model.2.running_mean"):
        _convert("global", state)


def test_what_the_original_program_has_not():
    config = {**CONFIGS["global"], "norm": "batch"}
    assert rules.fits_pix2pixhd(config, "pix2pixhd.global") == []
    config["upsampling"] = "resize"
    assert rules.fits_pix2pixhd(config, "pix2pixhd.global") == [
        "upsampling by resizing"
    ]
    config = {**CONFIGS["discriminator"], "use_sigmoid": True}
    assert rules.fits_pix2pixhd(config, "pix2pixhd.discriminator") == [
        "a sigmoid together with feature matching"
    ]
