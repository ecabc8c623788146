import jax
import numpy as np
import pytest

from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.checkpoints.model_file import read_model, save_model
from stylegan_jax.errors import UserError


@pytest.fixture(scope="module")
def encoder():
    module = FaceSpaceEncoder.MODULE(input_dim=3, features=(4,), num_ws=2, w_dim=5)
    example = [np.ones(x.shape, x.dtype) for x in FaceSpaceEncoder.example(module)]
    return FaceSpaceEncoder(module, module.init(jax.random.key(0), *example))


def test_a_file_gives_the_same_encoder_back(encoder, tmp_path):
    path = tmp_path / "e.safetensors"
    save_model(
        path,
        encoder.variables,
        family="facespace.encoder",
        config=encoder.config,
        provenance={},
        licence="none",
    )
    again = FaceSpaceEncoder.from_file(read_model(path), where=path)
    assert again.module == encoder.module
    np.testing.assert_array_equal(again(np.eye(3)), encoder(np.eye(3)))


def test_blends_become_latents(encoder):
    w_plus = encoder(np.array([[1, 0, 0], [0.5, 0.5, 0]]))
    assert w_plus.shape == (2, 2, 5) and w_plus.dtype == np.float32


@pytest.mark.parametrize(
    ("v", "sentence"),
    [
        (np.ones(3), r"v must be \[N, 3\], got \[3\]"),
        (np.ones((1, 4)), r"v must be \[N, 3\], got \[1, 4\]"),
        (np.ones((0, 3)), "v holds no rows"),
        ([[1, 0, 0], [0, 0, 0]], "a row of zeros"),
    ],
)
def test_refusals(encoder, v, sentence):
    with pytest.raises(UserError, match=sentence):
        encoder(v)
