import jax
import numpy as np
import pytest

from stylegan_jax.checkpoints.model_file import read_model, save_model
from stylegan_jax.checkpoints.pix2pixhd import (
    Pix2PixHDDiscriminator,
    Pix2PixHDEncoder,
    Pix2PixHDGlobal,
    Pix2PixHDLocal,
)
from stylegan_jax.errors import UserError

TINY = {"width": 4, "downsamplings": 1, "norm": "batch"}
CONFIGS = {
    "pix2pixhd.global": (Pix2PixHDGlobal, {**TINY, "residual_blocks": 1}),
    "pix2pixhd.local": (Pix2PixHDLocal, {**TINY, "residual_blocks": 1}),
    "pix2pixhd.encoder": (Pix2PixHDEncoder, TINY),
    "pix2pixhd.discriminator": (Pix2PixHDDiscriminator, {"width": 4, "layers": 1}),
}
X = np.zeros((1, 8, 8, 3), np.float32)
NUMBERS = np.zeros((1, 8, 8), np.int32)


def _network(family):
    kind, config = CONFIGS[family]
    module = kind.MODULE(**config)
    example = [np.ones(x.shape, x.dtype) for x in kind.example(module)]
    return kind(module, jax.jit(module.init)(jax.random.key(0), *example))


@pytest.fixture(scope="module")
def networks():
    return {family: _network(family) for family in CONFIGS}


@pytest.mark.parametrize("family", CONFIGS)
def test_a_file_gives_the_same_network_back(family, networks, tmp_path):
    network = networks[family]
    path = tmp_path / "a.safetensors"
    save_model(
        path,
        network.variables,
        family=family,
        config=network.config,
        provenance={},
        licence="none",
    )
    model = read_model(path)
    again = type(network).from_file(model, where=path)
    assert again.module == network.module
    same = jax.tree.map(
        lambda a, b: bool((a == b).all()), network.variables, again.variables
    )
    assert all(jax.tree.leaves(same))


def test_what_the_networks_return(networks):
    assert networks["pix2pixhd.global"](X).shape == (1, 8, 8, 3)
    assert networks["pix2pixhd.local"](X).shape == (1, 8, 8, 3)
    assert networks["pix2pixhd.encoder"](X, NUMBERS).shape == (1, 8, 8, 3)
    results = networks["pix2pixhd.discriminator"](np.concatenate([X, X], 3))
    assert [scale[-1].shape[3] for scale in results] == [1, 1]


def test_instance_numbers_of_64_bits_are_told_apart(networks):
    encoder = networks["pix2pixhd.encoder"]
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 3)).astype(np.float32)
    small = (np.arange(8)[None, :, None] // 4 + np.zeros((1, 8, 8))).astype(np.int64)
    # Equal in their lower 32 bits.
    np.testing.assert_array_equal(encoder(x, small), encoder(x, small << 32))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda n: n["pix2pixhd.global"](X[0]), r"x must be \[N, H, W, C\]"),
        (lambda n: n["pix2pixhd.global"](X[:0]), "at least one picture"),
        (lambda n: n["pix2pixhd.global"](X.astype(np.uint8)), "got uint8"),
        (lambda n: n["pix2pixhd.global"](X[..., :2]), "takes 3 channels, got 2"),
        (
            lambda n: n["pix2pixhd.global"](X[:, :7]),
            "multiples of 2, 4 or more, got 7x8",
        ),
        (
            lambda n: n["pix2pixhd.global"](X[:, :2]),
            "multiples of 2, 4 or more, got 2x8",
        ),
        (
            lambda n: n["pix2pixhd.local"](X[:, :6]),
            "multiples of 4, 8 or more, got 6x8",
        ),
        (lambda n: n["pix2pixhd.discriminator"](X), "takes 6 channels, got 3"),
        (lambda n: n["pix2pixhd.encoder"](X, NUMBERS[:, :4]), r"integers \[1, 8, 8\]"),
        (lambda n: n["pix2pixhd.encoder"](X, X[..., 0]), "got float32"),
    ],
)
def test_refusals(networks, call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(networks)


@pytest.mark.parametrize(
    ("family", "field"),
    [
        ("pix2pixhd.global", "downsamplings"),
        ("pix2pixhd.global", "residual_blocks"),
        ("pix2pixhd.local", "enhancers"),
        ("pix2pixhd.encoder", "downsamplings"),
        ("pix2pixhd.discriminator", "scales"),
    ],
)
def test_a_damaged_config_does_not_trace_for_ever(family, field):
    kind, config = CONFIGS[family]
    with pytest.raises(UserError, match=f"a file makes no model: {field} must be"):
        kind.shapes({**config, field: 2**24}, where="a file")
