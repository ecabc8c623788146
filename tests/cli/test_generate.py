import pytest
from click.testing import CliRunner
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.cli.generate import generate
from stylegan_jax.cli.main import main
from stylegan_jax.training.snapshots import LICENCE


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.safetensors"
    return str(save_tiny(path, *tiny_generator()))


def test_folder_and_grid(model, tmp_path):
    run = CliRunner().invoke
    done = run(generate, [model, "--seeds", "0-2", "--out", str(tmp_path / "x")])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'x'}: 3 pictures in 3 files, drawn by {model}\n"
    # Nobody watches: no bar.
    assert done.stderr == "licence of g.safetensors: Apache-2.0\n"
    options = "--seeds 4 --psi .5 --cutoff 2 --noise random --z numpy --batch 1"
    grid = tmp_path / "g.png"
    done = run(
        generate, [model, *options.split(), "--columns", "1", "--out", str(grid)]
    )
    assert done.exit_code == 0, done.output
    assert grid.is_file() and "1 picture in one grid" in done.stdout
    words = [
        *options.split(),
        "--columns",
        "1",
        "--grid",
        "--out",
        str(tmp_path / "h.png"),
    ]
    assert "in one grid" in run(generate, [model, *words]).stdout
    assert (tmp_path / "h.png").read_bytes() == grid.read_bytes()


@pytest.mark.parametrize("licence", ["", "none", "not stated", LICENCE])
def test_a_model_of_ones_own_has_no_licence_to_tell(tmp_path, licence):
    path = tmp_path / "g.safetensors"
    save_tiny(path, *tiny_generator(), licence=licence)
    words = [str(path), "--seeds", "0", "--out", str(tmp_path / "x.png")]
    assert CliRunner().invoke(generate, words).stderr == ""


def test_the_snapshot_of_a_run_is_told(tmp_path):
    run = tmp_path / "run"
    (run / "models").mkdir(parents=True)
    file = save_tiny(run / "models" / "g_ema-000012.safetensors", *tiny_generator())
    words = [str(run), "--seeds", "0", "--out", str(tmp_path / "x.png")]
    assert f"drawn by {file}\n" in CliRunner().invoke(generate, words).stdout


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--seeds", "3-1", "--out", "x"], 2, "run backwards"),
        (["--seeds", "1", "--out", "x", "--psi", "nan"], 1, "psi is a number"),
        (["--seeds", "1", "--out", "x", "--columns", "2"], 2, "is for a grid"),
        (["--seeds", "1", "--out", "x.jpg"], 2, "ending in .png"),
        (["--seeds", "1", "--out", "x", "--grid"], 2, "end it in .png"),
        (["--seeds", "1", "--out", "x", "--label", "1"], 1, "knows no labels"),
        (["--seeds", "1"], 2, "--out"),
    ],
)
def test_refusals(model, tmp_path, monkeypatch, capsys, options, code, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["generate", model, *options])
    assert caught.value.code == code
    captured = capsys.readouterr()
    assert sentence in captured.err and captured.out == ""
    assert not list(tmp_path.iterdir())


def test_a_pickle_is_not_opened(tmp_path, capsys):
    path = tmp_path / "ffhq.pkl"
    path.write_bytes(b"\x80\x03cdnnlib\n" + bytes(64))
    with pytest.raises(SystemExit) as caught:
        main(["generate", str(path), "--seeds", "0", "--out", str(tmp_path / "x")])
    assert caught.value.code == 1
    assert "run stylegan-jax convert" in capsys.readouterr().err
