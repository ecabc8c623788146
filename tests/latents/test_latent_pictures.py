import jax
import numpy as np
import pytest
from lively_models import lively_generator

from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UserError
from stylegan_jax.latents.latent_pictures import LatentPictures, edit, parse_layers


@pytest.fixture(scope="module")
def model():
    return StyleGAN2Generator(*lively_generator())


def latents(model, number, psi=0.7):
    return LatentPictures(model).w_plus(
        model.latents(range(number)), truncation_psi=psi
    )


@pytest.mark.parametrize("noise_mode", ["const", "none"])
def test_pictures_are_those_of_the_seeds(model, noise_mode):
    got = LatentPictures(model, noise_mode=noise_mode).images(latents(model, 9))
    want = model.images(range(9), truncation_psi=0.7, noise_mode=noise_mode)
    # One program or two: roundings may differ.
    assert np.abs(got.astype(int) - want.astype(int)).max() <= 1
    assert (got == want).mean() > 0.99


def test_a_picture_does_not_depend_on_its_company(model, monkeypatch):
    pictures = LatentPictures(model)
    w_plus = latents(model, 70)
    whole = pictures.images(w_plus)
    assert whole.shape == (70, 16, 16, 3)
    np.testing.assert_array_equal(pictures.images(w_plus[69:]), whole[69:])
    parts = pictures.iter_images(w_plus[i : i + 3] for i in range(0, 70, 3))
    np.testing.assert_array_equal(np.concatenate(list(parts)), whole)
    np.testing.assert_array_equal(latents(model, 3), w_plus[:3])
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    np.testing.assert_array_equal(LatentPictures(model).images(w_plus), whole)


def test_labels(model):
    labelled = StyleGAN2Generator(*lively_generator(c_dim=3))
    z = labelled.latents([0])
    pictures = LatentPictures(labelled)
    one, two = (pictures.w_plus(z, label=i) for i in (0, 2))
    assert not np.allclose(one, two)
    for wrong in (None, 3):
        with pytest.raises(UserError, match="from 0 to 2"):
            pictures.w_plus(z, label=wrong)
    with pytest.raises(UserError, match="knows no labels"):
        LatentPictures(model).w_plus(model.latents([0]), label=0)


def test_refusals(model):
    with pytest.raises(UserError, match="choose from const, none"):
        LatentPictures(model, noise_mode="random")
    with pytest.raises(UserError, match=r"w_plus must be \[N, 6, 8\], got \[2, 5, 8\]"):
        LatentPictures(model).images(np.zeros((2, 5, 8)))
    with pytest.raises(UserError, match="z must be"):
        LatentPictures(model).w_plus(np.zeros((1, 9)))


@pytest.mark.parametrize(
    ("text", "layers"),
    [("0-2", [0, 1, 2]), ("5", [5]), ("4, 0-1,1", [0, 1, 4]), ("3-3", [3])],
)
def test_layers(text, layers):
    assert parse_layers(text, 6) == layers


@pytest.mark.parametrize("text", ["", "1-", "-1", "a", "2-1", "6", "0-6", "1" * 9])
def test_layers_that_are_none(text):
    with pytest.raises(UserError):
        parse_layers(text, 6)


def test_an_edit_moves_the_named_layers_alone():
    w_plus = np.zeros((2, 6, 8), np.float32)
    moved = edit(w_plus, np.arange(8), 2.0, [0, 5])
    np.testing.assert_array_equal(
        moved[:, [0, 5]], np.full((2, 2, 8), 2 * np.arange(8))
    )
    assert not moved[:, 1:5].any()
    each = edit(w_plus, np.arange(48).reshape(6, 8), 1.0)
    np.testing.assert_array_equal(each[1].ravel(), np.arange(48))
