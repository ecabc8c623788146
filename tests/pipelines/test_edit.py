import json

import jax
import numpy as np
import pytest
from brightness_reader import BrightnessReader
from lively_models import lively_generator
from PIL import Image
from tiny_models import save_tiny

from stylegan_jax.checkpoints.load import load_generator
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import LatentPictures, edit
from stylegan_jax.pipelines import edit as library
from stylegan_jax.pipelines.direction_files import direction_from, write_direction
from stylegan_jax.pipelines.edit import EditOptions, edit_faces, parse_strengths
from stylegan_jax.pipelines.edit_output import Output, captioned, monotone
from stylegan_jax.pipelines.expression import transfer_expression

PSI = EditOptions(truncation_psi=0.7)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("g")
    rng = np.random.default_rng(1)
    for name, shape in (("up", (8,)), ("side", (6, 8))):
        found = direction_from(rng.standard_normal(shape), {"attribute": "bright"})
        write_direction(folder / "directions" / f"{name}.npz", found)
    return save_tiny(folder / "g.safetensors", *lively_generator())


@pytest.fixture(scope="module")
def pictures(model):
    return LatentPictures(load_generator(model))


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch, pictures):
    monkeypatch.setattr(library, "LatentPictures", lambda *_, **__: pictures)


@pytest.fixture
def reader(monkeypatch):
    reader = BrightnessReader()
    monkeypatch.setattr(library, "open_reader", lambda text: reader)
    return reader


def seeds_w(pictures, seeds):
    return pictures.w_plus(pictures.model.latents(seeds), truncation_psi=0.7)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("-3:3:7", [-3, -2, -1, 0, 1, 2, 3]),
        ("1:-1:3", [1, 0, -1]),
        ("-2, 0.5", [-2, 0.5]),
        ("1e-1", [0.1]),
    ],
)
def test_strengths(text, want):
    assert parse_strengths(text) == pytest.approx(want)


@pytest.mark.parametrize("text", ["", "a", "1:2", "1:2:1", "0:1:2.5", "nan", "0:inf:3"])
def test_strengths_that_are_none(text):
    with pytest.raises(UsageError, match="strengths"):
        parse_strengths(text)


def test_a_folder_has_the_edited_faces(model, pictures, tmp_path, reader):
    out, up = tmp_path / "out", model.parent / "directions" / "up.npz"
    options = EditOptions(truncation_psi=0.7, layers="0-2")
    done = []
    found = edit_faces(
        model,
        "3-4",
        ["up"],
        [-1, 0, 2],
        Output(out),
        options,
        reader="toy",
        attributes=["light"],
        progress=done.append,
    )
    assert sum(done) == 6 and found["layers"] == [0, 1, 2]
    direction = np.load(up)["direction"]
    w = seeds_w(pictures, [3, 4])
    want = np.stack([edit(w, direction, s, [0, 1, 2]) for s in (-1, 0, 2)], axis=1)
    with np.load(out / "w.npz") as file:
        np.testing.assert_array_equal(file["w_plus"], want.reshape(6, 6, 8))
        names = file["names"].tolist()
    assert names[0] == "seed3-up-00.png" and names[5] == "seed4-up-02.png"
    drawn = pictures.images(want.reshape(6, 6, 8))
    for name, picture in zip(names, drawn, strict=True):
        with Image.open(out / name) as image:
            np.testing.assert_array_equal(np.asarray(image), picture)
    (judged,) = found["directions"]
    light = drawn.astype(np.float32).mean((1, 2, 3)).reshape(2, 3)
    np.testing.assert_allclose(judged["readings"]["light"], light, rtol=1e-6)
    entries = json.loads((out / "edit.json").read_text())
    assert entries[5]["row"] == "seed 4" and entries[5]["column"] == "+2"
    assert entries[5]["readings"]["light"] == pytest.approx(float(light[1, 2]))
    # What was written can be edited again, and zero moves nothing.
    again = edit_faces(model, str(out / "w.npz"), ["up"], [0], Output(tmp_path / "b"))
    assert again["faces"][5] == "latent 5"
    with np.load(tmp_path / "b" / "w.npz") as file:
        np.testing.assert_array_equal(file["w_plus"], want.reshape(6, 6, 8))


def test_a_sheet_is_the_same_on_one_device(model, tmp_path, reader, monkeypatch):
    def sheet(name):
        output = Output(tmp_path / name, cell=32)
        found = edit_faces(
            model, "0-9", ["up", "side"], [-1, 1], output, PSI, reader="toy"
        )
        return found, (tmp_path / name).read_bytes()

    found, content = sheet("a.png")
    assert [d["name"] for d in found["directions"]] == ["up", "side"]
    assert found["notes"] == []  # nothing is known of where these are from
    with Image.open(tmp_path / "a.png") as image:
        # Two tables of ten rows, with a line of text below each picture.
        assert image.size[1] > 20 * (32 + 18)
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    again, same = sheet("b.png")
    assert same == content and again["directions"] == found["directions"]


def test_a_film_goes_there_and_back(model, tmp_path):
    out = tmp_path / "a.gif"
    edit_faces(model, "0-1", ["up"], [-2, 0, 2], Output(out, frames=5, fps=10), PSI)
    frames = []
    with Image.open(out) as film:
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")))
    assert frames[0].shape == (16, 32, 3) and len(frames) == 8
    np.testing.assert_array_equal(frames[1], frames[7])


def test_a_direction_of_another_model_is_told(model, tmp_path):
    found = direction_from(np.ones(8), {"model": {"sha256": "0" * 64}})
    write_direction(tmp_path / "far.npz", found)
    told = edit_faces(model, "0", [tmp_path / "far.npz"], [0], Output(tmp_path / "out"))
    (note,) = told["notes"]
    assert "another model" in note


def test_readings_of_something_else_are_told(model, tmp_path, reader):
    found = direction_from(np.ones(8), {"attribute": "gender"})
    write_direction(tmp_path / "gender.npz", found)
    path, out = tmp_path / "gender.npz", Output(tmp_path / "out")
    told = edit_faces(model, "0", [path], [0], out, reader=reader)
    assert told["notes"] == [f"{path} moves gender and the readings are of light"]


def test_an_expression_is_transferred(model, pictures, tmp_path, reader):
    out = tmp_path / "out"
    found = transfer_expression(
        model, "0-1", "7", ["up", "side"], Output(out), PSI, reader="toy"
    )
    w, other = seeds_w(pictures, [0, 1]), seeds_w(pictures, [7])
    with np.load(out / "w.npz") as file:
        moved = file["w_plus"].reshape(2, 3, 6, 8)
    np.testing.assert_array_equal(moved[:, 0], w)
    np.testing.assert_array_equal(moved[0, 2], other[0])
    arrays = [
        np.load(model.parent / "directions" / f"{name}.npz")["direction"]
        for name in ("up", "side")
    ]
    for array in arrays:
        at = np.sum(moved * array, axis=-1)  # [face, column, layer]
        np.testing.assert_allclose(at[:, 1], at[:, 2], atol=1e-5)
    # The steps make the way.
    way = (moved[:, 1] - moved[:, 0]).mean(1)
    assert np.array(found["steps"]).shape == (2, 2)
    assert not np.allclose(way, 0)
    assert np.array(found["readings"]["bright"]).shape == (2, 3)
    none = transfer_expression(
        model, "0", "0", ["up"], Output(tmp_path / "none.png"), PSI, share=0.5
    )
    assert none["steps"] == [[0]]
    film = Output(tmp_path / "a.gif", frames=3)
    transfer_expression(model, "0-1", "5-6", ["up"], film, PSI)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.size == (32, 16)


def test_monotone():
    found = monotone(np.array([[1.0, 2, 3], [0, 4, 2]]))
    assert found["mean"] == [0.5, 3, 2.5] and not found["rising"]
    assert found["rows_rising"] == 0.5 and found["rows_falling"] == 0
    assert monotone(np.array([[3.0, 1]]))["falling"]


def test_captions():
    picture = np.full((16, 16, 1), 200, np.uint8)
    got = captioned(picture, ["smile 1"], 64)
    assert got.shape == (64 + 18, 64, 3) and (got[:64] == 200).all()
    assert (got[64:] < 200).any()
    assert captioned(np.zeros((32, 16, 4), np.uint8), [], 16).shape == (16, 8, 3)


@pytest.mark.parametrize(
    ("out", "given", "sentence"),
    [
        ("a.gif", {"reader": "toy"}, "a film has none"),
        ("a.jpg", {}, "give a .png for a sheet"),
        ("a.gif", {"fps": 99}, "50 frames per second"),
        ("a.png", {"attributes": ["light"]}, "--attribute goes with --reader"),
        ("a.png", {"reader": "toy", "attributes": ["age"]}, "does not read age"),
        ("a.png", {"directions": []}, "--direction FILE_OR_NAME"),
        ("a.png", {"directions": ["down"]}, "no direction 'down'"),
        ("a.png", {"directions": ["{}/wide.npy"]}, r"is \[9\] and this model's"),
        ("a.png", {"strengths": [1e39]}, "beyond all numbers"),
        ("a.png", {"layers": "6"}, "layers 0 to 5, got 6"),
    ],
)
def test_refusals(model, tmp_path, reader, out, given, sentence):
    np.save(tmp_path / "wide.npy", np.ones(9))
    named = [d.format(tmp_path) for d in given.pop("directions", ["up"])]
    output = Output(tmp_path / out, fps=given.pop("fps", 25))
    options = EditOptions(layers=given.pop("layers", None))
    strengths = given.pop("strengths", [1])
    with pytest.raises(UserError, match=sentence):
        edit_faces(model, "0", named, strengths, output, options, **given)
    assert not (tmp_path / out).exists()


def test_likenesses_that_cannot_be(model, tmp_path):
    output = Output(tmp_path / "a.png")
    with pytest.raises(UserError, match="--like gives 2 faces for 3"):
        transfer_expression(model, "0-2", "0-1", ["up"], output)
    with pytest.raises(UsageError, match="--share is a number"):
        transfer_expression(model, "0", "1", ["up"], output, share=float("inf"))
