"""The rebuilt weights are PyTorch's: a mapping network in NumPy gives the stored w."""

import numpy as np
import pytest
from golden_case import GoldenCase

# The convolutions' FIR: [1,3,3,1] ⊗ [1,3,3,1], normalised to sum 1.
FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64


def mapping(z, layers):
    """Normalised z, then layers with lr_multiplier 0.01 and leaky ReLU · √2."""
    x = z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)
    for weight, bias in layers:
        x = x @ weight.T * (0.01 / np.sqrt(weight.shape[1])) + bias * 0.01
        x = np.where(x > 0, x, 0.2 * x) * np.sqrt(2)
    return x


@pytest.mark.parametrize(
    ("case", "part", "layer", "z"),
    [
        ("nvlabs_64", "G_ema", "mapping.fc{}", "z"),
        # Its `style.0` is the normalisation.
        ("rosinality_64_m2", "generator", "style.{}", "z1"),
    ],
)
def test_mapping_of_rebuilt_weights_gives_the_stored_w(case, part, layer, z):
    golden = GoldenCase(case)
    first = 0 if "fc" in layer else 1
    layers = [
        (golden.tensor(part, f"{name}.weight"), golden.tensor(part, f"{name}.bias"))
        for name in (layer.format(first + i) for i in range(8))
    ]
    w = mapping(golden.input(z), layers)
    error = np.linalg.norm(w - golden.expected["w"]) / np.linalg.norm(
        golden.expected["w"]
    )
    # Eight float32 products of 512 terms: about 1e-6 apart.
    assert error < 1e-5


def test_exact_tensors_come_from_the_file():
    nvlabs, rosinality = GoldenCase("nvlabs_64"), GoldenCase("rosinality_64_m2")
    np.testing.assert_allclose(nvlabs.tensor("D", "b8.conv1.resample_filter"), FIR)
    np.testing.assert_allclose(
        rosinality.tensor("discriminator", "convs.1.conv2.0.kernel"), FIR
    )
    # An upsampling filter of rosinality's carries the gain of 4.
    np.testing.assert_allclose(
        rosinality.tensor("generator", "to_rgbs.0.upsample.kernel"), 4 * FIR
    )


@pytest.mark.parametrize("case", ["nvlabs_64", "rosinality_64_m2"])
def test_state_dict_has_every_tensor_in_float32(case):
    golden = GoldenCase(case)
    for part in golden.parts:
        state = golden.state_dict(part)
        assert tuple(state) == golden.keys(part)
        assert {value.dtype for value in state.values()} == {np.dtype(np.float32)}
        for key, value in state.items():
            assert value.shape == tuple(golden._specs[part][key]["shape"]), key


def test_weights_have_the_spread_that_the_spec_says():
    weight = GoldenCase("nvlabs_64").tensor("G_ema", "mapping.fc0.weight")
    assert weight.std() == pytest.approx(99.932655, rel=0.01)


def test_inputs_follow_their_rules():
    golden = GoldenCase("rosinality_64_m2")
    real = golden.input("real")
    assert real.shape == (4, 3, 64, 64)
    assert np.abs(real).max() == 1
    np.testing.assert_array_equal(real[:, :, ::8, ::8], real[:, :, 7::8, 7::8])
    assert golden.input("latent_avg").shape == (512,)
    assert golden.input("latent_avg").std() == pytest.approx(0.1, rel=0.15)
    # √(64·64) = 64
    assert golden.input("pl_noise").std() == pytest.approx(1 / 64, rel=0.02)
    residual = golden.input("wplus") - golden.input("z1")[:, None]
    assert residual.shape == (4, 10, 512)
    assert residual.std() == pytest.approx(0.3, rel=0.02)


def test_the_two_networks_are_drawn_from_different_seeds():
    golden = GoldenCase("nvlabs_64")
    key = "b4.conv.weight"
    drawn = golden._generator(key).standard_normal(4, dtype=np.float32)
    std = golden._specs["D"][key]["std"]
    assert not np.allclose(golden.tensor("D", key).ravel()[:4] / std, drawn)


def test_an_unknown_rule_is_refused():
    golden = GoldenCase("nvlabs_64")
    golden.info["inputs"]["odd"] = "poisson [B]"
    with pytest.raises(ValueError, match="no rule draws the input odd: poisson"):
        golden.input("odd")
