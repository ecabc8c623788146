"""Fitting from Python and from the command line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from facespace_files import draw_faces, save_generator
from PIL import Image
from tiny_facespace import facespace_generator, tiny_encoder

from stylegan_jax.cli.facespace import facespace
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.faces.records import FORMAT
from stylegan_jax.pipelines.facespace import FaceSpace, Fit, drop_strays, fit_file

# A small program: half a minute of compiling is saved.
WORDS = (
    "--config.model.features=8,8",
    "--config.loss.feature=pyramid",
    "--config.loss.propagation_weight=0",
    "--config.loss.blend_weight=0",
)
SHORT = ["--epochs", "1", "--cycles", "0", *WORDS]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    save_generator(folder / "g.safetensors")
    draw_faces(folder / "faces", 3, 24)
    return folder


@pytest.fixture(scope="module")
def fitted(place):
    arguments = [str(place / name) for name in ("faces", "g.safetensors")]
    out = place / "space.safetensors"
    result = CliRunner().invoke(
        facespace, ["fit", *arguments, str(out), "--json", *SHORT]
    )
    assert result.exit_code == 0, result.output
    return out, result


def test_one_file_a_picture_and_figures(fitted):
    out, result = fitted
    document = json.loads(result.stdout)
    assert [photo["name"] for photo in document["photos"]] == [
        "0.png",
        "1.png",
        "2.png",
    ]
    for photo in document["photos"]:
        assert photo["ratio"] == pytest.approx(photo["l2_mean_face"] / photo["l2"])
    assert document["worst_ratio"] == min(p["ratio"] for p in document["photos"])
    # Photos of another size are fitted, and it is said.
    assert "note: photos of 24x24 are fitted to the generator's 16x16" in result.stderr
    with Image.open(out.with_suffix(".png")) as sheet:
        assert sheet.width > 3 * 64 and sheet.height > 2 * 64
    space = FaceSpace.load(out)
    assert space.model.provenance["made_by"] == "stylegan-jax facespace fit"
    assert space.model.provenance["started_from"]["init.model"]["file"]
    faces = space.generate()
    shares = np.eye(3)
    np.testing.assert_array_equal(faces, space.generate(weights=shares))
    np.testing.assert_array_equal(faces, space.generate(codes=space.model.codes))
    with pytest.raises(UserError, match="two ways to say it: give one"):
        space.generate(weights=shares, codes=shares)


def test_the_same_command_again_has_nothing_to_do(fitted, place):
    out, _ = fitted
    before = out.read_bytes()
    options = Fit(epochs=1, cycles=0, words=WORDS)
    done = fit_file(place / "faces", place / "g.safetensors", out, options, shown=False)
    assert out.read_bytes() == before and done.out == out
    with pytest.raises(UserError, match="not of the run in .*--overwrite"):
        fit_file(
            place / "faces",
            place / "g.safetensors",
            out,
            options,
            workdir=place / "other",
            shown=False,
        )
    with pytest.raises(UserError, match="begun with train.epochs=1 and cycles=0"):
        fit_file(
            place / "faces",
            place / "g.safetensors",
            out,
            Fit(epochs=2, cycles=0, words=WORDS),
            shown=False,
        )


def test_another_weight_is_another_run(fitted, place):
    out, _ = fitted
    words = (*WORDS, "--config.loss.pixel_weight=3")
    with pytest.raises(UserError, match="begun with the weights and rates .*pixel 3"):
        fit_file(
            place / "faces",
            place / "g.safetensors",
            out,
            Fit(epochs=1, cycles=0, words=words),
            shown=False,
        )


def test_nothing_beside_a_new_file_is_lost(place, tmp_path):
    photo = tmp_path / "anna.png"
    photo.write_bytes(b"a photo")
    (tmp_path / "folder.safetensors").mkdir()
    for name, said in (
        ("anna.safetensors", "anna.png is there already"),
        ("folder.safetensors", "is a folder"),
        ("anna.png/b.safetensors", "is a file"),
    ):
        with pytest.raises(UserError, match=said):
            fit_file(
                place / "faces",
                place / "g.safetensors",
                tmp_path / name,
                workdir=tmp_path / "run",
                shown=False,
            )
    assert photo.read_bytes() == b"a photo" and not (tmp_path / "run").exists()


def test_saved_it_is_the_same_space(fitted, tmp_path):
    out, _ = fitted
    space = FaceSpace.load(out)
    space.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == out.read_bytes()


def test_an_encoder_and_its_generator_are_joined(tmp_path):
    space = FaceSpace.join(tiny_encoder(), facespace_generator())
    assert space.model.names == ("1", "2", "3")
    space.save(tmp_path / "s.safetensors")
    again = FaceSpace.load(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(again.generate(), space.generate())


def refusal(place, tmp_path, options=None, **changed):
    given = {
        "photos": place / "faces",
        "model": place / "g.safetensors",
        "out": tmp_path / "s.safetensors",
        **changed,
    }
    with pytest.raises(UserError) as caught:
        fit_file(*given.values(), options or Fit(words=WORDS), shown=False)
    assert not (tmp_path / "s.safetensors").exists()
    return str(caught.value)


def test_a_model_that_is_no_generator(place, fitted, tmp_path):
    said = refusal(place, tmp_path, model=fitted[0])
    assert "is a facespace and no generator" in said
    said = refusal(place, tmp_path, model=tmp_path / "none")
    assert "there is no model" in said


def test_a_photo_twice_names_both(place, tmp_path):
    shutil.copytree(place / "faces", tmp_path / "faces")
    shutil.copy(place / "faces" / "1.png", tmp_path / "faces" / "again.png")
    said = refusal(place, tmp_path, photos=tmp_path / "faces")
    assert "more than once (1.png and again.png)" in said


def test_crops_of_photos_that_are_gone_are_gone(tmp_path):
    faces = {name: {"faces": [{"output": f"{name}.png"}]} for name in ("a", "b")}
    record = {"format": FORMAT, "settings": {}, "pictures": faces}
    (tmp_path / "align.json").write_text(json.dumps(record))
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(b"")
    drop_strays(tmp_path, {"a", "c"})
    assert [path.name for path in tmp_path.glob("*.png")] == ["a.png"]


def test_no_face_in_raw_photos(place, tmp_path, monkeypatch):
    from stylegan_jax.faces import align

    class Blind:
        def find(self, name, pixels):
            return []

    monkeypatch.setattr(align.Settings, "finder", lambda self: Blind())
    monkeypatch.setattr(align, "process_map", lambda f, todo, workers: map(f, todo))
    said = refusal(place, tmp_path, Fit(align=True, words=WORDS))
    assert "no face was cut out of 3 of the 3 photos" in said
    assert "0.png" in said and "2.png" in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Fit(landmarks="a.json"), "--landmarks is for --kind landmarks"),
        (Fit(code_dim=2), "--code-dim is for --kind code"),
        (
            Fit(kind="landmarks", landmarks="a.json", align=True),
            "leave --landmarks out",
        ),
        (Fit(words=("--config.loss.pixl=1",)), "has no 'pixl'"),
        (Fit(base="psp"), "There is no configuration 'psp'"),
        (Fit(base="psp_toy"), "--config psp_toy trains a psp: give facespace"),
    ],
)
def test_options_that_contradict_each_other(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        options.config("photos", "model")


def test_a_name_that_is_no_model_file(place, tmp_path):
    with pytest.raises(UsageError, match="end its name in .safetensors"):
        fit_file(place / "faces", place / "g.safetensors", tmp_path / "space")
