import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from stylegan_jax.data import images
from stylegan_jax.errors import UserError


def test_exif_orientations_all_give_the_same_picture(make):
    array = make.gradient(16, 24)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: a.swapaxes(0, 1)[:, ::-1],
    }
    for orientation, stored in undo.items():
        pixels = np.ascontiguousarray(stored(array))
        data = make.encode(pixels, exif=make.exif(orientation))
        decoded = images.to_array(images.decode(data, "x"))
        np.testing.assert_array_equal(decoded, array, err_msg=str(orientation))
        header = images.read_header(data, "x")
        assert (header.height, header.width) == (16, 24)
        assert header.turned == (orientation != 1)


def test_damaged_exif_does_not_cost_the_picture(make):
    data = make.encode(make.gradient(), "JPEG", exif=b"Exif\0\0garbage" * 3)
    assert images.decode(data, "x").size == (20, 24)
    assert not images.read_header(data, "x").turned


def test_sixteen_bits_are_scaled_and_not_clipped(make):
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    data = make.encode(Image.fromarray(values))
    decoded = np.asarray(images.decode(data, "x", channels=1))
    np.testing.assert_array_equal(decoded, [[0, 1, 1, 128, 255]])
    assert images.read_header(data, "x").deep


def test_32_bit_and_float_pixels_are_refused(make):
    big = Image.fromarray(np.full((4, 4), 70000, np.int32))
    with pytest.raises(UserError, match="32-bit integer"):
        images.decode(make.encode(big, "TIFF"), "x")
    real = Image.fromarray(np.ones((4, 4), np.float32))
    with pytest.raises(UserError, match="floating-point"):
        images.decode(make.encode(real, "TIFF"), "x")


def test_alpha_becomes_white_or_is_kept(make):
    array = np.zeros((4, 4, 4), np.uint8)
    array[..., 0] = 200
    array[:, 2:, 3] = 255
    data = make.encode(array)
    rgb = images.to_array(images.decode(data, "x"))
    assert (rgb[:, :2] == 255).all()
    assert (rgb[:, 2:] == [200, 0, 0]).all()
    rgba = images.to_array(images.decode(data, "x", channels=4))
    np.testing.assert_array_equal(rgba, array)


def test_palette_with_a_transparent_colour_becomes_white(make):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.putpixel((0, 0), 0)
    data = make.encode(image, transparency=0)
    rgb = images.to_array(images.decode(data, "x"))
    assert tuple(rgb[0, 0]) == (255, 255, 255)
    assert tuple(rgb[1, 1]) == (10, 200, 30)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(make, format):
    flat = Image.new("RGB", (16, 16), (200, 60, 30))
    data = make.encode(flat.convert("CMYK"), format)
    rgb = images.to_array(images.decode(data, "x")).astype(int)
    assert abs(rgb - [200, 60, 30]).max() < 8


def test_cmyk_survives_a_profile_that_is_not_one(make):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    flat = Image.new("RGB", (8, 8), (200, 60, 30)).convert("CMYK")
    # An RGB profile on CMYK pixels: unusable, as found in the wild.
    rgb = images.decode(make.encode(flat, "JPEG", icc_profile=profile), "x")
    assert abs(images.to_array(rgb).astype(int) - [200, 60, 30]).max() < 8


def test_one_channel(make):
    decoded = images.decode(make.encode(make.gradient()), "x", channels=1)
    assert images.to_array(decoded).shape == (24, 20, 1)
    with pytest.raises(UserError, match="channels is 2"):
        images.check_channels(2)


@pytest.mark.parametrize(
    ("size", "shape", "box"),
    [
        ((20, 10), (8, 8), (5, 0, 15, 10)),
        ((10, 20), (8, 8), (0, 5, 10, 15)),
        ((10, 10), (8, 16), (0, 2, 10, 7)),
        ((1, 1000), (64, 64), (0, 499, 1, 500)),
    ],
)
def test_crop_box_is_centred(size, shape, box):
    assert images.crop_box(size, shape) == box


def test_fit_leaves_a_fitting_picture_alone(make):
    image = Image.fromarray(make.gradient(16, 16))
    assert images.fit(image, (16, 16), "lanczos") is image
    assert images.fit(image, (8, 4), "box").size == (4, 8)


def test_transparent_colours_do_not_bleed_when_resized(make):
    array = np.zeros((8, 8, 4), np.uint8)
    array[:, :4] = [255, 0, 0, 255]
    array[:, 4:] = [0, 255, 0, 0]
    small = images.fit(Image.fromarray(array), (3, 3), "box")
    middle = np.asarray(small)[1, 1]
    assert middle[0] > 240 and middle[1] < 15


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300))
def test_random_bytes_raise_only_user_errors(data):
    for read in (images.read_header, images.decode):
        try:
            read(data, "x")
        except UserError as error:
            assert str(error).startswith("x: ")


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    format=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]),
    cut=st.integers(0, 2000),
    flips=st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 255)), max_size=8),
)
def test_damaged_pictures_raise_only_user_errors(make, format, cut, flips):
    data = bytearray(make.encode(make.gradient(), format))
    for place, value in flips:
        data[place % len(data)] = value
    data = bytes(data[: len(data) - cut % len(data)])
    try:
        image = images.decode(data, "x")
    except UserError:
        return
    assert image.mode == "RGB"


def test_broken_picture_survives_pickling():
    import pickle

    error = pickle.loads(pickle.dumps(images.BrokenPicture("a", "empty", "why")))
    assert (error.name, error.kind, str(error)) == ("a", "empty", "a: why.")


def test_pictures_of_the_largest_cameras_are_no_bombs(make):
    for width, height in ((11648, 8736), (16384, 12288)):  # 102 and 201 megapixels
        header = images.read_header(make.bomb_png(width, height), "x")
        assert (header.width, header.height) == (width, height)


def test_header_of_a_bomb_is_refused_without_decoding(make):
    for data in (make.bomb_png(), make.bomb_png(17000, 15000)):
        with pytest.raises(images.BrokenPicture, match="bomb") as caught:
            images.decode(data, "x")
        assert caught.value.kind == "bomb"


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), (i * 80, 0, 0)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert images.read_header(buffer.getvalue(), "x").animated
    assert np.asarray(images.decode(buffer.getvalue(), "x")).max() < 10
