import numpy as np
import pytest
from face_marks import golden, marks, ramp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylegan_jax.faces.crop import Outside, crop_square, sampled_side
from stylegan_jax.faces.quad import (
    MODES,
    TEMPLATE,
    NoSquare,
    ffhq_quad,
    side,
    square,
    template_quad,
)


@pytest.mark.parametrize("pose", ["centre", "tilted", "edge", "large"])
def test_crops_are_those_of_the_original_program(pose):
    case = golden()
    quad = ffhq_quad(case[f"{pose}_landmarks"].astype(np.float64))
    crop = crop_square(Image.fromarray(case["picture"]), quad, 256, sampled=256)
    got = np.asarray(crop.image).astype(int)[2::4, 2::4]
    off = np.abs(got - case[f"{pose}_aligned256"])
    assert np.mean(off <= 2) >= 0.99
    assert (crop.padded > 0) == (pose in ("edge", "large"))


@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("size", [16, 40, 96])
@pytest.mark.parametrize("turn", [0.0, 0.4, -2.0])
def test_the_transform_says_where_each_pixel_came_from(scale, size, turn):
    # Small crops of a large square take the path that makes the photo smaller first.
    # Two grey levels a pixel, as 8 bits round twice on the way.
    y, x = np.mgrid[0:100, 0:120]
    photo = Image.fromarray(np.stack([2 * x, 2 * y, y], axis=2).astype(np.uint8))
    quad = ffhq_quad(marks((60, 55), 0.35 * scale, turn))
    crop = crop_square(photo, quad, size)
    pixels = np.asarray(crop.image).astype(float)[1:-1, 1:-1]
    y, x = np.mgrid[1 : size - 1, 1 : size - 1] + 0.5
    places = crop.transform @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    inside = np.all((places[:2].T > 4) & (places[:2].T < (116, 96)), axis=1)
    off = pixels[..., :2].reshape(-1, 2) / 2 - (places[:2].T - 0.5)
    assert inside.mean() > 0.7
    assert np.abs(off[inside]).max() < 1.2
    assert np.abs(off[inside].mean(axis=0)).max() < 0.51
    assert np.isfinite(np.linalg.inv(crop.transform)).all()


def test_the_transform_takes_the_corners_to_the_square():
    quad = ffhq_quad(marks((120, 110), 0.5, 0.3))
    crop = crop_square(ramp(), quad, 64)
    corners = np.array([(0, 0, 1), (0, 64, 1), (64, 64, 1), (64, 0, 1)]).T
    np.testing.assert_allclose((crop.transform @ corners)[:2].T, quad + 0.5, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-50, 300),
    y=st.floats(-50, 300),
    scale=st.floats(0.05, 2.0),
    turn=st.floats(-3.1, 3.1),
    mode=st.sampled_from(sorted(MODES)),
)
def test_any_square_gives_a_crop_or_a_reason(x, y, scale, turn, mode):
    quad = MODES[mode](marks((x, y), scale, turn))
    # A square, and not mirrored.
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    assert np.isclose(np.cross([*across, 0], [*down, 0])[2], side(quad) ** 2)
    try:
        crop = crop_square(ramp(), quad, 24)
    except Outside as error:
        assert "outside of the picture" in str(error)
        return
    assert crop.image.size == (24, 24) and 0 <= crop.padded <= 1


@pytest.mark.parametrize("mode", sorted(MODES))
def test_crops_turn_and_scale_with_the_face(mode):
    quad = MODES[mode](marks((0, 0)))
    turned = MODES[mode](marks((30, 40), 2.0, np.pi / 2))
    # A quarter turn clockwise: right becomes down.
    expected = 2 * np.stack([-quad[:, 1], quad[:, 0]], axis=1) + (30, 40)
    np.testing.assert_allclose(turned, expected, atol=1e-9)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_landmarks_in_one_place_are_refused(mode):
    with pytest.raises(NoSquare, match="fall together"):
        MODES[mode](np.full((68, 2), 7.0))


def test_eyes_nose_and_chin_come_to_their_places():
    points = marks((0, 0))
    quad = square(np.array([90.0, 80.0]), np.array([40.0, 10.0]))
    axes = np.stack([quad[3] - quad[0], quad[1] - quad[0]])
    places = TEMPLATE @ axes + quad[0]
    points[36:42], points[42:48] = places[0], places[1]
    points[30], points[8] = places[2], places[3]
    np.testing.assert_allclose(template_quad(points), quad, atol=1e-9)
    # A longer chin makes the square larger, which FFHQ's does not see.
    points[8] += axes[1]
    assert side(template_quad(points)) > 1.2 * side(quad)


def test_the_border_is_soft_and_has_the_photos_colour():
    # A face at the corner of a flat picture: nothing but its colour may appear.
    flat = Image.new("RGB", (120, 120), (200, 40, 90))
    crop = crop_square(flat, ffhq_quad(marks((5, 5), 0.4)), 64)
    assert crop.padded > 0.3
    assert np.ptp(np.asarray(crop.image).reshape(-1, 3), axis=0).max() == 0


def test_sampling_is_finer_than_the_crop_but_bounded():
    assert [sampled_side(s) for s in (64, 1024, 2048, 8192)] == [256, 4096, 4096, 8192]
