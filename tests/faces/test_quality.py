import numpy as np
import pytest
from face_marks import marks, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter

from stylegan_jax.faces import quality


def differ(a, b):
    bits = quality.perceptual_hash(a) ^ quality.perceptual_hash(b)
    return bits.bit_count()


def test_blurring_and_enlarging_make_less_sharp():
    picture = scene()
    values = [
        quality.sharpness(picture.filter(ImageFilter.GaussianBlur(r)))
        for r in (0, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True) and values[0] > 3 * values[-1]
    small = picture.resize((32, 32), Image.Resampling.BOX)
    assert quality.sharpness(small.resize((128, 128))) < values[0] / 2
    assert quality.sharpness(Image.new("L", (2, 2))) == 0


def test_the_laplacian_is_that_of_the_definition():
    x = np.random.default_rng(0).integers(0, 256, (5, 5)).astype(np.uint8)
    picture = np.full((9, 9), 7, np.uint8)
    picture[2:7, 2:7] = x  # the middle, rounded
    inner = np.asarray(quality.central(Image.fromarray(picture)), float)
    np.testing.assert_array_equal(inner, x)
    x = x.astype(float)
    expected = [
        x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1] - 4 * x[i, j]
        for i in (1, 2, 3)
        for j in (1, 2, 3)
    ]
    found = quality.sharpness(Image.fromarray(picture))
    assert found == pytest.approx(np.std(expected))


def test_exposure():
    black = Image.new("L", (50, 50), 0)
    assert quality.exposure(black) == {"brightness": 0, "contrast": 0, "clipped": 1}
    half = Image.new("L", (50, 50), 100)
    half.paste(140, (25, 0, 50, 50))
    found = quality.exposure(half)
    assert found["brightness"] == pytest.approx(120) and found["clipped"] == 0
    assert found["contrast"] == pytest.approx(20)
    # White backgrounds do not count.
    half.paste(255, (0, 0, 50, 9))
    assert quality.exposure(half) == found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(64, 200))
def test_copies_have_nearly_the_same_hash(seed, size):
    picture = scene(seed)
    assert differ(picture, picture) == 0
    assert differ(picture, picture.resize((size, size), Image.Resampling.BICUBIC)) <= 6
    assert differ(picture, ImageEnhance.Brightness(picture).enhance(0.8)) <= 6
    assert differ(picture, picture.filter(ImageFilter.GaussianBlur(1))) <= 6


def test_different_pictures_have_different_hashes():
    pictures = [scene(seed) for seed in range(20)]
    pairs = [differ(a, b) for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(pairs) > 10 and 26 < np.mean(pairs) < 38


def test_pose_depends_on_the_face_alone():
    frontal = quality.pose(marks((0, 0)))
    assert abs(frontal["yaw"]) < 0.05
    for key, value in quality.pose(marks((50, 9), 3.0, 2.0)).items():
        assert value == pytest.approx(frontal[key])


def test_a_turned_head():
    points = marks((0, 0))
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    for eye, yaw in ((left, -1), (right, 1)):
        turned = points.copy()
        turned[30, 0] = eye[0]
        assert quality.pose(turned)["yaw"] == pytest.approx(yaw, abs=0.02)


def test_closed_eyes_and_open_mouths():
    points = marks((0, 0))
    points[[37, 38, 40, 41], 1] = points[36, 1]  # one eye is enough
    points[39, 1] = points[36, 1]
    points[62] = points[60] + (points[64] - points[60]) / 2
    points[66] = points[62] + (0, points[64, 0] - points[60, 0])
    found = quality.pose(points)
    assert found["eyes"] == 0 and found["mouth"] == pytest.approx(1, rel=1e-3)
    # Points that fall together are no reason to fail.
    assert quality.pose(np.zeros((68, 2))) == {"yaw": 0, "eyes": 0, "mouth": 0}
