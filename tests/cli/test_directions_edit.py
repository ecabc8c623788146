import json

import numpy as np
import pytest
from click.testing import CliRunner
from lively_models import lively_generator
from tiny_models import save_tiny

from stylegan_jax.cli.directions import directions
from stylegan_jax.cli.edit import edit


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.safetensors"
    return save_tiny(path, *lively_generator())


def run(command, *words):
    return CliRunner().invoke(command, [str(word) for word in words])


def test_from_labels_to_a_sheet(model, tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, 60)
    rows = "\n".join(f"{seed},{value}" for seed, value in enumerate(labels))
    (tmp_path / "t.csv").write_text(f"seed,hat\n{rows}\n")
    folder = model.parent / "directions"
    words = [model, folder / "hat.npz", "--attribute", "hat"]
    done = run(directions, "fit", *words, "--labels", tmp_path / "t.csv")
    assert done.exit_code == 0, done.output
    for sentence in ("hat from 60 of 60", "held-out accuracy", "one step is"):
        assert sentence in done.stdout
    done = run(directions, "fit", *words, "--labels", tmp_path / "t.csv", "--json")
    assert 0 < json.loads(done.stdout)["accuracy"] < 1
    words = [model, "0-1", "--direction", "hat", "--strengths", "-3:3:3"]
    done = run(edit, *words, "--out", tmp_path / "s.png")
    assert done.exit_code == 0, done.output
    assert "2 faces" in done.stdout and (tmp_path / "s.png").exists()
    done = run(edit, *words, "--out", tmp_path / "s", "--layers", "0-2", "--json")
    assert json.loads(done.stdout)["layers"] == [0, 1, 2]
    words = [model, "0", "--like", "1", "--direction", "hat", "--share", "0.5"]
    done = run(edit, *words, "--out", tmp_path / "l.png")
    assert done.exit_code == 0, done.output


def test_directions_without_labels(model, tmp_path):
    few = ["--num", 2, "--draws", 20]
    done = run(directions, "sefa", model, tmp_path / "d", "--layers", "0-2", *few)
    assert done.exit_code == 0, done.output
    assert "sefa-01.npz" in done.stdout and "layers 0-2" in done.stdout
    done = run(directions, "pca", model, tmp_path / "d", *few, "--json")
    found = json.loads(done.stdout)["directions"]
    assert len(found) == 2 and found[0]["accuracy"] is None
    a, b = tmp_path / "d" / "pca-00.npz", tmp_path / "d" / "sefa-00.npz"
    done = run(directions, "condition", a, "--on", f"{b}", tmp_path / "c.npz")
    assert done.exit_code == 0 and "of the length is left" in done.stdout
    np.save(tmp_path / "smile.npy", np.ones((18, 8)))
    done = run(directions, "import", tmp_path / "smile.npy", tmp_path / "d")
    assert done.exit_code == 0, done.output
    done = run(directions, "show", tmp_path / "d", tmp_path / "c.npz")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert len(lines) == 7 and "conditioned" in lines[-1]
    assert any("smile.npz" in line and "import" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "either --strengths"),
        (["--strengths", "1", "--like", "2"], "either --strengths"),
        (["--strengths", "1", "--share", "0.5"], "--share is of the way"),
        (["--strengths", "one"], "are no numbers"),
    ],
)
def test_wrong_usage(model, tmp_path, words, sentence):
    done = run(edit, model, "0", "--direction", "x", "--out", tmp_path / "a", *words)
    assert done.exit_code == 1 and sentence in str(done.exception)
