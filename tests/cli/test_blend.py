import json

import pytest
from click.testing import CliRunner
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.cli.blend import blend


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    module, variables = tiny_generator()
    near = {k: {**v} if k != "moving_stats" else v for k, v in variables.items()}
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
    ],
)
def test_refusals(models, words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*models, *words)
    assert done.exit_code == 1 and done.exception is not None
    assert sentence in str(done.exception)
    assert not list(tmp_path.iterdir())
