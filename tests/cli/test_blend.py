import json
import shutil

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.cli.blend import blend


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    module, variables = tiny_generator()
    near = jax.tree.map(lambda leaf: np.asarray(leaf) * np.float32(1.25), variables)
    return [
        str(save_tiny(folder / "base.safetensors", module, variables)),
        str(save_tiny(folder / "style.safetensors", module, near)),
    ]


def run(*words):
    return CliRunner().invoke(blend, [str(w) for w in words])


def test_the_whole_map_is_printed(models, tmp_path):
    out = tmp_path / "b.safetensors"
    done = run(*models, out, "--resolution", 8, "--width", 1)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    for name in ("conv0", "conv1", "torgb", "const"):
        assert any(name in line for line in lines)
    assert "mapping and w_avg: from BASE" in done.stdout
    assert lines[-1] == f"{out}: blended" and done.stderr == ""
    assert out.is_file()


def test_json_is_one_object(models, tmp_path):
    words = [*models, tmp_path / "b.safetensors", "--json", "--resolution", 16]
    done = run(*words, "--mapping", "style", "--parts", "conv,torgb")
    found = json.loads(done.stdout)
    rows = {row["name"]: row for row in found["map"]}
    assert rows["mapping"]["parts"] == {"mapping": [1.0]}
    assert rows["b16/conv1"]["parts"] == {"conv": [1], "affine": [0], "noise": [0]}
    assert rows["b8/conv1"]["parts"]["conv"] == [0]


def test_a_sheet_alone_and_with_a_file(models, tmp_path):
    words = ["--resolutions", "8", "--alphas", "1", "--seeds", "1", "--cell", 16]
    done = run(*models, "--grid", tmp_path / "g.png", *words)
    assert done.exit_code == 0, done.output
    assert "resolutions 8, alphas 1.0" in done.stdout
    done = run(
        *models, tmp_path / "b.safetensors", "--resolution", 16,
        "--grid", tmp_path / "h.png", *words, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["grid"]["resolutions"] == [8]
    assert (tmp_path / "g.png").read_bytes() == (tmp_path / "h.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing to write"),
        (["b.safetensors", "--resolution", "64"], "choose from 4, 8, 16"),
        (["b.safetensors", "--curve", "c.json"], "cannot read the curve c.json"),
        (["b.safetensors", "--resolution", "8", "--curve", "c"], "leave --resolution"),
        (["b.safetensors", "--with", "x"], "is no MODEL:SHARE_OR_CURVE"),
        (["--grid", "g.png", "--with", "x:1"], "leave --with out"),
        (["--grid", "g.png", "--alphas", "x"], "are no numbers apart by commas"),
        (["--grid", "g.png", "--seed", "1", "--seeds", "0-3"], "give one of them"),
        (["b.safetensors", "--parts", "mapping", "--mapping", "base"], "leave one of"),
        # OUT is not written either where the sheet is refused.
        (["b.safetensors", "--resolution", "8", "--grid", "g.jpg"], "ending in .png"),
        (
            ["b.safetensors", "--resolution", "8", "--grid", "g.png", "--alphas", "2"],
            "alpha is a number from 0 to 1",
        ),
        (
            ["b.safetensors", "--resolution", "8", "--grid", "g.png", "--alphas", "x"],
            "are no numbers apart",
        ),
        (
            ["b.safetensors", "--resolution", "8", "--grid", "g.png", "--seeds", "2-1"],
            "run backwards",
        ),
        (
            [
                "b.safetensors",
                "--resolution",
                "8",
                "--grid",
                "g.png",
                "--resolutions",
                "64",
            ],
            "choose from 4, 8, 16",
        ),
    ],  # fmt: skip
)
def test_refusals(models, words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*models, *words)
    assert done.exit_code == 1 and done.exception is not None
    assert sentence in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_model_blended_with_itself_is_noted(models, tmp_path):
    base, _ = models
    copy = tmp_path / "copy.safetensors"
    shutil.copy(base, copy)
    for style, said in ((base, "is blended with itself"), (copy, "the same bytes")):
        done = run(base, style, tmp_path / "b.safetensors", "--resolution", 8)
        assert done.exit_code == 0
        (note,) = done.stderr.splitlines()
        assert note.startswith("note: ") and said in note


def test_the_mapping_comes_with_its_part(models, tmp_path):
    words = [*models, tmp_path / "b.safetensors", "--resolution", 8]
    done = run(*words, "--parts", "conv,mapping")
    assert "mapping and w_avg: from STYLE" in done.stdout
    curve = tmp_path / "c.json"
    curve.write_text(json.dumps({"b4": 0, "b8": 0, "b16": 1, "mapping": 1}))
    words = [*models, tmp_path / "b.safetensors", "--curve", curve]
    assert "mapping and w_avg: from STYLE" in run(*words).stdout
    assert "take mapping out" in str(run(*words, "--mapping", "base").exception)
