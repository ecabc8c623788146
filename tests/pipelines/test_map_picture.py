import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.latents.maps import lay_out
from stylegan_jax.pipelines.map_layout import boxes_that_fit, overlaps, place_boxes
from stylegan_jax.pipelines.map_picture import (
    FEW,
    LARGE,
    MAX_POINTS,
    PANEL,
    SMALL,
    Panel,
    box_side,
    draw_map,
    panel_side,
)
from stylegan_jax.pipelines.page_text import cut, drawable, font_of, width_of, wrapped


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([0.0, 5.0, 150.0]))
def test_boxes_lie_in_the_page_and_over_no_other(seed, number, spread):
    rng = np.random.default_rng(seed)
    points = 200 + spread * rng.standard_normal((number, 2))
    box, page = (40.0, 30.0), (400.0, 400.0)
    centres = place_boxes(points, box, page)
    assert not overlaps(centres, np.array(box)).any()
    assert (centres >= (20 - 1e-9, 15 - 1e-9)).all()
    assert (centres <= (380 + 1e-9, 385 + 1e-9)).all()


def test_boxes_with_room_stay_where_they_are():
    points = np.array([[50.0, 50], [150, 50], [50, 150]])
    centres = place_boxes(points, (40, 40), (200, 200))
    np.testing.assert_allclose(centres, points, atol=0.01)


def test_as_many_boxes_as_fit_are_placed():
    number = boxes_that_fit((40, 30), (200, 200))
    assert number == 30
    centres = place_boxes(np.full((number, 2), 7.0), (40, 30), (200, 200))
    assert not overlaps(centres, np.array([40, 30])).any()


@pytest.mark.parametrize("number", [2, FEW, 200, MAX_POINTS])
def test_any_number_of_labels_fits(number):
    side = panel_side(number)
    box = box_side(number, side)
    assert SMALL <= side <= LARGE and box >= 26
    assert boxes_that_fit((box, box + 18), (side, side)) >= number


@pytest.mark.parametrize("number", [2, 30, 200])
def test_every_picture_is_on_the_map_whole(number):
    """Each has a colour of its own, whose pixels are counted."""
    colours = np.arange(number)
    pictures = np.zeros((number, 8, 8, 3), np.uint8)
    pictures[..., 0], pictures[..., 1] = 255, colours[:, None, None]
    points = np.random.default_rng(0).standard_normal((number, 5))
    panel = Panel("w", lay_out(points, "pca"))
    page = draw_map([panel, panel], [str(i) for i in range(number)], pictures)
    assert page.shape[1] > 2 * panel_side(number)
    found = page[(page[..., 0] == 255) & (page[..., 2] == 0)][:, 1]
    counts = np.bincount(found, minlength=number)[:number]
    assert (counts == counts[0]).all() and counts[0] >= 2 * 64


def test_names_stand_alone_where_there_are_no_pictures():
    points = np.random.default_rng(0).standard_normal((6, 3))
    names = [f"{i} face" for i in range(6)]
    page = draw_map([Panel("z", lay_out(points, "random"))], names, None, side=300)
    dark = (page < 100).all(2)
    inside = page[40:300, 10:300]
    assert (inside == PANEL).all(2).mean() > 0.5 and dark.any()


def test_texts_fit():
    font = font_of(14)
    for width in (20, 60, 200):
        assert width_of(cut("person-a-0001.png", font, width), font) <= width
        for line in wrapped("one two three four five six", font, max(width, 60)):
            assert width_of(line, font) <= max(width, 60)
    assert cut("short", font, 200) == "short"
    assert cut("abcdefghijklmnop", font, 60).endswith("p")


def test_letters_that_the_font_lacks_are_replaced():
    assert drawable("Gül René 漢字 a\n") == "Gul Rene ?? a\\n"
