import jax
import numpy as np
import pytest
from lively_models import lively_generator
from PIL import Image
from tiny_facespace import facespace_generator, tiny_encoder, tiny_facespace
from tiny_models import save_tiny, tiny_discriminator

from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.load import load
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.maps import lay_out
from stylegan_jax.pipelines.latent_map import Options, map_latents


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    save_tiny(folder / "g.safetensors", *lively_generator())
    tiny_facespace().save(folder / "space.safetensors")
    w_plus = np.random.default_rng(0).standard_normal((5, 6, 8)).astype(np.float32)
    names = np.array(["a.png", "b.png", "c.png", "d.png", "e.png"])
    np.savez(folder / "w.npz", w_plus=w_plus, names=names)
    np.savez(folder / "z.npz", z=w_plus[:, 0])
    return folder


def test_a_space_has_codes_and_w_plus_side_by_side(folder, tmp_path):
    space = tiny_facespace()
    found = map_latents(folder / "space.safetensors", tmp_path / "m.png")
    assert found["names"] == ["1 a", "2 b", "3 c"]
    codes, w_plus = found["panels"]
    assert (codes["title"], w_plus["title"]) == ("codes", "W+")
    latents = np.asarray(space.w_plus(space.codes)).reshape(3, -1)
    want = lay_out(latents, "pca")
    np.testing.assert_array_equal(w_plus["points"], want.points)
    assert w_plus["figures"] == want.figures
    with Image.open(tmp_path / "m.png") as image:
        assert image.width > 2 * 640


def test_a_space_of_w_and_one_without_photos(tmp_path):
    encoder = tiny_encoder(3, 1, 8)
    FaceSpaceModel.join(encoder, facespace_generator()).save(tmp_path / "s.safetensors")
    drawn = []
    found = map_latents(
        tmp_path / "s.safetensors", tmp_path / "m.png", progress=drawn.append
    )
    assert [panel["title"] for panel in found["panels"]] == ["codes", "W"]
    assert sum(drawn) == 3


def test_a_generator_has_z_and_w(folder, tmp_path, monkeypatch):
    options = Options("random", seed=3, num=9, truncation_psi=0.7)
    found = map_latents(folder / "g.safetensors", tmp_path / "m.png", options)
    model = load(folder / "g.safetensors")
    z = model.latents(range(9))
    w = np.asarray(model.mapping(z, truncation_psi=0.7))[:, 0]
    for panel, points in zip(found["panels"], (z, w), strict=True):
        want = lay_out(points, "random", seed=3).points
        np.testing.assert_allclose(panel["points"], want, atol=1e-4)
    assert found["names"] == [str(i) for i in range(9)]
    # The picture does not depend on the number of devices.
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    map_latents(folder / "g.safetensors", tmp_path / "one.png", options)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "m.png").read_bytes()


def test_a_file_may_be_drawn_by_a_model(folder, tmp_path):
    plain = map_latents(folder / "w.npz", tmp_path / "m.png")
    assert plain["names"][0] == "0 a" and plain["panels"][0]["title"] == "W+"
    drawn = []
    options = Options(model=folder / "g.safetensors")
    again = map_latents(
        folder / "w.npz", tmp_path / "n.png", options, progress=drawn.append
    )
    assert sum(drawn) == 5 and again["panels"] == plain["panels"]
    assert (tmp_path / "m.png").read_bytes() != (tmp_path / "n.png").read_bytes()
    bare = map_latents(folder / "z.npz", tmp_path / "m.png")
    assert bare["names"] == ["0", "1", "2", "3", "4"]
    assert bare["panels"][0]["title"] == "z"


def test_refusals(folder, tmp_path):
    save_tiny(tmp_path / "d.safetensors", *tiny_discriminator())
    with pytest.raises(UserError, match="is a stylegan2.discriminator: give a face"):
        map_latents(tmp_path / "d.safetensors", tmp_path / "m.png")
    with pytest.raises(UsageError, match="ends in .png"):
        map_latents(folder / "w.npz", tmp_path / "m.jpg")
    for num in (1, 801):
        with pytest.raises(UsageError, match=f"2 to 800 seeds, got --num {num}"):
            options = Options(num=num)
            map_latents(folder / "g.safetensors", tmp_path / "m.png", options)
    np.savez(tmp_path / "many.npz", w=np.zeros((801, 8)))
    with pytest.raises(UserError, match="801 points are too many"):
        map_latents(tmp_path / "many.npz", tmp_path / "m.png")
    with pytest.raises(UserError, match="this model's is"):
        np.savez(tmp_path / "wide.npz", w=np.zeros((3, 9)))
        options = Options(model=folder / "g.safetensors")
        map_latents(tmp_path / "wide.npz", tmp_path / "m.png", options)
    assert not (tmp_path / "m.png").exists()
