"""What `stylize` takes in: pictures, drawings in grey and maps of classes."""

from __future__ import annotations

import colorsys
import dataclasses
import functools
import hashlib
import os
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from stylegan_jax.checkpoints.contact_sheet import viewable
from stylegan_jax.data import images, label_maps, sources
from stylegan_jax.errors import UserError

# The golden section: hues of neighbouring classes lie far apart.
_TURN = 0.618034


class OnePicture(sources.Source):
    """A single picture as a source."""

    kind = "picture"

    def __init__(self, path: str | os.PathLike):
        """Reads nothing yet.

        Args:
            path: the file.
        """
        self.path = os.fspath(path)
        self.names = [Path(path).name]

    def read(self, index: int) -> bytes:
        """Returns the file's bytes."""
        name, size = self.names[index], self.size(index)
        if size > images.MAX_FILE_BYTES:
            reason = f"declares {size} bytes, too many"
            raise images.BrokenPicture(name, "bomb", reason)
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise images.BrokenPicture(name, "unreadable", reason) from error

    def size(self, index: int) -> int:
        """Returns the file's size; -1 where it is gone."""
        try:
            return os.stat(self.path).st_size
        except OSError:
            return -1

    def document(self) -> dict:
        """A single picture has none."""
        return {}


def open_pictures(path: str | os.PathLike) -> sources.Source:
    """Opens a picture, or whatever `data.sources.open_source` takes.

    Raises:
        UserError: nothing is there, it is of no known kind, or it has no pictures.
    """
    file = Path(path)
    if file.is_file() and file.suffix.lower() in images.SUFFIXES:
        return OnePicture(path)
    source = sources.open_source(path)
    if not len(source):
        raise UserError(f"{path} holds no pictures: check the path.")
    return source


def stamp(source: sources.Source, index: int) -> str:
    """What changes when a picture is written anew: its size, and its time on disk."""
    parts = [source.size(index)]
    if isinstance(source, OnePicture):
        parts.append(sources.modified(source.path))
    elif source.kind == "folder":
        parts.append(sources.modified(Path(source.path) / source.names[index]))
    return "-".join(map(str, parts))


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a model sees.

    Attributes:
        size: side in pixels.
        channels: 1 for grey and for class maps, 3 for RGB.
        classes: of a class map; 0 for pictures.
        shape_of_others: what becomes of pictures that are not square: ``refuse``,
            ``crop`` to the central square, or ``keep``, mirrored at the borders.
    """

    size: int
    channels: int
    classes: int = 0
    shape_of_others: str = "refuse"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of what `read` returns."""
        return self.size, self.size, self.channels

    def read(self, data: bytes, name: str) -> np.ndarray:
        """Reads a picture as the model wants it.

        Args:
            data: the encoded picture; EXIF orientation is applied.
            name: what to call it in errors.

        Returns:
            [size, size, channels] uint8: a picture, resized with Lanczos' filter, or
            the numbers of classes, of the nearest pixels.

        Raises:
            BrokenPicture: it cannot be decoded, is not square, or is no class map.
        """
        if self.classes:
            image = _class_map(data, name, self.classes)
        else:
            image = images.decode(data, name, channels=self.channels)
        width, height = image.size
        if width != height and self.shape_of_others == "refuse":
            raise images.BrokenPicture(
                name,
                "unreadable",
                f"is {height}x{width} and not square; align it (stylegan-jax data "
                "align) or crop it first",
            )
        return self._sized(image)

    def window(self, data: bytes, name: str) -> tuple[slice, slice] | None:
        """Rows and columns of what `read` returns that the picture itself takes.

        Args:
            data: the encoded picture.
            name: what to call it in errors.

        Returns:
            None for all of them.

        Raises:
            BrokenPicture: it is no picture.
        """
        if self.shape_of_others != "keep":
            return None
        header = images.read_header(data, name)
        if header.width == header.height:
            return None
        width, height = _within(header.width, header.height, self.size)
        top, left = (self.size - height) // 2, (self.size - width) // 2
        return slice(top, top + height), slice(left, left + width)

    def fit(self, picture: np.ndarray) -> np.ndarray:
        """A square picture [S, S, C] uint8 as `read` returns pictures."""
        image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
        return self._sized(image.convert("L" if self.channels == 1 else "RGB"))

    def _sized(self, image: Image.Image) -> np.ndarray:
        how = Image.Resampling.NEAREST if self.classes else Image.Resampling.LANCZOS
        if self.shape_of_others == "keep" and image.width != image.height:
            inner = _within(*image.size, self.size)
            return _mirrored(images.to_array(image.resize(inner, how)), self.size)
        if image.size != (self.size, self.size):
            box = images.crop_box(image.size, (1, 1))
            image = image.resize((self.size, self.size), how, box=box)
        return images.to_array(image)

    def show(self, picture: np.ndarray) -> np.ndarray:
        """What `read` returned, for people: RGB [size, size, 3] uint8."""
        if not self.classes:
            return viewable(picture)
        return class_colours(self.classes)[picture[:, :, 0]]


def _within(width: int, height: int, size: int) -> tuple[int, int]:
    """(width, height) of a picture whose longer side is made ``size``."""
    longer = max(width, height)
    return max(1, round(width * size / longer)), max(1, round(height * size / longer))


def _mirrored(picture: np.ndarray, size: int) -> np.ndarray:
    """Puts [h, w, C] into the middle of [size, size, C], mirrored at its borders."""
    pads = [
        ((size - side) // 2, size - side - (size - side) // 2)
        for side in picture.shape[:2]
    ]
    return np.pad(picture, (*pads, (0, 0)), mode="reflect")


@functools.cache
def class_colours(classes: int) -> np.ndarray:
    """A colour for each class, class 0 black: [classes, 3] uint8."""
    colours = np.zeros((classes, 3), np.uint8)
    for i in range(1, classes):
        value = (1.0, 0.75, 0.5)[i % 3]
        rgb = colorsys.hsv_to_rgb(i * _TURN % 1, 0.7, value)
        colours[i] = [round(255 * x) for x in rgb]
    return colours


def _class_map(data: bytes, name: str, classes: int) -> Image.Image:
    """Decodes numbers of classes below ``classes``."""
    image = label_maps.decode(data, name)
    largest = int(np.asarray(image).max())
    if largest >= classes:
        raise images.BrokenPicture(
            name,
            "unreadable",
            f"has class {largest}, and this model knows 0 to {classes - 1}",
        )
    return image


class Seconds:
    """The second picture of each, for models that take two.

    Attributes:
        document: JSON values that change when the pictures do.
    """

    def __init__(self, path: str | os.PathLike):
        """Lists the pictures.

        Args:
            path: one picture for all, or whatever `open_pictures` takes; its pictures
                are found by their names without suffix.

        Raises:
            UserError: nothing is there, or two pictures have one name.
        """
        self._source = open_pictures(path)
        self._path = os.fspath(path)
        self._one = isinstance(self._source, OnePicture)
        self._places: dict[str, int] = {}
        for place, name in enumerate(self._source.names):
            stem = _stem(name)
            if stem in self._places:
                raise UserError(
                    f"{path} has two pictures named {stem}: which one is meant for "
                    "a picture of that name is not known, so rename one."
                )
            self._places[stem] = place
        content = self._source.read(0) if self._one else None
        self.document = {
            "file": Path(path).name,
            "content": (
                self._source.fingerprint()
                if content is None
                else hashlib.sha256(content).hexdigest()
            ),
        }

    def of(self, name: str, kind: Kind) -> np.ndarray:
        """The second picture of the one called ``name``, as ``kind`` reads it.

        Raises:
            BrokenPicture: there is none, or it cannot be read.
        """
        place = 0 if self._one else self._places.get(_stem(name))
        if place is None:
            reason = f"has no partner of its name in {self._path}"
            raise images.BrokenPicture(name, "unreadable", reason)
        own = self._source.names[place]
        return Kind.read(kind, self._source.read(place), own)


@dataclasses.dataclass(frozen=True)
class TwoPictures(Kind):
    """What a model of two pictures sees: one behind the other on the channels.

    Attributes:
        seconds: where the second ones come from; None where arrays are given.
    """

    seconds: Seconds | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of what `read` returns."""
        return self.size, self.size, 2 * self.channels

    def read(self, data: bytes, name: str) -> np.ndarray:
        """Reads a picture and its second one; see `Kind.read`."""
        assert self.seconds is not None  # a command that reads files has them
        first = super().read(data, name)
        return np.concatenate([first, self.seconds.of(name, self)], axis=2)

    def show(self, picture: np.ndarray) -> np.ndarray:
        """What `read` returned, for people: RGB [size, 2 size, 3] uint8."""
        both = np.split(picture, 2, axis=2)
        return np.concatenate([viewable(x) for x in both], axis=1)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
