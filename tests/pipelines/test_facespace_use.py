"""Blends, films, grids, poses and styles of a tiny face space."""

import sys

import jax
import numpy as np
import pytest
from face_marks import marks, write_photos
from PIL import Image
from tiny_facespace import facespace_generator, tiny_encoder, tiny_facespace
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.checkpoints.facespace_config import Faces
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.pictures import image_grid
from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.faces.quad import ffhq_quad
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.pipelines import (
    facespace_blend,
    facespace_grid,
    facespace_morph,
    facespace_pose,
    facespace_style,
)
from stylegan_jax.pipelines.facespace_open import check_blends, open_space
from stylegan_jax.pipelines.weight_bars import AWAY, BAR, MOST_ROWS, TRACK, Bars


@pytest.fixture(scope="module")
def space():
    return tiny_facespace()


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


# Opening.


def test_only_face_spaces_are_opened(tmp_path, space):
    file = save_tiny(tmp_path / "g.safetensors", *tiny_generator())
    with pytest.raises(UserError, match="is a stylegan2.generator and no face space"):
        open_space(file)
    space.save(tmp_path / "s.safetensors")
    assert open_space(tmp_path / "s.safetensors", faces=3).names == ("a", "b", "c")
    with pytest.raises(UserError, match="keeps 3 faces and 4 are needed"):
        open_space(tmp_path / "s.safetensors", faces=4)


def test_blends_that_cancel_out_are_refused():
    codes = np.array([[1, 2, 3], [1, 2, 3], [0, 1, 0]], np.float32)
    space = FaceSpaceModel.join(
        tiny_encoder(), facespace_generator(), faces=Faces(("a", "b", "c"), "code"),
        codes=codes,
    )  # fmt: skip
    shares = np.array([[0.5, -0.5, 0], [0, 0, 1], [-0.5, 0.5, 0]])
    with pytest.raises(UserError, match="parts of blend 1, 3 cancel out"):
        check_blends(space, shares)
    np.testing.assert_allclose(check_blends(space, shares[1:2]), codes[2:])


# Blends.


def test_a_blend_is_what_its_weights_say(space, tmp_path):
    options = facespace_blend.Options(["a=3,b=1", "c"], plain=True)
    found = facespace_blend.blend(space, tmp_path / "b.png", options)
    want = space.images(space.vectors([[0.75, 0.25, 0], [0, 0, 1]]))
    np.testing.assert_array_equal(read(tmp_path / "b.png"), image_grid(want))
    first, second = found["blends"]
    assert first["weights"] == {"a": 0.75, "b": 0.25, "c": 0.0}
    # A face itself is at distance 0 from itself, and l2 is that of the pictures.
    assert second["l2"]["c"] == 0 and second["w_plus_distance"]["c"] == 0
    own = space.images(space.codes).astype(np.float64) / 127.5
    l2 = ((own[0] - want[0] / 127.5) ** 2).mean()
    assert first["l2"]["a"] == pytest.approx(l2, rel=1e-5) and l2 > 0
    latents = np.asarray(space.latents([[0.75, 0.25, 0], [1, 0, 0]]))
    distance = np.linalg.norm(latents[0] - latents[1])
    assert first["w_plus_distance"]["a"] == pytest.approx(float(distance), rel=1e-5)


def test_a_picture_has_bars_as_long_as_its_shares(space, tmp_path):
    options = facespace_blend.Options(["a=.6,b=.3,c=.1"], cell=128)
    facespace_blend.blend(space, tmp_path / "b.png", options)
    page = read(tmp_path / "b.png")
    lengths = [n for n in (page == BAR).all(2).sum(1) if n]
    rows = [
        lengths[0],
        *(b for a, b in zip(lengths, lengths[1:], strict=False) if a != b),
    ]
    assert len(rows) == 3
    np.testing.assert_allclose(np.array(rows[1:]) / rows[0], [1 / 2, 1 / 6], atol=0.02)
    assert not (page == AWAY).all(2).any() and (page == TRACK).all(2).any()
    # The picture itself is on the page, enlarged by a whole factor.
    drawn = space.images(space.vectors([[0.6, 0.3, 0.1]]))[0]
    np.testing.assert_array_equal(page[8 : 8 + 128 : 8, 16 : 16 + 128 : 8], drawn)


def test_negative_shares_have_bars_to_the_left(space, tmp_path):
    options = facespace_blend.Options(["a=1.5,b=-.5"])
    found = facespace_blend.blend(space, tmp_path / "b.png", options)
    assert found["blends"][0]["weights"] == {"a": 0.75, "b": -0.25, "c": 0}
    page = read(tmp_path / "b.png")
    right = np.flatnonzero((page == BAR).all(2).any(0))
    left = np.flatnonzero((page == AWAY).all(2).any(0))
    assert left.max() <= right.min() + 1
    assert len(left) / len(right) == pytest.approx(1 / 3, abs=0.03)


def test_of_many_faces_the_largest_shares_have_bars():
    shares = np.eye(40)[7] * 0.9
    shares[30] = 0.1
    names = [f"face{i}.png" for i in range(40)]
    bars = Bars.of(names, None, shares[None], cell=64, shape=(16, 16, 3))
    assert {7, 30} <= set(bars.rows) and len(bars.rows) == MOST_ROWS
    drawn = bars.draw(np.zeros((16, 16, 3), np.uint8), shares)
    assert drawn.shape[:2] == bars.size


def test_random_blends_do_not_depend_on_the_devices(space, tmp_path, monkeypatch):
    options = facespace_blend.Options(random=9, seed=4, concentration=0.5)
    found = facespace_blend.blend(space, tmp_path / "b.png", options)
    assert len(found["blends"]) == 9
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    fewer = facespace_blend.Options(random=9, seed=4, concentration=0.5)
    again = facespace_blend.blend(tiny_facespace(), tmp_path / "c.png", fewer)
    assert again["blends"] == found["blends"]
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "out", "sentence"),
    [
        ({}, "b.png", "give --weights, or --random"),
        ({"weights": ["d=1"]}, "b.png", "no such face: 'd'"),
        ({"weights": ["a=0"]}, "b.png", "come to nothing"),
        ({"weights": ["a"]}, "b.jpg", "ends in .png"),
        ({"weights": ["a"], "cell": 0}, "b.png", "at least 1 pixel"),
        ({"random": 1001}, "b.png", "at most 1000 blends"),
        ({"random": 3, "concentration": 0}, "b.png", "above 0"),
    ],
)
def test_blends_that_cannot_be(space, tmp_path, options, out, sentence):
    with pytest.raises(UsageError, match=sentence):
        facespace_blend.blend(space, tmp_path / out, facespace_blend.Options(**options))
    assert not list(tmp_path.iterdir())


# Films.


def test_a_film_passes_its_stops(space, tmp_path):
    options = facespace_morph.Options(closed=True, frames_per=3, fps=10)
    done = []
    found = facespace_morph.morph(
        space, ["a", "2", "a=1,c=1"], tmp_path / "m.gif", options, progress=done.append
    )
    assert found["frames"] == 9 == sum(done) and found["seconds"] == 0.9
    assert found["stops"][2] == {"a": 0.5, "b": 0, "c": 0.5}
    want = space.images(space.vectors([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5]]))
    with Image.open(tmp_path / "m.gif") as film:
        assert film.info["loop"] == 0
        for i in range(3):
            film.seek(3 * i)
            frame = np.asarray(film.convert("RGB")).astype(int)
            # Dithered to 256 colours: near on the whole, and nearer than any other.
            apart = np.abs(frame - want.astype(int)).mean((1, 2, 3))
            assert apart.argmin() == i and apart[i] < 20


def test_bars_are_in_the_frame(space, tmp_path):
    options = facespace_morph.Options(
        frames_per=2, bars=True, cell=64, path="spherical"
    )
    facespace_morph.morph(space, ["a", "b"], tmp_path / "m.gif", options)
    shares = np.eye(3)
    bars = Bars.of(space.names, space.photos, shares, cell=64, shape=(16, 16, 3))
    with Image.open(tmp_path / "m.gif") as film:
        assert film.n_frames == 3 and film.size[::-1] == bars.size


@pytest.mark.parametrize(
    ("stops", "options", "out", "sentence"),
    [
        (["a"], {}, "m.gif", "at least two faces"),
        (["a", "x"], {}, "m.gif", "no such face: 'x'"),
        (["a", "b"], {}, "m.png", "ends in .gif or .mp4"),
        (["a", "b"], {"cell": 0, "bars": True}, "m.gif", "at least 1 pixel"),
        (["a", "b"], {"path": "bent"}, "m.gif", "unknown path"),
        (["a", "b"], {"frames_per": 200_000}, "m.gif", "too long"),
        (["a", "a=-1"], {}, "m.gif", "are opposites"),
    ],
)
def test_films_that_cannot_be(space, tmp_path, stops, options, out, sentence):
    with pytest.raises(UserError, match=sentence):
        facespace_morph.morph(
            space, stops, tmp_path / out, facespace_morph.Options(**options)
        )
    assert not list(tmp_path.iterdir())


# The grid.


def test_the_grid_has_every_pair(space, tmp_path):
    found = facespace_grid.grid(space, tmp_path / "g.png", faces=["c", "1"], cell=16)
    assert found["faces"] == ["c", "a"] and found["blends"] == 1
    page = read(tmp_path / "g.png")
    blends = space.images(space.vectors([[0, 0, 1], [0.5, 0, 0.5], [1, 0, 0]]))
    counts = [count(page, picture) for picture in blends]
    assert counts == [1, 2, 1]
    assert facespace_grid.grid(space, tmp_path / "g.png")["blends"] == 3


def count(page, picture):
    """How often a picture stands on a page, pixel by pixel."""
    height, width = picture.shape[:2]
    corners = np.argwhere((page[: -height + 1, : -width + 1] == picture[0, 0]).all(2))
    return sum(
        np.array_equal(page[y : y + height, x : x + width], picture) for y, x in corners
    )


def test_grids_that_cannot_be(space, tmp_path):
    for faces, sentence in ((["a"], "at least two faces"), (["a", "z"], "'z'")):
        with pytest.raises(UsageError, match=sentence):
            facespace_grid.grid(space, tmp_path / "g.png", faces=faces)
    many = FaceSpaceModel.join(tiny_encoder(25), facespace_generator())
    with pytest.raises(UsageError, match="24 faces at most, got 25"):
        facespace_grid.grid(many, tmp_path / "g.png")


# Poses.


@pytest.fixture(scope="module")
def posed():
    """A space of kind landmarks, of three faces."""
    points = np.stack([marks((8, 8), 1 / 14, turn) for turn in (-0.1, 0, 0.1)])
    codes = (points - 8).reshape(3, 136).astype(np.float32) / 8
    return FaceSpaceModel.join(
        tiny_encoder(136), facespace_generator(),
        faces=Faces(("a", "b", "c"), "landmarks"), codes=codes,
    )  # fmt: skip


def sheet_of(monkeypatch):
    """The rows of the next sheet that is drawn, as a list that fills itself."""
    rows, draw = [], facespace_pose.draw_sheet

    def capture(sections, **options):
        rows.extend(sections[0].rows)
        return draw(sections, **options)

    monkeypatch.setattr(facespace_pose, "draw_sheet", capture)
    return rows


def driven(posed, points, quad):
    """What landmarks make of the space once a square is the whole picture."""
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    shares = np.linalg.solve(np.stack([across, down], 1), (points - quad[0]).T).T
    v = posed.pose_vectors(16 * shares[None] - 0.5, (16, 16))
    return posed.images(v)[0].repeat(4, 0).repeat(4, 1).astype(int)


def test_landmarks_drive_the_space(posed, tmp_path, monkeypatch):
    faces = {"a.png": marks(), "c.png": marks((120, 90), 1.1, 0.3)}
    photos, file = write_photos(
        tmp_path / "photos",
        {"b.png": [], **{name: [points] for name, points in faces.items()}},
    )
    options = facespace_pose.Options(landmarks=str(file), cell=64)
    rows, done = sheet_of(monkeypatch), []
    found = facespace_pose.pose(
        posed, [photos], tmp_path / "p.png", options, progress=done.append
    )
    assert found["driven"] == ["a.png", "c.png"] and sum(done) == 3
    assert found["failed"] == {"b.png": "no face in the landmarks file"}
    for row, points in zip(rows, faces.values(), strict=True):
        _, result, dotted = row.pictures
        # Aligned, so however the face stood in its photo.
        want = driven(posed, points, ffhq_quad(points))
        np.testing.assert_allclose(result, want, atol=1)
        assert (np.abs(dotted.astype(int) - result).max(2) > 0).mean() < 0.5
        assert (dotted == facespace_pose.DOT).all(2).sum() > 20


def test_an_aligned_photo_is_taken_as_it_is(posed, tmp_path, monkeypatch):
    points = marks((80, 100), 0.9, 0.2)
    photos, file = write_photos(
        tmp_path / "photos", {"a.png": [points]}, width=192, height=192
    )
    options = facespace_pose.Options(str(file), aligned=True, cell=64)
    rows = sheet_of(monkeypatch)
    found = facespace_pose.pose(posed, [photos / "a.png"], tmp_path / "p.png", options)
    assert found["driven"] == ["a.png"]
    whole = np.array([[0, 0], [0, 192], [192, 192], [192, 0]]) - 0.5
    want = driven(posed, points, whole)
    np.testing.assert_allclose(rows[0].pictures[1], want, atol=1)


def test_landmarks_of_another_picture_drive_nothing(posed, tmp_path):
    points = marks((80, 100), 0.9, 0.2) + 500
    photos, file = write_photos(
        tmp_path / "photos", {"a.png": [points]}, width=192, height=192
    )
    options = facespace_pose.Options(str(file), aligned=True)
    with pytest.raises(UserError, match=r"a.png: its landmarks lie outside of it"):
        facespace_pose.pose(posed, [photos], tmp_path / "p.png", options)


def test_photos_may_drive_a_film(posed, tmp_path):
    photos, file = write_photos(
        tmp_path / "photos", {"a.png": [marks()], "b.png": [marks(turn=0.2)]}
    )
    options = facespace_pose.Options(str(file), cell=32, fps=5)
    facespace_pose.pose(posed, [photos], tmp_path / "p.gif", options)
    with Image.open(tmp_path / "p.gif") as film:
        assert film.size == (64, 32) and film.n_frames == 2


def test_poses_that_cannot_be(space, posed, tmp_path, monkeypatch):
    photos, file = write_photos(tmp_path / "photos", {"a.png": []})
    options = facespace_pose.Options(str(file))
    with pytest.raises(UserError, match="takes one-hot inputs and no landmarks"):
        facespace_pose.pose(space, [photos], tmp_path / "p.png", options)
    with pytest.raises(UserError, match=r"no photo has a face .*\(a.png: no face"):
        facespace_pose.pose(posed, [photos], tmp_path / "p.png", options)
    with pytest.raises(UserError, match="ends in .png"):
        facespace_pose.pose(posed, [photos], tmp_path / "p.jpg", options)
    with pytest.raises(UserError, match="at least 16 pixels"):
        small = facespace_pose.Options(str(file), cell=8)
        facespace_pose.pose(posed, [photos], tmp_path / "p.png", small)
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtra, match="faces"):
        facespace_pose.pose(posed, [photos], tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()


# Styles.


def test_a_person_takes_layers_of_styles(space, tmp_path):
    space.save(tmp_path / "other.safetensors")
    w_plus = np.asarray(space.w_plus(space.codes))
    np.savez(tmp_path / "w.npz", w_plus=w_plus[1:2])
    styles = ["b", str(tmp_path / "other.safetensors"), str(tmp_path / "w.npz")]
    options = facespace_style.Options(strengths="0,1", cell=16)
    found = facespace_style.style(space, "a", styles, tmp_path / "s.png", options)
    assert found["styles"] == ["b", "a", "b", "c", "w 0"]
    assert found["layers"] == [3, 4, 5] and found["person"]["a"] == 1
    mixed = np.concatenate([w_plus[0, :3], w_plus[1, 3:]])
    want = LatentPictures(space.generator, noise_mode="none").images(
        np.stack([w_plus[0], mixed, w_plus[1]])
    )
    page = read(tmp_path / "s.png")
    # The person alone is in each row; the mix with b and b itself in three of them.
    assert [count(page, picture) for picture in want] == [5 + 2, 3, 3]


def test_a_style_may_be_a_film(space, tmp_path):
    options = facespace_style.Options(strengths="0:1:2", frames=3, fps=10)
    facespace_style.style(space, "a", ["b", "c"], tmp_path / "s.gif", options)
    with Image.open(tmp_path / "s.gif") as film:
        assert film.size == (32, 16) and film.n_frames == 4


@pytest.mark.parametrize(
    ("person", "styles", "options", "out", "sentence"),
    [
        ("z", ["b"], {}, "s.png", "no such face: 'z'"),
        ("a", ["z"], {}, "s.png", "no such face: 'z'"),
        ("a", [], {}, "s.png", "at least one style"),
        ("a", ["b"], {"layers": "4-9"}, "s.png", "layers 0 to 5, got 9"),
        ("a", ["b"], {"strengths": "x"}, "s.png", "are no numbers"),
        ("a", ["b"], {}, "folder", "ends in .png"),
        ("a", ["b"], {"strengths": "1"}, "s.gif", "at least two strengths"),
        ("a", ["missing.npz"], {}, "s.png", "there is no file missing.npz"),
    ],
)
def test_styles_that_cannot_be(space, tmp_path, person, styles, options, out, sentence):
    with pytest.raises(UserError, match=sentence):
        chosen = facespace_style.Options(**options)
        facespace_style.style(space, person, styles, tmp_path / out, chosen)
    assert not list(tmp_path.iterdir())


def test_a_style_of_another_generator_is_refused(space, tmp_path):
    other = tiny_facespace("stylegan1")
    other.save(tmp_path / "o.safetensors")
    with pytest.raises(UserError, match="is another one than this space's"):
        facespace_style.style(
            space, "a", [str(tmp_path / "o.safetensors")], tmp_path / "s.png"
        )


def test_a_picture_as_a_style_says_what_to_do(space, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "style.png")
    with pytest.raises(UsageError, match="facespace fit STYLES/ MODEL"):
        facespace_style.style(
            space, "a", [str(tmp_path / "style.png")], tmp_path / "s.png"
        )
    assert [p.name for p in tmp_path.iterdir()] == ["style.png"]
