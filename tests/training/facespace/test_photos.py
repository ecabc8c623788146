import json
import shutil

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import toy
from stylegan_jax.errors import UserError
from stylegan_jax.training.facespace.photos import open_photos


def test_content_decides_the_order(four_faces, tmp_path):
    one = open_photos(four_faces, (16, 16))
    assert one.names == ("0.png", "1.png", "2.png", "3.png") and not one.notes
    for name, new in zip(one.names, "dbca", strict=True):
        shutil.copy(four_faces / name, tmp_path / f"{new}.png")
    other = open_photos(tmp_path, (16, 16))
    assert other.names == ("a.png", "b.png", "c.png", "d.png")
    np.testing.assert_array_equal(one.pictures, other.pictures)
    assert one.fingerprint == other.fingerprint
    assert (one.order != other.order).any()
    given = [np.asarray(Image.open(four_faces / name)) for name in one.names]
    np.testing.assert_array_equal(one.given(), given)
    np.testing.assert_array_equal(other.given(), one.given()[[3, 1, 2, 0]])
    for i, rank in enumerate(one.ranks):
        item = one[rank]
        assert item["label"] == rank
        np.testing.assert_array_equal(item["image"], given[i])


def test_a_part_keeps_names_and_pictures_together(four_faces):
    photos = open_photos(four_faces, (16, 16))
    part = photos.part(np.array([2, 0]))
    assert len(part) == 2
    for name, picture in zip(part.names, part.given(), strict=True):
        place = photos.names.index(name)
        np.testing.assert_array_equal(picture, photos.given()[place])


def test_others_sizes_are_fitted_and_it_is_said(four_faces):
    photos = open_photos(four_faces, (8, 8))
    assert photos.image_shape == (8, 8, 3)
    assert photos.notes == ("note: photos of 16x16 are fitted to the generator's 8x8",)


def test_thumbnails_are_small(tmp_path):
    toy.draw(0, "photo", 256)[0].save(tmp_path / "a.png")
    photos = open_photos(tmp_path, (256, 128))
    assert photos.thumbnails().shape == (1, 64, 32, 3)
    assert "a single photo can be drawn again" in photos.notes[1]


def test_two_hundred_photos_are_taken_with_a_word(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(200):
        noise = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i:03d}.png")
    photos = open_photos(tmp_path, (8, 8))
    assert len(photos) == 200
    assert photos.notes[0].startswith("note: 200 photos: spaces are usually of 6 to 10")


def test_a_photo_twice_is_refused_by_both_names(four_faces, tmp_path):
    shutil.copytree(four_faces, tmp_path / "faces")
    shutil.copy(four_faces / "1.png", tmp_path / "faces" / "again.png")
    with pytest.raises(UserError, match=r"more than once \(1.png and again.png\)"):
        open_photos(tmp_path / "faces", (16, 16))


def test_all_broken_photos_are_named(four_faces, tmp_path):
    shutil.copytree(four_faces, tmp_path / "faces")
    for name in ("x.png", "y.png"):
        (tmp_path / "faces" / name).write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"2 of the 6 .* x.png: .*; y.png: "):
        open_photos(tmp_path / "faces", (16, 16))


def test_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match="holds no pictures"):
        open_photos(tmp_path, (16, 16))


def test_landmarks_move_with_the_picture(tmp_path):
    # A wide photo: 8 columns fall away on either side, then it is halved.
    Image.new("RGB", (48, 32)).save(tmp_path / "a.png")
    file = tmp_path / "points.json"
    points = np.full((68, 2), (8.0, 0.0))
    points[1] = (39.5, 31.5)
    file.write_text(json.dumps({"a.png": [points.tolist()]}))
    photos = open_photos(tmp_path, (16, 16), landmarks=str(file))
    found = photos.points[0]
    # The centre of a pixel is half of a pixel from its edge, whatever its size.
    np.testing.assert_allclose(found[0], (-0.25, -0.25))
    np.testing.assert_allclose(found[1], (15.5, 15.5))


def test_faces_that_are_not_found_are_all_named(four_faces, tmp_path):
    file = tmp_path / "points.json"
    points = np.random.default_rng(0).uniform(0, 16, (68, 2)).tolist()
    file.write_text(json.dumps({"0.png": [points], "2.png": [points]}))
    with pytest.raises(UserError, match=r"has none in 2 of the 4 .*\(1.png, 3.png\)"):
        open_photos(four_faces, (16, 16), landmarks=str(file))
