"""The commands that take a generator, with a MobileStyleGAN."""

import numpy as np
import pytest
from PIL import Image
from tiny_mobilestylegan import save_tiny_mobilestylegan

from stylegan_jax.checkpoints.load import load_generator
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.blend import Recipe, blend_models
from stylegan_jax.pipelines.generate import generate
from stylegan_jax.pipelines.mix import mix_grid
from stylegan_jax.pipelines.pair_sides import Direction, Sides


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return save_tiny_mobilestylegan(tmp_path_factory.mktemp("m") / "m.safetensors")


def test_a_grid_of_seeds_and_one_of_mixtures(file, tmp_path):
    model = load_generator(file)
    generate(model, [0, 1], tmp_path / "g.png", columns=2)
    mix_grid(model, "0", "1", "0-2", tmp_path / "m.png")
    seeds = np.asarray(Image.open(tmp_path / "g.png"))
    mixed = np.asarray(Image.open(tmp_path / "m.png"))
    assert seeds.shape == (32, 64, 3) and mixed.shape == (64, 64, 3)
    # Column 1's head is above, row 0's side is left; both were drawn from seeds.
    assert np.abs(mixed[:32, 32:].astype(int) - seeds[:, 32:]).max() <= 1
    assert np.abs(mixed[32:, :32].astype(int) - seeds[:, :32]).max() <= 1
    with pytest.raises(UserError, match="choose the noise const or none"):
        generate(model, [0], tmp_path / "x", noise_mode="random")


def test_pairs_of_an_edit(file, tmp_path):
    np.save(tmp_path / "d.npy", np.eye(5, dtype=np.float32)[0])
    sides = Sides(
        file,
        Direction(tmp_path / "d.npy", 2.0, "0-3"),
        truncation_psi=0.7,
        noise_mode="const",
        label=None,
    )
    w, own, pictures = sides.draw([4, 5])
    (first, second), *_ = pictures
    assert w.shape == (2, 5) and own is None
    assert first.shape == second.shape == (2, 32, 32, 3)
    assert not np.array_equal(first, second)
    assert sides.document["a"]["licence"] == "a licence"


def test_it_does_not_blend(file, tmp_path):
    with pytest.raises(UserError, match="is a mobilestylegan.*stylegan2.generator"):
        blend_models(file, file, tmp_path / "b.safetensors", recipe=Recipe(8))
