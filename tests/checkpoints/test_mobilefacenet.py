import jax
import numpy as np
import pytest
from golden_case import FOLDER
from golden_draw import relative_error
from onnx_files import TINY

import stylegan_jax
from stylegan_jax.checkpoints.mobilefacenet import MobileFaceNetFeatures
from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.checkpoints.weights import THERE, weights_path, weights_state
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.mobilefacenet import MobileFaceNet, crop_aligned
from tests.models.psp.tiny_psp import draw

NAME = "arcface_mobilefacenet"


@pytest.fixture(scope="module")
def network():
    module = MobileFaceNet(**TINY)
    return MobileFaceNetFeatures(module, draw(module, (16, 16, 3)))


def pictures(side):
    shape = (2, side, side, 3)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def test_a_model_file_gives_the_same_embedding(network, tmp_path):
    file = tmp_path / "face.safetensors"
    save_model(
        file,
        network.variables,
        family="features.mobilefacenet",
        config=config_of(network.module),
        provenance={},
        licence="a licence",
    )
    loaded = stylegan_jax.load(file)
    assert isinstance(loaded, MobileFaceNetFeatures)
    assert loaded.config == network.config
    x = pictures(16)
    np.testing.assert_array_equal(loaded(x)["embedding"], network(x)["embedding"])


def test_aligned_pictures_are_cut_out_first(network):
    x = pictures(64)
    cut = jax.jit(lambda x: crop_aligned(x, 16))(x)
    found = network.aligned(x)["embedding"]
    np.testing.assert_allclose(found, network(cut)["embedding"], atol=1e-4)
    inside = jax.jit(lambda v, x: network.embed_aligned(v, x))(network.variables, x)
    np.testing.assert_array_equal(inside, found)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((1, 16, 16, 3), np.uint8), "floats"),
        (np.zeros((1, 32, 32, 3), np.float32), r"\[N, 16, 16, 3\]"),
        (np.zeros((0, 16, 16, 3), np.float32), "at least one"),
    ],
    ids=["integers", "size", "none"],
)
def test_other_inputs_are_refused(network, x, words):
    with pytest.raises(UserError, match=words):
        network(x)


def test_the_published_weights_embed_as_onnxruntime_does():
    if weights_state(NAME) != THERE:
        pytest.skip(f"needs stylegan-jax weights get {NAME}")
    real = stylegan_jax.load(weights_path(NAME))
    x = np.random.default_rng(1).uniform(-1, 1, (2, 112, 112, 3)).astype(np.float32)
    with np.load(FOLDER / "mobilefacenet_real.npz") as golden:
        want = golden["output"]
    want = want / np.linalg.norm(want, axis=1, keepdims=True)
    assert relative_error(real(x)["embedding"], want) < 1e-5
