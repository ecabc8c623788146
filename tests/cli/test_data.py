import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from stylegan_jax.cli.data import data
from stylegan_jax.cli.main import main
from stylegan_jax.data.sources import open_source


def run(capsys, *args):
    """Runs the real entry point; returns (exit code, stdout, stderr)."""
    with pytest.raises(SystemExit) as caught:
        main(["data", *args])
    said = capsys.readouterr()
    return caught.value.code or 0, said.out, said.err


@pytest.fixture
def toys(tmp_path, capsys):
    path = str(tmp_path / "toys")
    assert run(capsys, "toy", path, "--num", "6", "--size", "16")[0] == 0
    return path


@pytest.mark.parametrize("command", ["toy", "check", "prepare"])
def test_help_has_an_example(command):
    result = CliRunner().invoke(data, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: stylegan-jax data {command} " in " ".join(result.output.split())


def test_toy(tmp_path, capsys):
    path = str(tmp_path / "t")
    options = ("--style", "comic", "--num", "3", "--size", "16", "--seed", "4")
    code, out, _ = run(capsys, "toy", path, *options, "--json")
    facts = {"path": path, "style": "comic", "num": 3, "size": 16, "seed": 4}
    assert code == 0 and json.loads(out) == facts
    assert len(open_source(path)) == 3
    code, _, err = run(capsys, "toy", path, *options)
    assert code == 1 and "exists already" in err
    assert run(capsys, "toy", path, *options, "--overwrite")[0] == 0


def test_check_exit_codes(toys, capsys):
    code, out, err = run(capsys, "check", toys, "--resolution", "16", "--batch", "4")
    assert code == 0 and "Nothing to mend" in out and not err
    assert run(capsys, "check", toys, "--resolution", "8")[0] == 0
    code, out, _ = run(capsys, "check", toys, "--batch", "64", "--json")
    assert code == 1 and json.loads(out)["ok"] is False
    assert json.loads(out)["num_broken"] == 0
    code, _, err = run(capsys, "check", "")
    assert code == 1 and err.startswith("error: no path of pictures was given")
    Path(toys, "00000", "empty.png").write_bytes(b"")
    code, out, _ = run(capsys, "check", toys)
    assert code == 1 and "00000/empty.png: empty file (0 bytes)" in out
    code, _, err = run(capsys, "check", "/nowhere/at/all")
    assert code == 1 and err == (
        "error: /nowhere/at/all does not exist: check the path of the pictures.\n"
    )


@pytest.mark.parametrize("fmt", ["zip", "arrayrecord", "folder"])
def test_prepare(toys, tmp_path, capsys, fmt):
    dst = str(tmp_path / f"out.{fmt}") if fmt != "folder" else str(tmp_path / "out")
    code, out, _ = run(capsys, "prepare", toys, dst, "--size", "8", "--format", fmt)
    assert code == 0
    assert out == f"{dst}: 6 pictures of 8x8, 6 with labels, 0 left out\n"
    assert len(open_source(dst)) == 6


def test_sizes_are_told_as_options_take_them(toys, tmp_path, capsys):
    dst = str(tmp_path / "out.zip")
    _, out, _ = run(capsys, "prepare", toys, dst, "--size", "8x12")
    assert "6 pictures of 8x12," in out
    assert "sizes (height x width) 8x12 (6)" in run(capsys, "check", dst)[1]


def test_prepare_lists_what_it_leaves_out_and_upscales(toys, tmp_path, capsys):
    Path(toys, "00000", "bad.png").write_bytes(b"")
    dst = str(tmp_path / "out.zip")
    code, _, err = run(capsys, "prepare", toys, dst, "--size", "32x24")
    assert code == 1 and "00000/bad.png: empty file (0 bytes)" in err
    args = ("prepare", toys, dst, "--size", "32x24", "--skip-broken", "--json")
    code, out, err = run(capsys, *args)
    assert code == 0 and json.loads(out)["shape"] == [32, 24, 3]
    assert "left out 00000/bad.png: empty file (0 bytes)" in err
    assert "6 of 6 pictures were smaller" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["prepare", "a", "b.zip"], "Missing option '--size'"),
        (["prepare", "a", "b.zip", "--size", "big"], "neither a side (256) nor"),
        (["prepare", "a", "b.zip", "--size", "0"], "sides go from 1 to 8192"),
        (["prepare", "a", "b", "--size", "8"], "needs a name in .zip"),
        (["toy", "t", "--style", "oil"], "'oil' is not one of"),
        (["check", "a", "--batch", "0"], "--batch"),
    ],
)
def test_wrong_usage_exits_with_2(capsys, args, said):
    code, _, err = run(capsys, *args)
    assert code == 2 and said in err
