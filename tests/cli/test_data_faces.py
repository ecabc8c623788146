import dataclasses
import json
import sys

import pytest
from click.testing import CliRunner
from face_marks import marks, scene, write_photos
from tiny_clip import write_clip

from stylegan_jax.cli.data_faces import align, curate, frames
from stylegan_jax.cli.main import main
from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.faces.crop import crop_square
from stylegan_jax.faces.curate import Thresholds

FACE = marks((120, 100), 0.5)
COMMANDS = {"align": align, "curate": curate, "frames": frames}


def run(command, capsys, *args):
    """Runs a command as the entry point does; returns (exit code, stdout, stderr)."""
    code = command.main([str(a) for a in args], standalone_mode=False)
    said = capsys.readouterr()
    return code or 0, said.out, said.err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_has_an_example_and_every_option_a_word(name):
    command = COMMANDS[name]
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert f"Example: stylegan-jax data {name} " in said
    assert all(p.help for p in command.params if p.param_type_name == "option")


def test_align_exits_with_0_when_every_photo_is_aligned(tmp_path, capsys):
    folder, file = write_photos(tmp_path / "photos", {"a.png": [FACE]})
    args = (folder, tmp_path / "out", "--landmarks", file, "--workers", 1, "--size")
    code, out, err = run(align, capsys, *args, 64)
    assert code == 0 and not err
    assert out.endswith(
        "out: 1 faces of 64 px from 1 of 1 photos (0 were there already), 0 failed\n"
    )
    code, out, _ = run(align, capsys, *args, 64, "--json")
    assert code == 0 and json.loads(out)["kept"] == 1
    _, _, err = run(align, capsys, *args, 512, "--overwrite")
    assert "1 of 1 faces have fewer pixels than their crops" in err


def test_align_exits_with_1_and_tells_how_many_failed(tmp_path, capsys):
    faces = {"a.png": [FACE], "b.png": [], "c.png": [], "d.png": [FACE, 99 * FACE]}
    folder, file = write_photos(tmp_path / "photos", faces)
    file.write_text(json.dumps({**json.loads(file.read_text()), "z.png": []}))
    args = (folder, tmp_path / "out", "--landmarks", file, "--workers", 1)
    args += ("--face", "all", "--size", 16)
    code, out, err = run(align, capsys, *args)
    assert code == 1 and out.endswith("(0 were there already), 2 failed, 1 in part\n")
    assert "failed (2):\n  b.png: no face in the landmarks file\n  c.png:" in err
    assert "not every face aligned (1):\n  d.png: face 0: its face lies outside" in err
    assert "has photos not in" in err and err.rstrip().endswith("z.png")
    code, out, _ = run(align, capsys, *args, "--json")
    assert code == 1 and len(json.loads(out)["failed"]) == 2


@pytest.mark.parametrize(
    ("option", "said"), [([], ""), (["--overwrite"], " without --overwrite")]
)
def test_an_interrupted_alignment_tells_how_to_go_on(
    tmp_path, capsys, monkeypatch, option, said
):
    folder, file = write_photos(tmp_path / "photos", {"a.png": [FACE], "b.png": [FACE]})
    words = ["data", "align", folder, tmp_path / "out", "--landmarks", file]
    words += ["--workers", 1, "--size", 16]

    def cut(image, *args):
        if (tmp_path / "out" / "a.png").exists():
            raise KeyboardInterrupt
        return crop_square(image, *args)

    with monkeypatch.context() as patch:
        patch.setattr("stylegan_jax.faces.align.crop_square", cut)
        with pytest.raises(SystemExit) as caught:
            main([str(w) for w in (*words, *option)])
    assert caught.value.code == 130
    how, last = filter(None, capsys.readouterr().err.splitlines())
    assert how.endswith(f"run the same command{said} to go on.")
    assert last == "interrupted"
    code, out, _ = run(align, capsys, *words[2:])
    assert code == 0 and "2 of 2 photos (1 were there already)" in out


def test_align_says_what_is_not_looked_for(tmp_path, capsys, monkeypatch):
    class Blind:
        def __init__(self, *args, **kwargs):
            pass

        def find(self, name, pixels):
            return []

    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("stylegan_jax.faces.align.DlibFinder", Blind)
    folder, _ = write_photos(tmp_path / "photos", {"a.png": [FACE]})
    args = (folder, tmp_path / "out", "--workers", 1)
    code, out, err = run(align, capsys, *args)
    assert code == 1 and out.endswith(
        "0 of 1 photos (0 were there already), 1 failed\n"
    )
    (note,) = (line for line in err.splitlines() if line.startswith("note: "))
    assert note.endswith(
        "weights get mmod_human_face_detector, then this command again."
    )
    code, _, err = run(align, capsys, *args, "--detector", "hog", "--overwrite")
    assert code == 1 and "note:" not in err


def test_align_without_dlib(tmp_path, capsys, monkeypatch):
    folder, _ = write_photos(tmp_path / "photos", {"a.png": [FACE]})
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtra):
        run(align, capsys, folder, tmp_path / "out")
    with pytest.raises(UsageError, match="largest, all, or an index"):
        run(align, capsys, folder, tmp_path / "out", "--face", "second")


def test_curate(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    scene(1).save(folder / "good.png")
    scene(2).resize((40, 40)).save(folder / "small.png")
    args = (folder, tmp_path / "out", "--workers", 1)
    code, out, err = run(curate, capsys, *args)
    assert code == 0 and "kept 1 of 2 pictures; left out: small 1; see" in out
    assert "2 of 2 pictures have no landmarks" in err
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"keep": false', '"keep": true'))
    with pytest.raises(UserError, match="exists already"):
        run(curate, capsys, *args)
    args += ("--json",)
    code, out, _ = run(curate, capsys, *args, "--manifest", manifest)
    assert code == 0 and json.loads(out)["kept"] == 2
    args += ("--overwrite",)
    assert run(curate, capsys, *args, "--min-size", 500)[0] == 1
    marks_file = tmp_path / "marks.json"
    marks_file.write_text(json.dumps({"good.png": [FACE.tolist()]}))
    _, out, err = run(curate, capsys, *args, "--landmarks", marks_file)
    assert json.loads(out)["reasons"] == {"small": 1}
    assert f"1 of 2 pictures have no landmarks in {marks_file}, so their pose" in err
    assert "run data align" not in err


def test_the_defaults_of_curate_are_those_of_the_library():
    defaults = {p.name: p.default for p in curate.params}
    for name, value in dataclasses.asdict(Thresholds()).items():
        assert defaults[name] == value


@pytest.mark.parametrize(
    ("value", "seconds"), [("75.5", 75.5), ("1:30", 90), ("1:00:01.5", 3601.5)]
)
def test_times_of_frames(tmp_path, monkeypatch, capsys, value, seconds):
    seen = {}

    def write_frames(video, dst, **kwargs):
        seen.update(kwargs)
        raise UserError("stop here.")

    monkeypatch.setattr("stylegan_jax.faces.frames.write_frames", write_frames)
    with pytest.raises(UserError, match="stop here"):
        run(frames, capsys, "a.mp4", tmp_path / "out", "--start", value)
    assert seen["start"] == seconds and seen["stop"] is None


@pytest.mark.parametrize("value", ["x", "-1", "1:2:3:4", "nan", "1:x"])
def test_wrong_times_of_frames(tmp_path, value):
    result = CliRunner().invoke(frames, ["a.mp4", "out", "--stop", value])
    assert result.exit_code == 2 and "neither seconds (75.5) nor" in result.output


def test_frames(tmp_path, capsys):
    av = pytest.importorskip("av", reason="needs the video extra: pip install av")
    import numpy as np

    video = tmp_path / "a.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for level in range(8):
            pixels = np.full((32, 48, 3), 20 * level, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    args = (video, tmp_path / "out", "--step", 4)
    code, out, err = run(frames, capsys, *args)
    assert code == 0 and out.endswith("out: 2 frames of 32x48\n") and not err
    _, out, _ = run(frames, capsys, *args, "--rotate", 90, "--overwrite", "--json")
    facts = json.loads(out)
    assert (facts["num"], facts["height"], facts["turned"]) == (2, 48, 90)


def test_curate_by_texts_needs_a_model(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    scene(1).save(tmp_path / "photos" / "a.png")
    args = (tmp_path / "photos", tmp_path / "out", "--keep-text", "a face")
    with pytest.raises(UsageError, match="give --clip FOLDER"):
        run(curate, capsys, *args)
    with pytest.raises(UsageError, match="texts of both kinds"):
        run(curate, capsys, *args, "--clip", tmp_path)
    with pytest.raises(UserError, match=r"no config\.json, model\.safetensors"):
        run(curate, capsys, *args, "--clip", tmp_path, "--drop-text", "a dog")
    assert not (tmp_path / "out").exists()


def test_curate_by_texts(tmp_path, capsys):
    folder = write_clip(tmp_path / "clip")
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        scene(seed).save(tmp_path / "photos" / f"{seed}.png")
    args = (tmp_path / "photos", tmp_path / "out", "--workers", 1, "--clip", folder)
    args += ("--keep-text", "a face", "--drop-text", "a drawing", "--overwrite")
    code, out, _ = run(curate, capsys, *args, "--clip-margin", -2, "--json")
    found = json.loads(out)
    assert code == 0 and found["kept"] == 3
    assert found["texts"] == {
        "keep": ["a face"],
        "drop": ["a drawing"],
        "model": "clip",
    }
    code, out, _ = run(curate, capsys, *args, "--clip-margin", 2)
    assert code == 1 and "left out: other text 3" in out
