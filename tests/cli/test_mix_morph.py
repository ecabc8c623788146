import json

import pytest
from click.testing import CliRunner
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.cli.mix import mix
from stylegan_jax.cli.morph import morph


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.safetensors"
    return str(save_tiny(path, *tiny_generator()))


def run(command, *words):
    return CliRunner().invoke(command, [str(w) for w in words])


def test_mix(model, tmp_path):
    words = [model, "--rows", "0-1", "--cols", "4-5", "--layers", "0-2"]
    done = run(mix, *words, "--out", tmp_path / "g.png")
    assert done.exit_code == 0, done.output
    assert "2 rows by 2 columns, layers 0-2" in done.stdout
    assert done.stderr == "licence of g.safetensors: Apache-2.0\n"
    done = run(mix, *words, "--out", tmp_path / "h.png", "--json")
    assert json.loads(done.stdout)["layers"] == [0, 1, 2]


def test_morph(model, tmp_path):
    words = [model, "--seeds", "1,2", "--frames-per", 2, "--fps", 10]
    done = run(morph, *words, "--out", tmp_path / "m.gif")
    assert done.exit_code == 0, done.output
    assert "3 frames, 0.3 s, moved in w" in done.stdout
    assert done.stderr == "licence of g.safetensors: Apache-2.0\n"
    words += ["--loop", "--space", "z", "--easing", "linear", "--json"]
    done = run(morph, *words, "--out", tmp_path / "m.gif")
    assert json.loads(done.stdout)["frames"] == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "m.gif"], "either --seeds 1,2,3 or --latents"),
        (["--seeds", "1", "--out", "m.gif"], "at least two latents"),
        (["--seeds", "1,2", "--out", "m.webm"], "ends in .gif or .mp4"),
        (["--seeds", "2-1", "--out", "m.gif"], "run backwards"),
    ],
)
def test_films_that_cannot_be(model, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    done = run(morph, model, *words)
    assert done.exit_code == 1 and sentence in str(done.exception)
    assert not list(tmp_path.iterdir())
