import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.cli.eval import evaluate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("eval")
    save_tiny(root / "g.safetensors", *tiny_generator())
    rng = np.random.default_rng(0)
    for i in range(6):
        picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
        save_png(root / "data" / f"{i}.png", picture)
    return root


def test_json_and_table_agree(folder):
    words = [str(folder / "g.safetensors"), "--data", str(folder / "data")]
    done = CliRunner().invoke(evaluate, [*words, "--num", "4", "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["num_real"] == 4
    done = CliRunner().invoke(evaluate, [*words, "--num", "4"])
    assert f"{result['metrics']['swd/mean']:.3f}" in done.stdout
    assert "on 4 real and 4 drawn pictures" in done.stdout
    assert f"drawn by {folder / 'g.safetensors'}\n" in done.stdout


def test_broken_pictures_are_left_out_when_asked(folder, tmp_path):
    shutil.copytree(folder / "data", tmp_path / "data")
    (tmp_path / "data" / "bad.png").write_bytes(b"")
    words = [str(folder / "g.safetensors"), "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(evaluate, words)
    assert "bad.png" in str(done.exception) and "--skip-broken" in str(done.exception)
    done = CliRunner().invoke(evaluate, [*words, "--skip-broken", "--json"])
    assert json.loads(done.stdout)["num_real"] == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metrics", ""], "no metric was named: choose from swd."),
        (["--metrics", "fid"], "unknown metrics 'fid': choose from swd."),
        (["--psi", "nan"], "truncation_psi is a number such as 0.7, got nan."),
    ],
)
def test_refusals(folder, options, said):
    words = [str(folder / "g.safetensors"), "--data", str(folder / "data")]
    done = CliRunner().invoke(evaluate, [*words, *options])
    assert str(done.exception) == said


def test_help_has_an_example():
    assert "Example" in CliRunner().invoke(evaluate, ["--help"]).stdout
