from functools import partial

import jax
import numpy as np
import pytest

from stylegan_jax.checkpoints.model_file import read_model, save_model
from stylegan_jax.checkpoints.psp import PSPEncoder, PSPNetwork
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.irse import adaptive_average_pool
from stylegan_jax.models.psp import Encoder
from stylegan_jax.models.psp.encoder import INTO_W
from tests.models.psp.tiny_psp import draw, tiny_psp


@pytest.fixture(scope="module")
def network():
    return PSPNetwork(*tiny_psp())


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def w_plus(network, x):
    return np.asarray(network.encode(x))


def save(path, network, family):
    save_model(
        path,
        network.variables,
        family=family,
        config=config_of(network.module),
        provenance={},
        licence="MIT",
    )
    return read_model(path)


def test_a_model_file_gives_the_same_latents(network, x, w_plus, tmp_path):
    file = tmp_path / "psp.safetensors"
    model = save(file, network, "psp")
    loaded = PSPNetwork.from_file(model, where=file)
    assert loaded.config == network.config
    np.testing.assert_array_equal(loaded.encode(x), w_plus)


def test_files_from_before_the_passes_load(network, tmp_path):
    file = tmp_path / "psp.safetensors"
    model = save(file, network, "psp")
    del model.config["iterations"]
    assert PSPNetwork.from_file(model, where=file).config == network.config


def test_a_damaged_config_is_refused(network, tmp_path):
    file = tmp_path / "psp.safetensors"
    model = save(file, network, "psp")
    for name, value in (
        ("decoder_num_blocks", 60),
        ("num_layers", 7),
        ("width", 2**24),
        ("iterations", 2**24),
    ):
        model.config[name], kept = value, model.config[name]
        with pytest.raises(UserError, match="makes no model"):
            PSPNetwork.from_file(model, where=file)
        model.config[name] = kept


def test_the_decoder_is_a_generator_of_its_own(network, w_plus):
    images = network.synthesis(w_plus)
    assert images.shape == (2, *network.image_shape) == (2, 16, 16, 3)
    np.testing.assert_array_equal(network.decoder.synthesis(w_plus), images)
    assert network.decoder.images([3]).shape == (1, 16, 16, 3)


def test_pictures_become_the_decoders(network, x, w_plus):
    images = network(x)
    np.testing.assert_array_equal(images, network.synthesis(w_plus))
    pooled = network(x, size=8)
    np.testing.assert_allclose(pooled, adaptive_average_pool(images, (8, 8)), atol=1e-5)


def test_layers_are_mixed_on_the_way(network, x, w_plus):
    other = np.random.default_rng(1).standard_normal((1, 6, 8)).astype(np.float32)
    mixed = network(x, inject=other, latent_mask=[2, 4], alpha=0.5)
    by_hand = w_plus.copy()
    by_hand[:, [2, 4]] = 0.5 * w_plus[:, [2, 4]] + 0.5 * other[:, [2, 4]]
    np.testing.assert_allclose(mixed, network.synthesis(by_hand), rtol=1e-3, atol=1e-3)
    assert not np.allclose(mixed, network(x), atol=1e-2)
    replaced = network.inject(w_plus, [0], other)
    np.testing.assert_array_equal(replaced[:, 0], [other[0, 0]] * 2)
    assert not np.any(network.inject(w_plus, range(6)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"latent_mask": [6]}, "from 0 to 5, got 6"),
        ({"latent_mask": [-1, 2.5]}, "got -1, 2.5"),
        ({"latent_mask": [1], "alpha": 0.5}, "give inject"),
        ({"inject": np.zeros((1, 6, 8), np.float32)}, "latent_mask"),
        ({"latent_mask": [1], "inject": np.zeros((2, 6, 7), np.float32)}, "inject"),
        ({"latent_mask": [1], "inject": np.zeros((3, 6, 8), np.float32)}, "inject"),
        ({"latent_mask": [1], "inject": np.zeros(8, np.float32)}, "inject"),
        ({"noise_mode": "random"}, "needs a key"),
        ({"size": 0}, "size is from 1"),
        ({"iterations": 2}, "does a single pass"),
        ({"iterations": 0}, "iterations is from 1 to 10, got 0"),
        ({"iterations": 11}, "iterations is from 1 to 10, got 11"),
        ({"iterations": True}, "iterations is from 1 to 10, got True"),
    ],
    ids=str,
)
def test_other_arguments_are_refused(network, x, arguments, words):
    with pytest.raises(UserError, match=words):
        network(x, **arguments)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2, 32, 32, 3), np.uint8),
        ((2, 64, 64, 3), np.float32),
        ((2, 32, 32, 1), np.float32),
        ((0, 32, 32, 3), np.float32),
    ],
    ids=str,
)
def test_other_pictures_are_refused(network, shape, dtype):
    with pytest.raises(UserError, match="x must be"):
        network.encode(np.zeros(shape, dtype))


@pytest.mark.slow  # programs of its own
def test_the_number_of_passes_can_be_chosen(x):
    module, variables = tiny_psp(encoder_type=INTO_W, iterations=2)
    restyle = PSPNetwork(module, variables)
    codes = restyle.encode(x)
    assert codes.shape == (2, 6, 8)
    np.testing.assert_array_equal(restyle.encode(x, iterations=2), codes)
    apply = jax.jit(partial(module.apply, method="encode"))
    np.testing.assert_allclose(codes, apply(variables, x), rtol=1e-3, atol=1e-3)
    one = restyle.encode(x, iterations=1)
    assert not np.allclose(one, codes, atol=1e-2)
    with pytest.raises(UserError, match="got 11"):
        restyle(x, iterations=11)


def test_a_bare_encoder(x, tmp_path):
    module = Encoder(num_layers=18, width=4, input_size=32, num_ws=6, w_dim=8)
    encoder = PSPEncoder(module, draw(module, (32, 32, 3)))
    codes = encoder(x)
    assert codes.shape == (2, 6, 8)
    file = tmp_path / "encoder.safetensors"
    loaded = PSPEncoder.from_file(save(file, encoder, "psp.encoder"), where=file)
    np.testing.assert_array_equal(loaded.encode(x), codes)
    with pytest.raises(UserError, match=r"\[N, 32, 32, 3\]"):
        encoder(np.zeros((1, 16, 16, 3), np.float32))
