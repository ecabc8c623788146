"""Encoded bytes to upright 8-bit pictures, and every way in which that can fail."""

from __future__ import annotations

import functools
import io
import re
import warnings
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from stylegan_jax.errors import UserError

Resize = Literal["lanczos", "box", "bicubic"]

# Formats that are tried on a file's bytes. EPS is left out because Pillow hands it to
# Ghostscript, and formats without a signature (TGA) because they accept any bytes.
FORMATS = (
    "PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000",
    "AVIF",
)  # fmt: skip
# Names that count as pictures in a folder or a zip. HEIC is here so that it is
# reported instead of silently skipped.
SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .webp .bmp .gif .tif .tiff .ppm .pgm .pbm .pnm .jp2 "
    ".avif .heic .heif".split()
)
# Room for the largest cameras of today (phones of 200 megapixels); such a picture takes
# about 1 GB as RGBA, in each thread that converts one.
MAX_PIXELS = 250_000_000
MAX_FILE_BYTES = 512 * 2**20
FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_PILLOW_WARNINGS = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


class BrokenPicture(UserError):
    """A picture that cannot be used.

    Attributes:
        kind: one of ``check.KINDS``.
        reason: a clause without the file's name, e.g. ``"empty file (0 bytes)"``.
    """

    def __init__(self, name: str, kind: str, reason: str):
        super().__init__(f"{name}: {reason}.")
        self.name = name
        self.kind = kind
        self.reason = reason

    def __reduce__(self):
        return (BrokenPicture, (self.name, self.kind, self.reason))


class Header(NamedTuple):
    """What a picture says of itself before a pixel is decoded.

    Attributes:
        width: columns once turned upright.
        height: rows once turned upright.
        mode: Pillow's mode, e.g. ``"RGB"``.
        turned: whether EXIF says that the stored pixels are rotated or mirrored.
        deep: whether it has 16 bits per channel.
        alpha: whether some pixels may be transparent.
        animated: whether it has several frames, of which only the first is used.
    """

    width: int
    height: int
    mode: str
    turned: bool
    deep: bool
    alpha: bool
    animated: bool


def check_channels(channels: int) -> None:
    """Raises `UserError` unless pictures can be read with that many channels."""
    if channels not in MODES:
        raise UserError(
            f"channels is {channels}, but pictures are read with 1 (grey), 3 (RGB) "
            "or 4 (RGB and alpha) channels."
        )


def read_header(data: bytes, name: str) -> Header:
    """Reads size and mode from the first bytes of a picture.

    Args:
        data: the encoded picture.
        name: what to call it in errors.

    Raises:
        BrokenPicture: empty, not a picture, or a decompression bomb.
    """
    with _open(data, name) as image:
        orientation = _orientation(image)
        width, height = image.size
        if orientation >= 5:
            width, height = height, width
        tile = getattr(image, "tile", None)
        return Header(
            width=width,
            height=height,
            mode=image.mode,
            turned=orientation != 1,
            deep=image.mode.startswith("I") or bool(tile and ";16" in str(tile[0][3])),
            alpha=_has_alpha(image),
            animated=bool(getattr(image, "is_animated", False))
            and image.format != "MPO",
        )


def decode(data: bytes, name: str, *, channels: int = 3) -> Image.Image:
    """Decodes a picture, upright and with 8 bits per channel.

    1. EXIF orientation is applied.
    2. 16-bit values are scaled (65535 becomes 255), never clipped.
    3. CMYK goes through its own colour profile where it has one.
    4. Alpha is composited on white, or kept when ``channels`` is 4.

    Args:
        data: the encoded picture.
        name: what to call it in errors.
        channels: 1, 3 or 4.

    Returns:
        A Pillow image of mode L, RGB or RGBA.

    Raises:
        BrokenPicture: it cannot be decoded; pixels are never touched before the size
            in the header was found acceptable.
    """
    with _open(data, name) as image:
        try:
            image.load()
            return _convert(_upright(image), name, channels)
        except BrokenPicture:
            raise
        # Hostile bytes make Pillow's plugins raise nearly anything (OSError,
        # SyntaxError, struct.error, KeyError, zlib.error, MemoryError, ...).
        except Exception as error:
            raise _broken(name, data, error) from error


def to_array(image: Image.Image) -> np.ndarray:
    """Returns the pixels as uint8 [H, W, C]."""
    array = np.asarray(image, dtype=np.uint8)
    return array[:, :, None] if array.ndim == 2 else array


def crop_box(
    size: tuple[int, int], shape: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Finds the largest centred box with the wanted aspect.

    Args:
        size: (width, height) of the picture.
        shape: (height, width) wanted.

    Returns:
        (left, top, right, bottom) in whole pixels, at least one pixel each way.
    """
    width, height = size
    rows, columns = shape
    if width * rows >= height * columns:
        box_w, box_h = max(1, round(height * columns / rows)), height
    else:
        box_w, box_h = width, max(1, round(width * rows / columns))
    left, top = (width - box_w) // 2, (height - box_h) // 2
    return left, top, left + box_w, top + box_h


def fit(image: Image.Image, shape: tuple[int, int], resize: Resize) -> Image.Image:
    """Centre-crops to the aspect of ``shape`` (height, width), then resizes to it."""
    box = crop_box(image.size, shape)
    if box[2:] == image.size and box[:2] == (0, 0) and image.size == shape[::-1]:
        return image
    return image.resize((shape[1], shape[0]), FILTERS[resize], box=box)


def encode_png(image: Image.Image) -> bytes:
    """Returns PNG bytes; level 1, since readers pay for every further percent."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


@functools.cache
def _formats() -> list[str]:
    """Returns those of `FORMATS` that this build of Pillow knows (AVIF is optional)."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _open(data: bytes, name: str) -> Image.Image:
    """Opens lazily and refuses what must not be decoded."""
    # Pillow's warnings (large pictures, odd EXIF) become sentences of our own. Checked
    # first because changing the filters invalidates every module's warning registry.
    if _PILLOW_WARNINGS not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
    # Pillow refuses from twice its own limit on, which is less than ours.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS)
    if not data:
        raise BrokenPicture(name, "empty", "empty file (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
        width, height = image.size
    except Image.DecompressionBombError as error:
        raise BrokenPicture(
            name, "bomb", f"decompression bomb or too large ({error})"
        ) from error
    except Exception as error:  # see decode
        raise _broken(name, data, error) from error
    if width * height > MAX_PIXELS:
        raise BrokenPicture(
            name,
            "bomb",
            f"declares {height}x{width} pixels, more than the limit of "
            f"{MAX_PIXELS // 10**6} megapixels (a decompression bomb?)",
        )
    return image


def _broken(name: str, data: bytes, error: Exception) -> BrokenPicture:
    """Turns whatever Pillow raised into a kind and a reason."""
    text = str(error)
    if isinstance(error, UnidentifiedImageError):
        if data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif"):
            reason = "HEIC, which Pillow cannot read; convert it to JPEG or PNG first"
        elif _looks_like_text(data):
            reason = "text, not a picture"
        elif _has_signature(data):
            return BrokenPicture(name, "truncated", "damaged or cut off in its header")
        else:
            reason = "not a picture in a known format"
        return BrokenPicture(name, "not_a_picture", reason)
    if "truncated" in text or "not enough image data" in text or "Truncated" in text:
        return BrokenPicture(name, "truncated", f"truncated ({text})")
    return BrokenPicture(name, "unreadable", f"cannot be decoded ({text or error!r})")


def _has_signature(data: bytes) -> bool:
    starts = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II*\0", b"MM\0*")
    return data.startswith(starts) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _looks_like_text(data: bytes) -> bool:
    head = data[:512]
    return (
        all(byte >= 32 or byte in b"\t\r\n\f" for byte in head) and b"\x7f" not in head
    )


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation 1..8; damaged EXIF counts as upright."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # damaged metadata must not cost the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image) -> Image.Image:
    if _orientation(image) == 1:
        return image
    return ImageOps.exif_transpose(image)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (
        "transparency" in image.info
    )


def _convert(image: Image.Image, name: str, channels: int) -> Image.Image:
    """Converts any mode to L, RGB or RGBA with 8 bits."""
    mode = MODES[channels]
    if image.mode == mode and (channels == 4 or not _has_alpha(image)):
        return image
    if image.mode.startswith("I"):
        image = _sixteen_to_eight(image, name)
    elif image.mode == "F":
        raise BrokenPicture(
            name, "unreadable", "floating-point pixels; save it with 8 or 16 bits"
        )
    elif image.mode == "CMYK":
        image = _cmyk_to_rgb(image)
    elif image.mode in ("LAB", "HSV", "YCbCr"):
        image = image.convert("RGB")
    if _has_alpha(image):
        image = image.convert("RGBA")
        if channels != 4:
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _sixteen_to_eight(image: Image.Image, name: str) -> Image.Image:
    """Scales 16-bit grey to 8 bits; Pillow's own convert would clip at 255."""
    values = np.asarray(image).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise BrokenPicture(
            name, "unreadable", "32-bit integer pixels; save it with 8 or 16 bits"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
            if converted is not None:
                return converted
        # A damaged profile: the plain formula is close enough to keep the picture.
        except Exception:
            pass
    return image.convert("RGB")
