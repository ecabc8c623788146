import json

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.cli.pairs import pairs


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.safetensors"
    return str(save_tiny(path, *tiny_generator()))


def run(*words):
    return CliRunner().invoke(pairs, [str(w) for w in words])


def test_a_set_and_its_figures(model, tmp_path):
    words = [tmp_path / "x", "--base", model, "--blend", model, "--num", 3]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'x'}: 3 pairs, 3 drawn now\n"
    licence, note = done.stderr.splitlines()
    assert licence == "licence of g.safetensors: Apache-2.0"
    assert note.startswith("note: ")
    assert "are one model: the two pictures of every pair are the same" in done.stderr
    found = json.loads(run(*words, "--json").stdout)
    assert found["pairs"] == 3 and found["drawn"] == 0
    done = run(*words, "--curate", "--min-sharpness", 0)
    assert "3 pairs, 3 kept" in done.stdout
    assert "note: no score of LPIPS" in done.stderr


def test_a_direction(model, tmp_path):
    np.savez(tmp_path / "d.npz", unit=np.ones(8))
    words = ["--direction", tmp_path / "d.npz", "--strength", -2, "--layers", "0-3"]
    done = run(tmp_path / "x", "--base", model, *words, "--num", 2)
    assert done.exit_code == 0, done.output
    a, b = ((tmp_path / "x" / s / "00000000.png").read_bytes() for s in "AB")
    assert a != b


def test_a_curated_set_that_grows_says_what_is_judged(model, tmp_path):
    words = [tmp_path / "x", "--base", model, "--blend", model]
    done = run(*words, "--num", 3, "--curate", "--min-sharpness", 1)
    assert "3 pairs, " in done.stdout and "3 pairs, 3 kept" not in done.stdout
    done = run(*words, "--num", 4)
    assert "4 pairs, " in done.stdout and "kept" in done.stdout
    assert "note: the set was curated: pairs from 3 on are judged" in done.stderr


@pytest.mark.parametrize("strength", ["nan", "inf", "-inf", "1e39"])
def test_a_strength_that_is_no_number(model, tmp_path, strength):
    np.save(tmp_path / "d.npy", np.ones(8))
    words = ["--direction", tmp_path / "d.npy", "--strength", strength]
    done = run(tmp_path / "x", "--base", model, *words, "--num", 1)
    assert done.exit_code == 1 and "the strength is a number" in str(done.exception)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "either --blend MODEL or --direction FILE"),
        (["--blend", "m", "--direction", "d"], "either --blend MODEL"),
        (["--blend", "m", "--mix-layers", "0-3"], "or --mix-layers 8-17"),
        (["--blend", "m", "--strength", "1"], "go with --direction"),
        (["--mix-layers", "0-3", "--both"], "--both go with --direction"),
        (["--direction", "d"], "--strength 2"),
        (["--blend", "absent"], "there is no model absent"),
        (
            ["--direction", "absent", "--strength", "1"],
            "no direction 'absent'",
        ),
        (["--blend", "m", "--reader", "toy"], "go with --keep-confident"),
        (["--blend", "m", "--keep-confident", "0.9"], "--reader with a model"),
        (
            ["--blend", "m", "--keep-confident", "0.9", "--reader", "toy"],
            "--attribute smile",
        ),
        (["--mix-layers", "9"], "layers 0 to 5, got 9"),
    ],
)
def test_refusals(model, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    done = run("x", "--base", model, *words, "--num", "1")
    assert done.exit_code == 1 and sentence in str(done.exception)
    assert not list(tmp_path.iterdir())
