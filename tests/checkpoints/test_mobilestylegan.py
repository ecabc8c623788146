import jax
import numpy as np
import pytest
from golden_case import FOLDER
from golden_draw import relative_error
from tiny_mobilestylegan import save_tiny_mobilestylegan, tiny_mobilestylegan
from tiny_models import save_tiny, tiny_discriminator

from stylegan_jax.checkpoints.load import load_generator
from stylegan_jax.checkpoints.mobilestylegan import MobileStyleGANGenerator
from stylegan_jax.checkpoints.weights import THERE, weights_path, weights_state
from stylegan_jax.errors import UserError
from stylegan_jax.latents.latent_pictures import LatentPictures

NAME = "mobilestylegan_ffhq"


@pytest.fixture(scope="module")
def model():
    return MobileStyleGANGenerator(*tiny_mobilestylegan())


def test_a_model_file_draws_the_same_pictures(model, tmp_path):
    loaded = load_generator(save_tiny_mobilestylegan(tmp_path / "m.safetensors"))
    assert isinstance(loaded, MobileStyleGANGenerator)
    assert loaded.metadata["licence"] == "a licence"
    assert loaded.config == model.config
    assert (loaded.num_ws, loaded.image_shape) == (8, (32, 32, 3))
    np.testing.assert_array_equal(loaded.images([3]), model.images([3]))


def test_only_generators_are_opened_as_such(tmp_path):
    path = save_tiny(tmp_path / "d.safetensors", *tiny_discriminator())
    with pytest.raises(UserError, match="no generator"):
        load_generator(path)


def test_seeds_and_latents_give_one_picture_whatever_the_company(model):
    pictures = model.images(range(5), truncation_psi=0.7)
    assert pictures.shape == (5, 32, 32, 3) and pictures.std() > 10
    np.testing.assert_array_equal(model.images([3], truncation_psi=0.7), pictures[3:4])
    drawer = LatentPictures(model)
    w_plus = drawer.w_plus(model.latents(range(5)), truncation_psi=0.7)
    np.testing.assert_array_equal(w_plus[:, 0], w_plus[:, -1])
    assert np.abs(drawer.images(w_plus).astype(int) - pictures).max() <= 1
    np.testing.assert_array_equal(drawer.images(w_plus[4:]), drawer.images(w_plus)[4:])


def test_options_reach_the_module(model):
    mean = np.asarray(model.variables["moving_stats"]["mapping"]["w_avg"])
    w_plus = model.mapping(model.latents([0]), None, 0.0, 3)
    np.testing.assert_allclose(w_plus[0, :3], np.stack([mean] * 3), atol=1e-6)
    assert not np.allclose(w_plus[0, 3], mean)
    silent = model.images([3], noise_mode="none")
    assert not np.array_equal(silent, model.images([3]))


def test_other_weights_share_what_is_compiled(model):
    other = model.replace(jax.tree.map(lambda leaf: leaf * 1.1, model.variables))
    assert isinstance(other, MobileStyleGANGenerator)
    assert not np.array_equal(other.images([0]), model.images([0]))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.images([0], noise_mode="random"), "choose the noise const or no"),
        (lambda m: m.synthesis(np.zeros((1, 8, 5)), "random"), "cannot be drawn anew"),
        (lambda m: m.images([0], noise_mode="loud"), "choose from const, none"),
        (lambda m: m.images([0], labels=1), "knows no labels"),
        (lambda m: m.synthesis(np.zeros((1, 7, 5))), r"w_plus must be \[N, 8, 5\]"),
    ],
)
def test_refusals(model, call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(model)


@pytest.mark.slow
def test_the_published_weights_draw_what_openvino_does():
    if weights_state(NAME) != THERE:
        pytest.skip(f"needs stylegan-jax weights get {NAME}")
    real = load_generator(weights_path(NAME))
    with np.load(FOLDER / "mobilestylegan_ffhq.npz") as golden:
        z, w = golden["z"], golden["w"]
        want = golden["image_first2_every4"].transpose(0, 2, 3, 1)
    found = real.mapping(z)
    assert relative_error(np.asarray(found[:, 0]), w) < 1e-4
    picture = real.synthesis(found[:1])
    assert relative_error(np.asarray(picture)[:, 2::4, 2::4], want[:1]) < 1e-4
    # The mean latent is no part of the files: that of 10 000 others is near it.
    mean = np.asarray(real.mapping(real.latents(range(2000)))[:, 0]).mean(0)
    own = real.variables["moving_stats"]["mapping"]["w_avg"]
    assert relative_error(np.asarray(own), mean) < 0.1
