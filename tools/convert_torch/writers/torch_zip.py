"""Writes what ``torch.load`` reads, without torch: a zip of a pickle and raw storages.

The pickle names `torch._utils._rebuild_tensor_v2` and storage types only, so that
``torch.load(weights_only=True)`` accepts it. Equal content gives equal bytes.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stylegan_jax.checkpoints.atomic import replacing
from stylegan_jax.errors import UserError

STORAGES: Mapping[str, str] = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}

# PyTorch aligns storages so that they can be mapped into memory.
ALIGNMENT = 64
# The first date that a zip can hold: files do not depend on when they were written.
EPOCH = (1980, 1, 1, 0, 0, 0)


def save_torch(path: str | Path, tree: Any) -> None:
    """Writes a PyTorch file, atomically.

    Args:
        path: where to; by custom ending in ``.pt`` or ``.pth``.
        tree: nested dicts, lists and tuples of str, int, float, bool, None and arrays.

    Raises:
        UserError: a value of another kind, or a place not writable.
    """
    pickle = _Pickle()
    pickle.value(tree)
    with replacing(path) as aside, aside.open("wb") as stream:
        _write_zip(stream, Path(path).stem or "archive", pickle)


def _write_zip(stream: BinaryIO, name: str, pickle: _Pickle) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        _member(archive, stream, f"{name}/data.pkl", pickle.done())
        _member(archive, stream, f"{name}/byteorder", b"little")
        for key, array in enumerate(pickle.storages):
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            _member(archive, stream, f"{name}/data/{key}", little.tobytes())
        _member(archive, stream, f"{name}/version", b"3\n")


def _member(archive: zipfile.ZipFile, stream: BinaryIO, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    # A local header is 30 bytes, the name, and an extra field of 4 bytes and padding.
    start = stream.tell() + 30 + len(name.encode()) + 4
    padding = -start % ALIGNMENT
    info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    archive.writestr(info, data)


class _Pickle:
    """A pickle of protocol 2, built instruction by instruction."""

    def __init__(self) -> None:
        self._parts: list[bytes] = [b"\x80\x02"]
        self.storages: list[np.ndarray] = []

    def done(self) -> bytes:
        """The whole pickle."""
        return b"".join([*self._parts, b"."])

    def value(self, value: Any) -> None:
        """Appends a value."""
        if value is None:
            self._emit(b"N")
        elif isinstance(value, bool):
            self._emit(b"\x88" if value else b"\x89")
        elif isinstance(value, int):
            self._int(value)
        elif isinstance(value, float):
            self._emit(b"G" + struct.pack(">d", value))
        elif isinstance(value, str):
            text = value.encode("utf-8")
            self._emit(b"X" + struct.pack("<I", len(text)) + text)
        elif isinstance(value, Mapping):
            self._mapping(value)
        elif isinstance(value, np.ndarray | np.generic):
            self._tensor(np.asarray(value))
        elif isinstance(value, tuple):
            self._sequence(b"(", value, b"t")
        elif isinstance(value, Sequence):
            self._emit(b"]")
            self._sequence(b"(", value, b"e")
        else:
            raise UserError(
                f"cannot write a {type(value).__name__} into a PyTorch file: give "
                "arrays, numbers, text, lists or dicts."
            )

    def _emit(self, data: bytes) -> None:
        self._parts.append(data)

    def _int(self, value: int) -> None:
        if -(2**31) <= value < 2**31:
            self._emit(b"J" + struct.pack("<i", value))
            return
        size = value.bit_length() // 8 + 1
        self._emit(
            b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
        )

    def _mapping(self, value: Mapping[Any, Any]) -> None:
        self._emit(b"}(")
        for key, item in value.items():
            self.value(key)
            self.value(item)
        self._emit(b"u")

    def _sequence(self, begin: bytes, items: Sequence[Any], end: bytes) -> None:
        self._emit(begin)
        for item in items:
            self.value(item)
        self._emit(end)

    def _global(self, module: str, name: str) -> None:
        self._emit(f"c{module}\n{name}\n".encode())

    def _tensor(self, array: np.ndarray) -> None:
        """A call of torch's rebuild function on a storage of its own."""
        storage = STORAGES.get(array.dtype.name)
        if storage is None:
            raise UserError(f"PyTorch files hold no {array.dtype.name}: use float32.")
        key = len(self.storages)
        self.storages.append(np.array(array, order="C", copy=None))
        self._global("torch._utils", "_rebuild_tensor_v2")
        self._emit(b"((")
        self.value("storage")
        self._global("torch", storage)
        self.value(str(key))
        self.value("cpu")
        self.value(int(array.size))
        self._emit(b"tQ")  # the storage is named, its bytes lie outside the pickle
        self.value(0)
        self.value(tuple(int(n) for n in array.shape))
        self.value(_strides(array.shape))
        self.value(False)
        self._global("collections", "OrderedDict")
        self._emit(b")RtR")


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides, counted in elements."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(int(length), 1)
    return tuple(reversed(strides))
