"""Writes files as PyTorch does, without PyTorch: containers for the tests of readers.

A tree is made of dicts, lists, tuples, numbers, text, bytes, `argparse.Namespace`,
NumPy arrays (which become tensors) and the classes below, for what only a pickle can
say. `torch.load` opens these files.
"""

from __future__ import annotations

import argparse
import dataclasses
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}


@dataclasses.dataclass(frozen=True)
class Named:
    """A class or function by its dotted name."""

    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    """The call of a named function with arguments."""

    name: str
    args: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class Made:
    """An object of a named class: arguments, state, and a dict subclass's entries."""

    name: str
    state: Any = None
    args: tuple[Any, ...] = ()
    entries: dict[Any, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Persistent:
    """An object that the pickle refers to by an identity."""

    identity: Any


@dataclasses.dataclass(frozen=True)
class BFloat16:
    """A float32 array to be written as bfloat16, its lower bits cut off."""

    array: np.ndarray


@dataclasses.dataclass(frozen=True)
class View:
    """A strided view of a flat array; views of one array share its storage."""

    base: np.ndarray
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


class Raw(bytes):
    """Pickle instructions, put in as they are."""


def module(
    name: str,
    parameters: dict[str, Any] | None = None,
    buffers: dict[str, Any] | None = None,
    modules: dict[str, Any] | None = None,
    **attributes: Any,
) -> Made:
    """A `torch.nn.Module` of a class called `name`."""
    return Made(name, module_state(parameters, buffers, modules, **attributes))


def module_state(
    parameters: dict[str, Any] | None = None,
    buffers: dict[str, Any] | None = None,
    modules: dict[str, Any] | None = None,
    **attributes: Any,
) -> dict[str, Any]:
    return {
        "training": False,
        "_parameters": parameters or {},
        "_buffers": buffers or {},
        "_non_persistent_buffers_set": Call("builtins.set", ([],)),
        "_modules": modules or {},
        **attributes,
    }


def persistent(class_name: str, state: dict[str, Any]) -> Call:
    """An object as NVIDIA's `persistence` writes it, without its source text."""
    meta = {
        "type": "class",
        "version": 6,
        "module_src": "raise SystemExit('the source text was run')",
        "class_name": class_name,
        "state": state,
    }
    easy = Made("dnnlib.util.EasyDict", entries=meta)
    return Call("torch_utils.persistence._reconstruct_persistent_obj", (easy,))


def pickled(tree: Any, tensor: Callable[[Any], Any] | None = None) -> bytes:
    """A pickle of `tree`; `tensor` says in the same terms what an array becomes."""
    return b"\x80\x02" + _emit(tree, tensor) + b"."


def torch_zip(path: str | Path, tree: Any, *, folder: str = "archive") -> None:
    """Writes what `torch.save(tree, path)` does."""
    storages = _Storages()
    data = pickled(tree, storages.tensor)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{folder}/data.pkl", data)
        archive.writestr(f"{folder}/byteorder", b"little")
        for key, array in storages.arrays.items():
            with archive.open(f"{folder}/data/{key}", "w", force_zip64=True) as member:
                member.write(memoryview(array).cast("B") if array.size else b"")
        archive.writestr(f"{folder}/version", b"3\n")


def torch_legacy(tree: Any) -> bytes:
    """What `torch.save(tree, …, _use_new_zipfile_serialization=False)` writes."""
    storages = _Storages(legacy=True)
    data = pickled(tree, storages.tensor)
    parts = [pickle.dumps(value, 2) for value in (LEGACY_MAGIC, 1001, SYSTEM)]
    parts += [data, pickle.dumps(list(storages.arrays), 2)]
    for array in storages.arrays.values():
        parts += [struct.pack("<q", array.size), array.tobytes()]
    return b"".join(parts)


def write_torch_zip(path: str | Path, tree: Any) -> None:
    """Writes `tree` as a zip file of PyTorch."""
    torch_zip(path, tree)


def write_torch_legacy(path: str | Path, tree: Any) -> None:
    """Writes `tree` as a legacy file of PyTorch."""
    Path(path).write_bytes(torch_legacy(tree))


def write_torch_pickle(path: str | Path, tree: Any) -> None:
    """Writes `tree` as Python's pickle does, each tensor a legacy file inside it."""
    Path(path).write_bytes(pickled(tree, _tensor_inside))


class _Storages:
    """The storages of one file, collected while its pickle is written."""

    def __init__(self, *, legacy: bool = False) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        # A legacy file says of every storage that it is no part of another.
        self._view = (None,) if legacy else ()
        self._keys: dict[int, str] = {}
        self._alive: list[np.ndarray] = []

    def tensor(self, value: np.ndarray | BFloat16 | View) -> Call:
        array, kind, shape, strides, offset = _described(value)
        base = value.base if isinstance(value, View) else array
        if id(base) not in self._keys:
            self._keys[id(base)] = str(len(self._keys))
            self._alive.append(base)
            self.arrays[self._keys[id(base)]] = array
        identity = (
            "storage",
            Named(f"torch.{kind}"),
            self._keys[id(base)],
            "cpu",
            array.size,
            *self._view,
        )
        return _rebuilt(Persistent(identity), shape, strides, offset)


def _tensor_inside(value: np.ndarray | BFloat16 | View) -> Call:
    array, kind, shape, strides, offset = _described(value)
    identity = ("storage", Named(f"torch.{kind}"), "0", "cpu", array.size, None)
    parts = [pickle.dumps(item, 2) for item in (LEGACY_MAGIC, 1001, SYSTEM)]
    parts += [pickled(Persistent(identity)), pickle.dumps(["0"], 2)]
    parts += [struct.pack("<q", array.size), array.tobytes()]
    storage = Call("torch.storage._load_from_bytes", (b"".join(parts),))
    return _rebuilt(storage, shape, strides, offset)


def _described(value: np.ndarray | BFloat16 | View) -> tuple[Any, ...]:
    """Flat array, storage class, shape, strides and offset in elements."""
    if isinstance(value, View):
        kind = STORAGES[value.base.dtype.name]
        return value.base, kind, value.shape, value.strides, value.offset
    if isinstance(value, BFloat16):
        bits = np.asarray(value.array, "<f4").view("<u4") >> 16
        flat, kind = bits.astype("<u2").reshape(-1), "BFloat16Storage"
        shape = value.array.shape
    else:
        flat, kind = np.ascontiguousarray(value).reshape(-1), STORAGES[value.dtype.name]
        shape = value.shape
    strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    return flat, kind, shape, strides, 0


def _rebuilt(storage: Any, shape: Any, strides: Any, offset: int) -> Call:
    hooks = Call("collections.OrderedDict")
    args = (storage, offset, tuple(shape), tuple(strides), False, hooks)
    return Call("torch._utils._rebuild_tensor_v2", args)


def _emit(value: Any, tensor: Callable[[Any], Any] | None) -> bytes:
    """The instructions that leave `value` on the stack."""

    def many(values: Any) -> bytes:
        return b"".join(_emit(item, tensor) for item in values)

    def flat(entries: dict[Any, Any]) -> list[Any]:
        return [part for pair in entries.items() for part in pair]

    match value:
        case Raw():
            return bytes(value)
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        case int():
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + many(value) + b"t"
        case list():
            return b"](" + many(value) + b"e"
        case dict():
            return b"}(" + many(flat(value)) + b"u"
        case Named():
            place, _, name = value.name.rpartition(".")
            place = {"builtins": "__builtin__"}.get(place, place)
            return f"c{place}\n{name}\n".encode()
        case Call():
            return many([Named(value.name), value.args]) + b"R"
        case Made():
            code = many([Named(value.name), value.args]) + b"\x81"
            if value.entries is not None:
                code += b"(" + many(flat(value.entries)) + b"u"
            return code if value.state is None else code + many([value.state]) + b"b"
        case argparse.Namespace():
            return many([Made("argparse.Namespace", vars(value))])
        case Persistent():
            return many([value.identity]) + b"Q"
        case np.ndarray() | BFloat16() | View():
            assert tensor is not None, "this container has no tensors"
            return many([tensor(value)])
    raise TypeError(f"no pickle of {type(value).__name__}")
