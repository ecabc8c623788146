import json

import pytest
from click.testing import CliRunner
from tiny_students import save_student

from stylegan_jax.cli.export import export


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return save_student(tmp_path_factory.mktemp("export") / "net.safetensors")


def test_what_is_said_and_its_json(file, tmp_path):
    out = tmp_path / "net.stablehlo"
    words = [str(file), str(out), "--format", "stablehlo"]
    done = CliRunner().invoke(export, words)
    assert done.exit_code == 0, done.output
    assert "in   image [1, 16, 16, 3] float32: pictures from -1 to 1" in done.stdout
    assert f"{out}.json describes it" in done.stdout
    done = CliRunner().invoke(export, [*words, "--json"])
    assert json.loads(done.stdout)["bytes"] == out.stat().st_size


def test_refusals(file, tmp_path):
    words = [str(file), str(tmp_path / "x"), "--format", "onnx", "--batch", "many"]
    done = CliRunner().invoke(export, words)
    assert str(done.exception) == (
        "a batch is a number such as 1, or dynamic, got 'many'."
    )


def test_help_has_an_example():
    assert "Example" in CliRunner().invoke(export, ["--help"]).stdout
