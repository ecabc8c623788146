"""Class numbers survive whatever they are stored as, or are refused."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stylegan_jax.data import label_maps
from stylegan_jax.data.images import BrokenPicture, to_array

NUMBERS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def packed_png(values, bits):
    """A grey PNG of 1, 2, 4 or 16 bits per pixel, which Pillow itself never writes."""

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    rows = b""
    for row in values:
        text = "".join(f"{int(v):0{bits}b}" for v in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    height, width = values.shape
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part)
        for part in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
    )


def read(data):
    return to_array(label_maps.decode(data, "map.png"))[:, :, 0]


def palette(values):
    image = Image.new("P", (4, 3))
    image.putdata(values.ravel().tolist())
    image.putpalette(list(range(255, -1, -1)) * 3)
    return image


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("mode", ["L", "P"])
def test_grey_values_and_palette_indices_are_the_classes(make, format, mode):
    image = Image.fromarray(NUMBERS) if mode == "L" else palette(NUMBERS)
    options = {"optimize": False} if format == "GIF" else {}
    np.testing.assert_array_equal(read(make.encode(image, format, **options)), NUMBERS)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_few_or_many_bits_keep_their_numbers(bits):
    values = NUMBERS & (2 ** min(bits, 8) - 1)
    np.testing.assert_array_equal(read(packed_png(values, bits)), values)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(BrokenPicture, match="class number 300"):
        read(packed_png(NUMBERS.astype(int) * 0 + 300, 16))


@pytest.mark.parametrize(
    ("mode", "format", "match"),
    [
        ("RGB", "PNG", "is RGB, and a label map"),
        ("RGBA", "PNG", "is RGBA"),
        ("L", "JPEG", "is JPEG, which changes class numbers"),
    ],
)
def test_colours_and_lossy_formats_are_refused(make, mode, format, match):
    data = make.encode(Image.fromarray(NUMBERS).convert(mode), format)
    with pytest.raises(BrokenPicture, match=match):
        read(data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_maps_are_refused_or_read(data):
    whole = bytearray(packed_png(NUMBERS, 4))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        assert read(bytes(whole[:cut])).dtype == np.uint8
    except BrokenPicture as error:
        assert error.name == "map.png"


def test_resizing_takes_the_nearest_and_crops_to_the_aspect(make):
    image = label_maps.decode(packed_png(NUMBERS, 8), "map.png")
    larger = to_array(label_maps.fit(image, (6, 8)))[:, :, 0]
    np.testing.assert_array_equal(larger, NUMBERS.repeat(2, 0).repeat(2, 1))
    cropped = to_array(label_maps.fit(image, (3, 2)))[:, :, 0]
    np.testing.assert_array_equal(cropped, NUMBERS[:, 1:3])
