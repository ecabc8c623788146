import json

import pytest
from click.testing import CliRunner
from lively_models import lively_generator
from PIL import Image
from tiny_facespace import tiny_facespace
from tiny_models import save_tiny

from stylegan_jax.cli.main import cli, main


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "space.safetensors"
    tiny_facespace().save(path, licence="CC BY 4.0")
    return str(path)


def run(*words):
    done = CliRunner().invoke(cli, [str(w) for w in words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def test_blend(space, tmp_path):
    words = ["facespace", "blend", space, "--out", tmp_path / "b.png"]
    done = run(*words, "--weights", "a=3,b=1", "--random", 1, "--seed", 2)
    assert "b.png: 2 blends\n  1 a 75%, 2 b 25%; nearest 1 a (l2 " in done.stdout
    assert done.stderr == "licence of space.safetensors: CC BY 4.0\n"
    found = json.loads(run(*words, "--weights", "c", "--json").stdout)
    (one,) = found["blends"]
    assert one["weights"] == {"a": 0.0, "b": 0.0, "c": 1.0} and one["l2"]["c"] == 0
    run(*words, "--weights", "c", "--plain")
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (16, 16)


def test_morph(space, tmp_path):
    words = ["facespace", "morph", space, "a", "2", "--frames-per", 2, "--fps", 10]
    done = run(*words, "--out", tmp_path / "m.gif", "--bars", "--cell", 32)
    assert "m.gif: 3 frames, 0.3 s" in done.stdout and "licence" in done.stderr
    done = run(*words, "--closed", "--out", tmp_path / "m.gif", "--json")
    assert json.loads(done.stdout)["frames"] == 4


def test_grid_style_and_map(space, tmp_path):
    done = run("facespace", "grid", space, "--out", tmp_path / "g.png", "--json")
    assert json.loads(done.stdout)["blends"] == 3
    done = run(
        "facespace", "grid", space, "--faces", "a,3", "--out", tmp_path / "g.png"
    )
    assert "g.png: 2 faces, 1 blend\n" in done.stdout
    words = ["facespace", "style", space, "--person", "a", "--style", space]
    done = run(*words, "--layers", "4-5", "--out", tmp_path / "s.png")
    assert "s.png: 3 styles, layers 4-5" in done.stdout
    assert done.stderr.count("licence of space.safetensors") == 1
    done = run("latents", "map", space, "--out", tmp_path / "m.png")
    assert "m.png: 3 points" in done.stdout and "licence" in done.stderr
    done = run(
        "latents", "map", space, "--out", tmp_path / "m.png", "--method", "random",
        "--seed", 1, "--json",
    )  # fmt: skip
    assert json.loads(done.stdout)["panels"][1]["title"] == "W+"


def code_of(*words):
    with pytest.raises(SystemExit) as caught:
        main([str(w) for w in words])
    return caught.value.code


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["facespace", "blend"], 2, "give --weights, or --random"),
        (["facespace", "blend", "--weights", "a=0"], 2, "come to nothing"),
        (["facespace", "blend", "--weights", "x=1,y=2"], 2, "no such face: 'x'; 'y'"),
        (["facespace", "grid", "--faces", "a"], 2, "at least two faces"),
        (["facespace", "pose", "--photo", "p"], 1, "takes one-hot inputs"),
        (["facespace", "style", "--person", "a", "--style", "q"], 2, "'q'"),
        (["latents", "map", "--method", "tsne"], 1, "at least 4 points, got 3"),
    ],
)
def test_mistakes(space, tmp_path, capsys, monkeypatch, words, code, sentence):
    monkeypatch.chdir(tmp_path)
    group, name, *options = words
    assert code_of(group, name, space, *options, "--out", "o.png") == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and sentence in error
    assert "Traceback" not in error and not list(tmp_path.iterdir())


def test_a_generator_is_no_face_space(tmp_path, capsys):
    file = save_tiny(tmp_path / "g.safetensors", *lively_generator())
    for words in (["blend", file, "--random", 1], ["grid", file]):
        assert code_of("facespace", *words, "--out", tmp_path / "o.png") == 1
        assert "and no face space" in capsys.readouterr().err
    words = ["facespace", "morph", file, "a", "b", "--out", tmp_path / "o.jpg"]
    assert code_of(*words) == 2
    assert "ends in .gif or .mp4" in capsys.readouterr().err
