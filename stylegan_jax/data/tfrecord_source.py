"""Pictures in NVIDIA's TFRecords, read without TensorFlow.

A set is a folder with one file per resolution, ``NAME-r08.tfrecords`` for 256 pixels
(2^8), and perhaps ``NAME-rxx.labels``, a numpy array with one row per picture. A record
is a `tf.train.Example` with ``shape`` (channels, height, width) and ``data``, the
pixels of all channels one after the other.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylegan_jax.data import images, labels
from stylegan_jax.data.crc32c import masked_crc32c
from stylegan_jax.data.sources import Source, modified
from stylegan_jax.errors import UserError

SUFFIX = ".tfrecords"
_LEVEL = re.compile(r"(?P<set>.+)-r(?P<level>\d\d)\.tfrecords$")
# A record is its length, the length's checksum, its bytes and their checksum.
_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")


class TFRecordSource(Source):
    """Pictures in one ``.tfrecords`` file, in the order of its records.

    Pixels come out as PPM, PGM or PNG, which decode to the same values. Checksums of
    lengths are verified when the file is opened, those of pictures when they are read.
    """

    kind = "tfrecord"

    def __init__(self, path: str, size: int | None = None):
        """Reads the places of all records.

        Args:
            path: a file, or a folder of files that differ in resolution.
            size: which resolution of a folder; None means the largest.

        Raises:
            UserError: damaged, or no such file.
        """
        self._file = choose_file(path, size)
        self.path = path
        self._offsets, self._lengths, self._checksums = _scan(self._file)
        if not len(self._offsets):
            raise UserError(f"{self._file} holds no records: was it written?")
        self.names = [f"record{i:08d}.png" for i in range(len(self._offsets))]
        self._labels: labels.Labels | None = None

    @property
    def name(self) -> str:
        """The set's name, without the resolution."""
        found = _LEVEL.match(self._file.name)
        return found["set"] if found else self._file.stem

    def size(self, index: int) -> int:
        """Returns the size of the record."""
        return int(self._lengths[index])

    def read(self, index: int) -> bytes:
        """Returns the picture, encoded."""
        name, length = self.names[index], self.size(index)
        if length > images.MAX_FILE_BYTES:
            raise images.BrokenPicture(
                name,
                "bomb",
                f"declares {length} bytes, more than the limit of "
                f"{images.MAX_FILE_BYTES}",
            )
        try:
            # Opened anew each time: threads share no position, processes no handle.
            with self._file.open("rb") as file:
                file.seek(int(self._offsets[index]))
                data = file.read(length)
        except OSError as error:
            raise images.BrokenPicture(
                name, "unreadable", f"cannot be read ({error.strerror})"
            ) from error
        if len(data) != length or masked_crc32c(data) != self._checksums[index]:
            raise images.BrokenPicture(
                name, "unreadable", "damaged (its checksum differs)"
            )
        return _picture(data, name)

    def labels(self) -> labels.Labels | None:
        """Returns the rows of the ``.labels`` file; classes where they are one-hot.

        Raises:
            UserError: the file is damaged or of another length.
        """
        if self._labels is None:
            file = self._label_file()
            rows = None if file is None else _rows(file, len(self))
            if rows is not None:
                self._labels = dict(zip(self.names, rows, strict=True))
        return self._labels

    def document(self) -> dict:
        """Returns the labels as in `dataset.json`, which fingerprints take in."""
        return {"labels": [[name, row] for name, row in (self.labels() or {}).items()]}

    def fingerprint(self) -> str:
        """Like the others', and the checksums of all records."""
        digest = hashlib.sha256(super().fingerprint().encode())
        digest.update(self._checksums.tobytes())
        return digest.hexdigest()

    def stamp(self) -> str:
        """Includes the times of the file and its labels, and which file was chosen."""
        file = self._label_file()
        times = [modified(self._file), modified(file) if file else -1]
        return f"{super().stamp()} {self._file.name} {times}"

    def _label_file(self) -> Path | None:
        """``NAME-rxx.labels``; else the folder's only one."""
        own = self._file.with_name(f"{self.name}-rxx.labels")
        if own.is_file():
            return own
        others = sorted(self._file.parent.glob("*.labels"))
        if len(others) > 1:
            raise UserError(
                f"{self._file.parent} has several files of labels and none is "
                f"{own.name}: remove those of other sets."
            )
        return others[0] if others else None


def choose_file(path: str | os.PathLike, size: int | None = None) -> Path:
    """Finds the file of a set's resolution.

    Args:
        path: a file, which is taken as it is, or a folder.
        size: side in pixels; None means the largest.

    Raises:
        UserError: no such file, or files of several sets.
    """
    file = Path(path)
    if not file.is_dir():
        if size is not None:
            raise UserError(
                f"{path} is one file: a size (@{size}) goes with a folder of them."
            )
        return file
    found = {
        p: match
        for p in sorted(file.glob("*" + SUFFIX))
        if (match := _LEVEL.match(p.name))
    }
    sets = sorted({match["set"] for match in found.values()})
    if len(sets) != 1:
        said = f"files of several sets, {', '.join(sets)}" if sets else "no files"
        raise UserError(
            f"{path} has {said} named NAME-r08.tfrecords: name one file instead."
        )
    levels = {2 ** int(match["level"]): p for p, match in found.items()}
    if size is not None and size not in levels:
        raise UserError(
            f"{path} has no pictures of size {size}: choose from "
            f"{', '.join(map(str, sorted(levels)))}."
        )
    return levels[size or max(levels)]


def has_tfrecords(folder: str | os.PathLike) -> bool:
    """Whether files named as NVIDIA's lie in a folder."""
    return any(_LEVEL.match(name) for name in os.listdir(folder))


def parse_example(data: bytes) -> dict[str, Any]:
    """Reads a serialised `tf.train.Example`.

    Returns:
        Feature to a list of bytes or of integers; None for a feature of floats.

    Raises:
        ValueError: these bytes are no such message.
    """
    features: dict[str, Any] = {}
    for entries in _fields(data, 1):
        for entry in _fields(entries, 1):
            name = b"".join(_fields(entry, 1)).decode("utf-8")
            features[name] = None
            for feature in _fields(entry, 2):
                for values in _fields(feature, 1):
                    features[name] = [bytes(item) for item in _fields(values, 1)]
                for values in _fields(feature, 3):
                    features[name] = _integers(values)
    return features


def _integers(data: memoryview | bytes) -> list[int]:
    """The numbers of an Int64List, packed or one by one."""
    found = []
    for wire, value in _all_fields(data, 1):
        if wire == 0:
            found.append(value)
            continue
        place = 0
        while place < len(value):
            number, place = _varint(value, place)
            found.append(number)
    return found


def _fields(data: memoryview | bytes, wanted: int) -> Iterator[memoryview]:
    """The contents of a message's fields of one number, which have a length."""
    for wire, value in _all_fields(data, wanted):
        if wire != 2:
            raise ValueError("a field of an unexpected type")
        yield value


def _all_fields(data: memoryview | bytes, wanted: int) -> Iterator[tuple[int, Any]]:
    """Wire type and value of a message's fields of one number."""
    view = memoryview(data)
    place = 0
    while place < len(view):
        key, place = _varint(view, place)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == 0:
            value, place = _varint(view, place)
        else:
            if wire == 2:
                length, place = _varint(view, place)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise ValueError(f"wire type {wire}")
            if place + length > len(view):
                raise ValueError("cut off")
            value, place = view[place : place + length], place + length
        if number == wanted:
            yield wire, value


def _varint(view: memoryview | bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits per byte, and the place behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(view):
            raise ValueError("cut off")
        byte = view[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number of more than 64 bits")


def _scan(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the records' places, lengths and checksums; each [N]."""
    offsets: list[int] = []
    lengths: list[int] = []
    checksums: list[int] = []
    try:
        with file.open("rb") as stream:
            total = os.fstat(stream.fileno()).st_size
            place = 0
            while place < total:
                stream.seek(place)
                head = stream.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    raise _cut_off(file, len(offsets))
                length, checksum = _HEAD.unpack(head)
                if masked_crc32c(head[:8]) != checksum:
                    raise UserError(
                        f"{file} is no TFRecord file, compressed, or damaged at byte "
                        f"{place} (record {len(offsets)}): copy it again."
                    )
                place += _HEAD.size
                if place + length + _FOOT.size > total:
                    raise _cut_off(file, len(offsets))
                stream.seek(place + length)
                offsets.append(place)
                lengths.append(length)
                checksums += _FOOT.unpack(stream.read(_FOOT.size))
                place += length + _FOOT.size
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}).") from error
    return (
        np.array(offsets, np.int64),
        np.array(lengths, np.int64),
        np.array(checksums, np.uint32),
    )


def _cut_off(file: Path, record: int) -> UserError:
    return UserError(f"{file} is cut off in record {record}: was it copied completely?")


def _picture(data: bytes, name: str) -> bytes:
    """Turns a record into an encoded picture."""
    try:
        features = parse_example(data)
    except ValueError as error:  # UnicodeDecodeError is one
        raise images.BrokenPicture(
            name, "unreadable", f"is no tf.train.Example ({error})"
        ) from error
    shape, content = features.get("shape"), features.get("data")
    if not (
        isinstance(shape, list)
        and isinstance(content, list)
        and len(content) == 1
        and isinstance(content[0], bytes)
    ):
        raise images.BrokenPicture(
            name,
            "unreadable",
            "has no features 'shape' and 'data' as NVIDIA's sets do (it has "
            f"{', '.join(features) or 'none'})",
        )
    pixels = content[0]
    fits = (
        len(shape) == 3
        and all(isinstance(side, int) and 0 < side < 2**31 for side in shape)
        and shape[0] in images.MODES
        and math.prod(shape) == len(pixels)
    )
    if not fits:
        raise images.BrokenPicture(
            name,
            "unreadable",
            f"its shape {shape} is not that of {len(pixels)} bytes of 1, 3 or 4 "
            "channels",
        )
    channels, height, width = shape
    array = np.frombuffer(pixels, np.uint8).reshape(shape).transpose(1, 2, 0)
    if channels == 4:
        return images.encode_png(Image.fromarray(np.ascontiguousarray(array)))
    # Nothing to compress, since whoever asks decodes it at once.
    magic = b"P5" if channels == 1 else b"P6"
    return b"%s %d %d 255\n" % (magic, width, height) + array.tobytes()


def _rows(file: Path, num: int) -> list[labels.Label] | None:
    """The labels of a numpy file, one per picture; None where rows are empty."""
    try:
        with file.open("rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{file} is no numpy array of labels ({error}): mend it or remove it."
        ) from error
    fits = (
        array.ndim in (1, 2)
        and array.dtype.kind in "iuf"
        and bool(np.isfinite(array).all())
    )
    if not fits or len(array) != num:
        said = f"{list(array.shape)} {array.dtype}" if fits else "something else"
        raise UserError(
            f"{file} has {said} where one row of numbers for each of {num} pictures is "
            "expected: mend it or remove it."
        )
    if array.ndim == 1:
        if array.dtype.kind == "f" or (array < 0).any():
            raise UserError(
                f"{file} has {array.dtype} numbers where classes from 0 are expected: "
                "mend it or remove it."
            )
        return [int(value) for value in array]
    if not array.shape[1]:
        return None
    one_hot = ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()
    # A last class without pictures would be lost as a number.
    if one_hot and array.shape[1] > 1 and array[:, -1].any():
        return [int(value) for value in array.argmax(axis=1)]
    return [[float(item) for item in row] for row in array]
