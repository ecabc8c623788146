"""Label maps: pictures of one channel whose values are class numbers, not colours.

Nothing here scales, blends or converts values: a class number between two others is a
third class.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from stylegan_jax.data import images

# Formats that keep every number. JPEG changes them; of WebP and AVIF nobody knows.
FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM")
# Pillow spreads few grey levels over 0..255; dividing gives the stored numbers back.
_SPREAD = {"L;2": 85, "L;4": 17}
_MODES = ("1", "L", "P", "I;16")


def check_header(header: images.Header, name: str) -> None:
    """Refuses pictures with colours, without decoding them.

    Args:
        header: of the picture.
        name: what to call it in errors.

    Raises:
        BrokenPicture: it is no picture of class numbers.
    """
    if header.mode not in _MODES:
        raise images.BrokenPicture(
            name,
            "unreadable",
            f"is {header.mode}, and a label map is grey or has a palette: one class "
            "number per pixel",
        )


def decode(data: bytes, name: str, *, renumber: bool = False) -> Image.Image:
    """Decodes a label map, upright; of a palette picture the indices are the classes.

    Args:
        data: the encoded picture.
        name: what to call it in errors.
        renumber: the numbers tell instances apart and mean nothing: number them anew
            from 0 on, in their order.

    Returns:
        A Pillow image of mode L, whose values are class numbers.

    Raises:
        BrokenPicture: it cannot be decoded, has colours or numbers above 255, or is in
            a format that changes numbers.
    """
    header = images.read_header(data, name)
    check_header(header, name)
    try:
        with Image.open(io.BytesIO(data)) as image:
            kept, spread = image.format, _spread(image)
            image.load()
            upright = ImageOps.exif_transpose(image) if header.turned else image
            values = np.asarray(upright).astype(np.int64)
    # Damaged bytes make Pillow raise OSError, SyntaxError, zlib.error, struct.error...
    except Exception as error:
        raise images.BrokenPicture(
            name, "unreadable", f"cannot be decoded ({error or type(error).__name__})"
        ) from error
    if kept not in FORMATS:
        raise images.BrokenPicture(
            name,
            "unreadable",
            f"is {kept}, which changes class numbers; save label maps as PNG",
        )
    values //= spread
    if renumber:
        numbers, places = np.unique(values, return_inverse=True)
        if len(numbers) > 256:
            raise images.BrokenPicture(
                name,
                "unreadable",
                f"has {len(numbers)} instances, and 256 is the most that is read",
            )
        values = places.reshape(values.shape)
    if values.size and values.max() > 255:
        raise images.BrokenPicture(
            name,
            "unreadable",
            f"has class number {values.max()}, and 255 is the largest that is read",
        )
    return Image.fromarray(values.astype(np.uint8))


def fit(image: Image.Image, shape: tuple[int, int]) -> Image.Image:
    """Centre-crops to the aspect of ``shape`` (height, width), then takes nearest."""
    box = images.crop_box(image.size, shape)
    size = (shape[1], shape[0])
    return image.resize(size, Image.Resampling.NEAREST, box=box)


def _spread(image: Image.Image) -> int:
    """What Pillow multiplies the stored numbers by; its tiles name the packing."""
    tile = getattr(image, "tile", None)
    packing = tile[0][3] if tile else None
    name = packing if isinstance(packing, str) else next(iter(packing or ()), None)
    return _SPREAD.get(name, 1) if isinstance(name, str) else 1
