import json
import subprocess
import sys

import numpy as np
import pytest
from torch_files import Call, write_torch_zip

from stylegan_jax.cli.main import main


def run(*args):
    with pytest.raises(SystemExit) as exit_:
        main([str(arg) for arg in args])
    return exit_.value.code


def test_a_pickle_becomes_a_generator_that_draws(tmp_path, golden_dir, capsys):
    out = tmp_path / "g.safetensors"
    assert run("convert", golden_dir / "tf_tiny.pkl", out) == 0
    text = capsys.readouterr().out
    assert "g_ema: stylegan2.generator" in text and "wrote" in text
    assert "licence: not stated in the file; NVIDIA's" in text
    assert run("generate", out, "--seeds", "0-3", "--out", tmp_path / "grid.png") == 0
    assert (tmp_path / "grid.png").stat().st_size > 1000


def test_json_names_files_parts_and_parity(tmp_path, golden_dir, capsys):
    args = (golden_dir / "nvada_tiny.pkl", tmp_path / "m", "--verify", "--json")
    assert run("convert", *args) == 0
    document = json.loads(capsys.readouterr().out)
    assert [part["name"] for part in document["parts"]] == ["g_ema", "g", "d"]
    assert document["parity"]["passed"] is True
    assert str(tmp_path / "m.parity.json") in document["written"]


def test_inspect_of_both_sides_of_a_conversion(tmp_path, golden_dir, capsys):
    src, out = golden_dir / "nvlabs_tiny_orig_skip.pkl", tmp_path / "m"
    assert run("inspect", src, "--json") == 0
    before = json.loads(capsys.readouterr().out)
    assert run("convert", src, out, "--licence", "for tests") == 0
    capsys.readouterr()
    assert run("inspect", out / "g_ema.safetensors", "--json") == 0
    after = json.loads(capsys.readouterr().out)
    first = before["parts"][0]
    assert first["name"] == "g_ema" and first["image"] == "32x32x3"
    assert first["config"]["architecture"] == "orig"
    assert after["parts"][0]["parameters"] == first["parameters"]
    assert after["licence"] == "for tests"
    assert after["parts"][0]["provenance"]["source"]["sha256"] == before["sha256"]


def test_inspect_shows_the_chain(tmp_path, golden_dir, capsys):
    run("convert", golden_dir / "nvada_tiny.pkl", tmp_path / "a")
    run("convert", tmp_path / "a", tmp_path / "b.pt", "--to", "nvlabs")
    run("convert", tmp_path / "b.pt", tmp_path / "c")
    capsys.readouterr()
    assert run("inspect", tmp_path / "c" / "d.safetensors") == 0
    text = capsys.readouterr().out
    assert text.index("b.pt") < text.index("nvada_tiny.pkl")
    assert text.count("comes from") == 2


def test_attack_is_one_sentence_and_nothing_happens(tmp_path, capsys):
    command = f"touch {tmp_path}/executed"
    write_torch_zip(tmp_path / "evil.pt", {"g_ema": Call("os.system", (command,))})
    for verb in (
        ("convert", tmp_path / "evil.pt", tmp_path / "out"),
        ("inspect", tmp_path / "evil.pt"),
    ):
        assert run(*verb) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and "os.system" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("convert", "nothing.pt", "x.safetensors"), 1, "no file nothing.pt"),
        (("convert", "a.pt"), 2, "DST"),
        (("convert", "a.pt", "b", "--to", "keras"), 2, "keras"),
        (("inspect", "nothing.pt"), 1, "no file nothing.pt"),
    ],
)
def test_mistakes(args, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*args) == code
    assert words in capsys.readouterr().err


def test_unknown_file(tmp_path, capsys):
    write_torch_zip(tmp_path / "x.pt", {"layer.weight": np.zeros(2, np.float32)})
    assert run("convert", tmp_path / "x.pt", tmp_path / "y.safetensors") == 1
    assert "docs/convert.md" in capsys.readouterr().err


def test_python_dash_m(tmp_path, golden_dir):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "stylegan_jax.convert_torch",
            str(golden_dir / "tf_tiny.pkl"),
            str(tmp_path / "g.safetensors"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "g.safetensors").exists()


def test_neither_torch_nor_tensorflow_is_imported(tmp_path, golden_dir):
    code = (
        "import sys\n"
        "from stylegan_jax.convert_torch.conversion import convert\n"
        f"convert({str(golden_dir / 'nvada_tiny.pkl')!r}, {str(tmp_path / 'm')!r})\n"
        "heavy = {'torch', 'tensorflow', 'dnnlib', 'torch_utils'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
