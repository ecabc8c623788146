"""What is measured on toy faces, against what was drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stylegan_jax.data import toy_calibration, toy_measure
from stylegan_jax.data.toy import draw
from stylegan_jax.data.toy_canvas import Canvas
from stylegan_jax.data.toy_measure import ToyReader
from stylegan_jax.data.toy_numbers import LENGTHS, NUMBERS
from stylegan_jax.errors import UserError

# Nothing was calibrated on these.
UNSEEN = range(500, 580)


@pytest.fixture(scope="module")
def faces():
    """Pictures of unseen faces and their true attributes, by style."""
    found = {}
    for style in ("photo", "comic"):
        drawn = [draw(seed, style, 32) for seed in UNSEEN]
        pictures = np.stack([np.asarray(image) for image, _ in drawn])
        truth = {n: np.array([t[n] for _, t in drawn]) for n in ToyReader.names}
        found[style] = pictures, truth
    return found


@pytest.mark.parametrize("style", ["photo", "comic"])
def test_readings_agree_with_what_was_drawn(faces, style):
    pictures, truth = faces[style]
    found = ToyReader().read(pictures)
    assert set(found) == set(ToyReader.names)
    for name, least in {"smile": 0.9, "skin": 0.97, "yaw": 0.85, "roll": 0.85}.items():
        assert found[name].dtype == np.float32
        assert np.corrcoef(found[name], truth[name])[0, 1] > least, name
    # In the data's units, not only in their order.
    assert abs(found["smile"] - truth["smile"]).mean() < 0.15
    assert abs(found["skin"] - truth["skin"]).mean() < 0.05


def test_a_size_changes_little(faces):
    small, truth = faces["photo"]
    pictures = np.stack([np.asarray(draw(s, "photo", 64)[0]) for s in UNSEEN[:20]])
    large = ToyReader().read(pictures)["smile"]
    assert np.corrcoef(large, truth["smile"][:20])[0, 1] > 0.85
    assert abs(large - ToyReader().read(small[:20])["smile"]).mean() < 0.25


def test_a_reading_does_not_depend_on_its_company(faces):
    pictures = faces["photo"][0]
    whole = ToyReader().read(pictures)
    alone = ToyReader().read(pictures[70:71])
    for name in whole:
        np.testing.assert_array_equal(whole[name][70:71], alone[name])
    nobody = ToyReader().read(pictures[:0])
    assert all(values.shape == (0,) for values in nobody.values())


def test_it_tells_what_it_is():
    reader = ToyReader()
    assert set(reader.kinds) == set(reader.names) == set(reader.document["attributes"])
    assert set(reader.kinds.values()) == {"number"}
    assert "regression on" in reader.document["numbers"]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 32, 24, 3), np.uint8),
        ((1, 32, 32, 1), np.uint8),
        ((1, 8, 8, 3), np.uint8),
        ((32, 32, 3), np.uint8),
        ((1, 32, 32, 3), np.float32),
    ],
)
def test_other_pictures_are_refused(shape, dtype):
    with pytest.raises(UserError, match="toy faces are measured in square RGB"):
        ToyReader().read(np.zeros(shape, dtype))


def test_it_looks_where_the_canvas_draws():
    yaw, roll = math.radians(17), math.radians(-6)
    canvas = Canvas(64, "photo", yaw=yaw, roll=roll)
    drawn = np.array(canvas.place(np.array([[0.2, 0.42]]), 0.38))[0]
    points = toy_measure._grid(np.array([0.42]), np.array([0.2]), 0.38)
    x, y = toy_measure._place(points, np.array(yaw), np.array(roll), 1)
    np.testing.assert_allclose(32 * (np.array([x[0], y[0]]) + 1), drawn, atol=1e-9)


def test_a_flat_picture_is_read_without_a_warning():
    flat = np.full((1, 32, 32, 3), 128, np.uint8)
    assert all(np.isfinite(values).all() for values in ToyReader().read(flat).values())


def test_the_procedure_makes_numbers_that_read(faces):
    weights = toy_calibration.calibrate(60)
    pictures, truth = faces["comic"]
    found = ToyReader(weights).read(pictures)
    assert np.corrcoef(found["smile"], truth["smile"])[0, 1] > 0.5
    # What it writes is what was committed in kind.
    scope: dict = {}
    exec(toy_calibration.source_of(weights, "a few"), scope)
    assert scope["LENGTHS"] == LENGTHS
    assert len(scope["NUMBERS"].split()) == len(NUMBERS.split())
    numbers = np.array(scope["NUMBERS"].split(), float)
    written = np.concatenate(list(weights.values()))
    np.testing.assert_allclose(numbers, written, rtol=1e-3)
