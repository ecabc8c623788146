import numpy as np
import pytest
from PIL import Image
from tiny_models import tiny_generator

from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines import generate as library
from stylegan_jax.pipelines.generate import generate, parse_seeds


@pytest.fixture(scope="module")
def model():
    return StyleGAN2Generator(*tiny_generator())


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("7", [7]),
        ("0-1,40, 3", [0, 1, 40, 3]),
        ("5-5", [5]),
        ("4294967295", [2**32 - 1]),
    ],
)
def test_seeds_are_ranges_with_both_ends(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no number or range"),
        ("1-", "'1-' in the seeds '1-' is no number"),
        ("-3", "is no number or range"),
        ("1,,2", "is no number or range"),
        ("a", "is no number or range"),
        ("²", "is no number or range"),
        ("3-1", "run backwards"),
        ("4294967296", "go up to 4294967295"),
        ("9" * 10_000, "go up to 4294967295"),
        ("0-4000000000", "more than 1000000"),
    ],
)
def test_other_seeds_are_refused(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_seeds(text)


def test_a_folder_gets_a_file_per_seed(model, tmp_path):
    done = []
    paths = generate(model, [3, 12345], tmp_path / "new" / "x", progress=done.append)
    assert [p.name for p in paths] == ["seed0003.png", "seed12345.png"]
    assert sum(done) == 2
    assert sorted(tmp_path.glob("new/x/*")) == sorted(paths)
    with Image.open(paths[1]) as image:
        np.testing.assert_array_equal(np.asarray(image), model.images([12345])[0])


def test_a_png_gets_one_grid(model, tmp_path):
    (path,) = generate(model, [1, 2, 3], tmp_path / "g.PNG", columns=3)
    with Image.open(path) as image:
        got = np.asarray(image)
    np.testing.assert_array_equal(got, np.concatenate(model.images([1, 2, 3]), axis=1))


def test_refusals(model, tmp_path, monkeypatch):
    (tmp_path / "d.png").mkdir()
    (tmp_path / "file").touch()
    for name, sentence in (
        ("d.png", "is a folder"),
        ("file", "give a folder"),
        ("a.jpg", "ending in .png"),
    ):
        with pytest.raises(UsageError, match=sentence):
            generate(model, [0], tmp_path / name)
    monkeypatch.setattr(library, "MAX_GRID_PIXELS", 300)
    with pytest.raises(UserError, match="too large"):
        generate(model, [0, 1], tmp_path / "g.png")
    five = StyleGAN2Generator(*tiny_generator(img_channels=5))
    with pytest.raises(UserError, match="draws 5 channels"):
        generate(five, [0], tmp_path / "x")
