import importlib.util

import numpy as np
import pytest
from lively_models import lively_generator
from PIL import Image

from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.pipelines.films import check_film, durations, write_film
from stylegan_jax.pipelines.latent_files import read_latents
from stylegan_jax.pipelines.mix import mix_grid
from stylegan_jax.pipelines.morph import morph

HAS_PYAV = importlib.util.find_spec("av") is not None


@pytest.fixture(scope="module")
def model():
    return StyleGAN2Generator(*lively_generator())


def gif_frames(path):
    """The frames and their milliseconds."""
    with Image.open(path) as image:
        frames, times = [], []
        for i in range(image.n_frames):
            image.seek(i)
            times.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGB")))
        return np.stack(frames), times, image.info.get("loop")


def ramp(number, height=24, width=32):
    """A film with a moving gradient."""
    x = np.arange(width)[None, :, None] * np.ones((height, 1, 3))
    return [
        np.clip(x * [2, 4, 6] + 3 * i, 0, 255).astype(np.uint8) for i in range(number)
    ]


def test_a_gif_has_its_frames_time_and_colours(tmp_path):
    frames = ramp(8)
    path = tmp_path / "m.gif"
    count = write_film(path, iter(frames), fps=30, loop=True, palette=np.stack(frames))
    got, times, loop = gif_frames(path)
    assert count == len(got) == 8 and loop == 0
    assert sum(times) == pytest.approx(8000 / 30, abs=10)
    assert np.abs(got.astype(int) - np.stack(frames).astype(int)).mean() < 6
    with Image.open(path) as image:
        # One palette for all: no frame brings colours of its own.
        assert all(tile[3] is not None for tile in image.tile)
    write_film(path, iter(frames), fps=30, loop=False, palette=np.stack(frames))
    assert gif_frames(path)[2] is None


@pytest.mark.parametrize("fps", [1, 24, 30, 50])
def test_hundredths_add_up(fps):
    times = durations(fps)
    assert sum(next(times) for _ in range(10 * fps)) == 10_000


def test_films_that_cannot_be(tmp_path, monkeypatch):
    for name, fps, sentence in (
        ("m.avi", 30, "ends in .gif or .mp4"),
        ("m.gif", 60, "from 1 to 50 frames"),
        ("m.gif", 0, "from 1 to 50 frames"),
    ):
        with pytest.raises(UsageError, match=sentence):
            check_film(tmp_path / name, fps)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtra, match=r"stylegan_jax\[video\]"):
        check_film("m.mp4", 30)


@pytest.mark.skipif(
    not HAS_PYAV, reason="needs PyAV: pip install 'stylegan_jax[video]'"
)
def test_an_mp4_has_its_frames(tmp_path):
    import av

    frames = ramp(12, 23, 33)  # odd sides
    path = tmp_path / "m.mp4"
    write_film(path, iter(frames), fps=24, loop=False, palette=np.stack(frames))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        got = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
        assert float(stream.average_rate) == 24
    assert len(got) == 12 and got[0].shape == (24, 34, 3)
    apart = np.abs(got[5][:23, :33].astype(int) - frames[5].astype(int)).mean()
    assert apart < 8


def test_a_film_passes_the_pictures_of_its_seeds(model, tmp_path):
    done = []
    found = morph(
        model,
        tmp_path / "m.gif",
        seeds=[1, 2, 3],
        frames_per=4,
        loop=True,
        progress=done.append,
    )
    assert found["frames"] == sum(done) == 12 and found["space"] == "w"
    got = gif_frames(tmp_path / "m.gif")[0]
    want = model.images([1, 2, 3]).astype(int)
    assert np.abs(got[::4].astype(int) - want).mean() < 12  # 256 colours


def test_spaces(model, tmp_path):
    films = {}
    for space in ("z", "w", "w_plus"):
        path = tmp_path / f"{space}.gif"
        morph(model, path, seeds=[1, 2], frames_per=4, space=space)
        films[space] = gif_frames(path)[0]
    np.testing.assert_array_equal(films["w"], films["w_plus"])
    assert np.abs(films["w"][2].astype(int) - films["z"][2]).mean() > 1


def test_latents_from_files(model, tmp_path):
    z = model.latents([1, 2])
    w_plus = np.asarray(model.mapping(z))
    for name, arrays in (
        ("z", {"z": z}),
        ("w", {"w": w_plus[:, 0]}),
        ("w_plus", {"w_plus": w_plus}),
        ("nvidia", {"w": w_plus}),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    assert read_latents(tmp_path / "nvidia.npz")[0] == "w_plus"
    morph(model, tmp_path / "seeds.gif", seeds=[1, 2], frames_per=3)
    want = (tmp_path / "seeds.gif").read_bytes()
    for name in ("z", "w", "w_plus", "nvidia"):
        out = tmp_path / f"{name}.gif"
        morph(model, out, latents=tmp_path / f"{name}.npz", frames_per=3)
        assert out.read_bytes() == want, name
    with pytest.raises(UsageError, match="in w_plus and cannot be moved in z"):
        morph(model, tmp_path / "m.gif", latents=tmp_path / "w_plus.npz", space="z")


def test_latents_that_do_not_fit(model, tmp_path):
    for name, arrays, sentence in (
        ("none", {"x": np.ones(3)}, "has no array w_plus, w, z .it has x"),
        ("flat", {"z": np.ones(8)}, "must have 2 axes"),
        ("wide", {"z": np.ones((2, 9))}, r"is \[N, 9\] and this model's is \[N, 8\]"),
        ("nan", {"w": np.full((2, 8), np.nan)}, "not finite"),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(UserError, match=sentence):
            morph(model, tmp_path / "m.gif", latents=tmp_path / f"{name}.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(UserError, match="is no .npz file") as caught:
        read_latents(tmp_path / "text.npz")
    assert "pickle" not in str(caught.value)
    with pytest.raises(UserError, match="there is no file"):
        read_latents(tmp_path / "absent.npz")
    with pytest.raises(UsageError, match="either seeds or a file"):
        morph(model, tmp_path / "m.gif")
    with pytest.raises(UsageError, match="is too long"):
        morph(model, tmp_path / "m.gif", seeds=[0, 1], frames_per=10**6)
    assert not list(tmp_path.glob("*.gif"))


def test_a_grid_has_its_sources_on_the_margins(model, tmp_path):
    found = mix_grid(model, "0-1", "4-6", "0-2", tmp_path / "g.png")
    assert found == {
        "out": str(tmp_path / "g.png"),
        "rows": 2,
        "columns": 3,
        "layers": [0, 1, 2],
    }
    with Image.open(tmp_path / "g.png") as image:
        grid = np.asarray(image)
    assert grid.shape == (3 * 16, 4 * 16, 3)
    cells = grid.reshape(3, 16, 4, 16, 3).transpose(0, 2, 1, 3, 4).astype(int)
    assert (cells[0, 0] == 255).all()
    for cell, seed in zip([*cells[0, 1:], *cells[1:, 0]], [4, 5, 6, 0, 1], strict=True):
        assert np.abs(cell - model.images([seed])[0]).max() <= 1
    w_plus = np.array(model.mapping(model.latents([1, 5])))
    w_plus[0, :3] = w_plus[1, :3]
    x = np.asarray(model.synthesis(w_plus[:1]))[0]
    want = np.clip(np.round(x * 127.5 + 127.5), 0, 255)
    assert np.abs(cells[2, 2] - want).max() <= 1


def test_the_corner_is_transparent_where_pictures_can_be(tmp_path):
    model = StyleGAN2Generator(*lively_generator(img_channels=4))
    mix_grid(model, "0", "1", "0", tmp_path / "g.png")
    with Image.open(tmp_path / "g.png") as image:
        assert image.mode == "RGBA" and not np.asarray(image)[:16, :16].any()


def test_mixing_all_layers_gives_the_columns(model, tmp_path):
    mix_grid(model, "0-1", "4", "0-5", tmp_path / "g.png")
    with Image.open(tmp_path / "g.png") as image:
        grid = np.asarray(image)
    top = grid[:16, 16:]
    np.testing.assert_array_equal(grid[16:32, 16:], top)
    np.testing.assert_array_equal(grid[32:, 16:], top)


def test_grids_that_cannot_be(model, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"ends in \.png"):
        mix_grid(model, "0", "1", "0", tmp_path / "folder")
    with pytest.raises(UserError, match="layers 0 to 5, got 6"):
        mix_grid(model, "0", "1", "0-6", tmp_path / "g.png")
    monkeypatch.setattr("stylegan_jax.pipelines.mix.MAX_GRID_PIXELS", 500)
    with pytest.raises(UserError, match="too large"):
        mix_grid(model, "0", "1", "0", tmp_path / "g.png")
