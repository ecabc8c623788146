import jax
import numpy as np
import pytest

from stylegan_jax.checkpoints.irse import IRSEFeatures
from stylegan_jax.checkpoints.model_file import read_model, save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.irse import IRSE, crop_aligned
from tests.models.psp.tiny_psp import draw


@pytest.fixture(scope="module")
def network():
    module = IRSE(num_layers=18, width=4, input_size=32, embedding_dim=6)
    return IRSEFeatures(module, draw(module, (32, 32, 3)))


def test_a_model_file_gives_the_same_embedding(network, tmp_path):
    file = tmp_path / "face.safetensors"
    save_model(
        file,
        network.variables,
        family="features.irse",
        config=config_of(network.module),
        provenance={},
        licence="MIT",
    )
    loaded = IRSEFeatures.from_file(read_model(file), where=file)
    assert loaded.config == network.config
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x)["embedding"], network(x)["embedding"])


def test_aligned_pictures_are_cut_out_first(network):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    cut = jax.jit(lambda x: crop_aligned(x, 32))(x)
    np.testing.assert_allclose(
        network.aligned(x)["embedding"], network(cut)["embedding"], atol=1e-4
    )


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((1, 32, 32, 3), np.uint8), "floats"),
        (np.zeros((1, 64, 64, 3), np.float32), r"\[N, 32, 32, 3\]"),
        (np.zeros((1, 32, 32, 1), np.float32), r"\[N, 32, 32, 3\]"),
        (np.zeros((0, 32, 32, 3), np.float32), "at least one"),
        (np.zeros((32, 32, 3), np.float32), "N, H, W, C"),
    ],
    ids=["integers", "size", "grey", "none", "rank"],
)
def test_other_inputs_are_refused(network, x, words):
    with pytest.raises(UserError, match=words):
        network(x)
