import io

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.checkpoints.pictures import encode_png, image_grid, save_png
from stylegan_jax.errors import UserError


def test_grid_places_pictures_row_by_row():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] + np.ones(
        (5, 2, 3, 1), np.uint8
    )
    grid = image_grid(images, 3)
    assert grid.shape == (4, 9, 1)
    corners = grid[::2, ::3, 0]
    np.testing.assert_array_equal(corners, [[1, 2, 3], [4, 5, 0]])


@pytest.mark.parametrize(
    ("number", "columns", "shape"),
    [(1, None, (1, 1)), (16, None, (4, 4)), (5, None, (2, 3)), (2, 9, (1, 2))],
)
def test_grid_chooses_its_columns(number, columns, shape):
    grid = image_grid(np.zeros((number, 1, 1, 3), np.uint8), columns)
    assert grid.shape == (*shape, 3)


@pytest.mark.parametrize(
    "images",
    [np.zeros((0, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3)), np.zeros((4, 4), "u1")],
)
def test_grid_refuses_what_are_no_pictures(images):
    with pytest.raises(UserError, match="uint8"):
        image_grid(images)


def test_grid_refuses_zero_columns():
    with pytest.raises(UserError, match="at least 1 column"):
        image_grid(np.zeros((1, 4, 4, 3), np.uint8), 0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_holds_the_pixels(tmp_path, channels):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (5, 7, channels), np.uint8)
    save_png(tmp_path / "new" / "x.png", array)
    with Image.open(tmp_path / "new" / "x.png") as image:
        got = np.asarray(image).reshape(array.shape)
    np.testing.assert_array_equal(got, array)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.png"]


def test_png_is_the_same_for_the_same_picture():
    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert encode_png(array) == encode_png(array.copy())
    assert Image.open(io.BytesIO(encode_png(array[..., 0]))).mode == "L"


def test_png_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(UserError, match="has 5"):
        save_png(tmp_path / "x.png", np.zeros((4, 4, 5), np.uint8))
    with pytest.raises(UserError, match="uint8"):
        save_png(tmp_path / "x.png", np.zeros((4, 4, 3)))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save_png(tmp_path / "file" / "x.png", np.zeros((4, 4, 3), np.uint8))
