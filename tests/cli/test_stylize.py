import json

import numpy as np
import pytest
from click.testing import CliRunner

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.cli.eval import evaluate
from stylegan_jax.cli.main import main
from stylegan_jax.cli.stylize import stylize
from stylegan_jax.pipelines.folder_pairs import Options, pair_folders
from tests.models.psp.tiny_psp import tiny_psp


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run's folder with a pSp, square pictures and one that is not."""
    root = tmp_path_factory.mktemp("stylize")
    module, variables = tiny_psp()
    save_model(
        root / "run" / "models" / "psp-000012.safetensors",
        variables,
        family="psp",
        config=config_of(module),
        provenance={},
        licence="MIT",
    )
    rng = np.random.default_rng(0)
    for i in range(2):
        picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
        save_png(root / "src" / f"{i}.png", picture)
        save_png(root / "other" / f"{i}.png", 255 - picture)
    save_png(root / "mixed" / "good.png", picture)
    save_png(root / "mixed" / "wide.png", picture[:8])
    pair_folders(root / "src", root / "other", root / "pairs", Options(resolution=16))
    return root


def run(command, *words):
    return CliRunner().invoke(command, [str(w) for w in words])


def exit_code(*words):
    with pytest.raises(SystemExit) as caught:
        main([str(w) for w in words])
    return caught.value.code


def test_a_runs_model_is_used_and_told(root, tmp_path):
    done = run(stylize, root / "run", root / "src", tmp_path / "out", "--batch", 1)
    assert done.exit_code == 0, done.output
    file = root / "run" / "models" / "psp-000012.safetensors"
    assert done.stdout == (
        f"{tmp_path / 'out'}: 2 of 2 pictures (0 were there already), 0 refused, drawn "
        f"by {file}\n"
    )
    assert not [x for x in done.stderr.splitlines() if "licence" not in x]  # no bar
    options = "--json --couple --psi .5 --noise none --factors 1,2 --num 1 --save-w"
    done = run(
        stylize, root / "run", root / "src", tmp_path / "b", *options.split(), "--sheet"
    )
    found = json.loads(done.stdout)
    assert (found["pictures"], found["stylized"], found["failed"]) == (1, 1, {})
    assert found["latents"] and found["sheet"]


def test_refused_pictures_are_listed_and_the_rest_is_done(root, tmp_path, capsys):
    out = tmp_path / "out"
    assert exit_code("stylize", root / "run", root / "mixed", out) == 1
    said = capsys.readouterr()
    assert "refused (1):\n  wide.png: is 8x16 and not square" in said.err
    assert "1 of 2 pictures" in said.out and (out / "good.png").is_file()


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--factors", "1,x"], 2, "whole numbers such as 1,4,16"),
        (["--mix-seeds", "1"], 2, "say which layers"),
        (["--psi", "nan"], 2, "psi is a number"),
        (["--mix-layers", "9", "--mix-seeds", "1"], 1, "has the layers 0 to 5"),
        (["--num", "0"], 2, "--num"),
    ],
)
def test_refusals(root, tmp_path, capsys, options, code, sentence):
    words = ["stylize", root / "run", root / "src", tmp_path / "out", *options]
    assert exit_code(*words) == code
    said = capsys.readouterr()
    assert sentence in said.err and said.out == ""
    assert not (tmp_path / "out").exists()


def test_eval_measures_it_on_pairs(root, tmp_path):
    words = [root / "run", "--data", root / "pairs"]
    done = run(evaluate, *words, "--json", "--per-pair", tmp_path / "p.csv")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert found["num"] == len(lines) - 1 == 2
    done = run(evaluate, *words, "--held-out", 0.5, "--metrics", "l2")
    assert "on 1 pairs, the 0.5 held out, at 16x16" in done.stdout
    assert "l2_ratio" in done.stdout
