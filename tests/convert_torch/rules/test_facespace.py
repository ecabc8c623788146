import numpy as np
import pytest
from golden_case import GoldenCase

from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.convert_torch.rules import facespace as rules
from stylegan_jax.convert_torch.rules.layout import to_jax
from stylegan_jax.errors import UserError

(LAYOUT,) = rules.LAYOUTS


def _convert(state):
    config = LAYOUT.config(state, {"where": "face.pth"})
    shapes = FaceSpaceEncoder.shapes(config, where="face.pth")
    return config, to_jax(state, LAYOUT.expand(config), shapes, where="face.pth")


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("decompress", (8, 64, 128, 256, 512, 512)),
        ("landmarks", (256, 256, 256, 512, 512, 1024)),
    ],
)
def test_the_config_is_read_from_the_tensors(name, features):
    case = GoldenCase(f"facespace_{name}")
    state = case.state_dict("net")
    assert rules.is_encoder(state)
    config = LAYOUT.config(state, {"where": name})
    assert config == {
        "input_dim": case.info["dims"],
        "features": features,
        "num_ws": 18,
        "w_dim": 512,
    }


def _tiny():
    rng = np.random.default_rng(0)
    widths = (3, 4, 1024)
    state = {}
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        state[f"dense{i}.weight"] = rng.standard_normal((b, a), dtype=np.float32)
        state[f"dense{i}.bias"] = rng.standard_normal(b, dtype=np.float32)
    return state


def test_the_encoder_of_a_whole_model():
    state = _tiny()
    whole = {f"g_all.g_decompress.{k}": v for k, v in state.items()}
    whole["g_all.g_synthesis.torgb.bias"] = np.zeros(3, np.float32)
    assert not rules.is_encoder(whole)
    kept, left = rules.named(whole)
    assert rules.is_encoder(kept) and set(kept) == set(state)
    assert left == ["g_all.g_synthesis.torgb.bias"]
    # Nothing is dropped in silence: what is neither makes the conversion fail.
    whole["g_all.surplus"] = np.zeros(1, np.float32)
    with pytest.raises(UserError, match="unexpected: surplus"):
        _convert(rules.named(whole)[0])


def test_an_encoder_alone_stays_as_it_is():
    state = _tiny()
    assert rules.named(state) == (state, [])


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("dense0.weight", None, "missing: dense0.weight"),
        ("dense1.bias", None, "missing: dense1.bias"),
        ("dense1.bias", (3,), r"dense1.bias \[3\] instead of \[1024\]"),
        ("dense1.weight", (1000, 4), "1000 numbers, which are no whole latents of 512"),
        ("dense99999.weight", (2, 2), "counts the layers .*99999"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(name, shape, sentence):
    state = _tiny()
    if shape is None:
        del state[name]
    else:
        state[name] = np.ones(shape, np.float32)
    with pytest.raises(UserError, match=sentence):
        _convert(state)


def test_other_states_are_no_encoders():
    assert not rules.is_encoder({})
    assert not rules.is_encoder({**_tiny(), "conv.weight": np.zeros(3)})
