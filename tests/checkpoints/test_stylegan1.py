import jax
import numpy as np
import pytest

from stylegan_jax.checkpoints.model_file import read_model, save_model
from stylegan_jax.checkpoints.stylegan1 import (
    StyleGAN1Discriminator,
    StyleGAN1Generator,
)
from stylegan_jax.errors import UserError

TINY = {
    "num_blocks": 2,
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 2,
    "mapping_features": 8,
    "channel_base": 32,
    "channel_max": 8,
}


def _made(kind, **config):
    module = kind.MODULE(**config)
    example = [np.zeros(x.shape, x.dtype) for x in kind.example(module)]
    return kind(module, jax.jit(module.init)(jax.random.key(0), *example))


@pytest.fixture(scope="module")
def generator():
    return _made(StyleGAN1Generator, **TINY)


@pytest.fixture(scope="module")
def discriminator():
    return _made(StyleGAN1Discriminator, num_blocks=2, channel_base=32, channel_max=8)


def test_files_give_the_same_networks_back(generator, discriminator, tmp_path):
    for network, part in ((generator, "generator"), (discriminator, "discriminator")):
        path = tmp_path / f"{part}.safetensors"
        save_model(
            path,
            network.variables,
            family=f"stylegan1.{part}",
            config=network.config,
            provenance={},
            licence="none",
        )
        again = type(network).from_file(read_model(path), where=path)
        assert again.module == network.module
        same = jax.tree.map(
            lambda a, b: bool((a == b).all()), network.variables, again.variables
        )
        assert all(jax.tree.leaves(same))


def test_pictures_of_seeds(generator):
    pictures = generator.images([3, 5])
    assert pictures.shape == (2, 8, 8, 3) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(generator.images([5])[0], pictures[1])
    w_plus = generator.mapping(generator.latents([3]))
    assert w_plus.shape == (1, generator.num_ws, 8) == (1, 4, 8)
    x = np.asarray(generator.synthesis(w_plus)[0])
    drawn = np.clip(np.round(x * 127.5 + 127.5), 0, 255)
    assert np.abs(pictures[0] - drawn).max() <= 1


def test_replaced_weights_are_used_and_the_class_stays(generator):
    other = generator.replace(
        jax.tree.map(lambda leaf: leaf * 1.5, generator.variables)
    )
    assert type(other) is StyleGAN1Generator
    assert not np.array_equal(other.images([0]), generator.images([0]))


def test_there_are_no_labels(generator):
    with pytest.raises(UserError, match="knows no labels"):
        generator.images([0], labels=1)


def test_the_discriminator_scores_pictures(discriminator):
    assert discriminator(np.zeros((4, 8, 8, 3), np.float32)).shape == (4,)
    with pytest.raises(UserError, match=r"x must be \[N, 8, 8, 3\]"):
        discriminator(np.zeros((4, 8, 8, 1), np.float32))
    with pytest.raises(UserError, match="groups of 4 pictures, got 6"):
        discriminator(np.zeros((6, 8, 8, 3), np.float32))
