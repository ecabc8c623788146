"""Model files: one safetensors file per model, with a JSON document in its header.

Tensors are named ``<collection>/<path>``, e.g. ``params/mapping/fc0/weight``. The
header's ``__metadata__`` holds a key ``stylegan_jax``: a JSON document of ``format``,
``family``, ``config`` (constructor fields), ``provenance`` and ``licence``. Nothing of
it is executed, and reading takes no more memory than the file is long.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stylegan_jax.checkpoints.atomic import write_bytes
from stylegan_jax.errors import UserError

FORMAT = 1
METADATA_KEY = "stylegan_jax"
FAMILIES = (
    "stylegan2.generator",
    "stylegan2.discriminator",
    "stylegan1.generator",
    "stylegan1.discriminator",
    "mobilestylegan",
    "facespace",
    "facespace.encoder",
    "psp",
    "psp.encoder",
    "pix2pixhd.global",
    "pix2pixhd.local",
    "pix2pixhd.discriminator",
    "pix2pixhd.encoder",
    "features.inception_v3",
    "features.vgg",
    "features.alexnet",
    "features.lpips",
    "features.irse",
    "features.mobilefacenet",
    "features.resnet",
    "attributes",
)

MAX_HEADER_BYTES = 100_000_000  # the safetensors library's own limit
MAX_RANK = 16

# The tensor types a model file may hold, by their safetensors names.
DTYPES: Mapping[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "U32": np.dtype("<u4"),
    "BOOL": np.dtype("?"),
}

# How other files begin, and what to tell someone who hands one over.
FOREIGN = "run stylegan-jax convert on it first"
SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a PyTorch checkpoint or another zip archive", FOREIGN),
    (b"\x80\x02", "a Python pickle (an older PyTorch checkpoint)", FOREIGN),
    (b"\x80\x03", "a Python pickle (NVIDIA's .pkl networks are such)", FOREIGN),
    (b"\x80\x04", "a Python pickle (NVIDIA's .pkl networks are such)", FOREIGN),
    (b"\x80\x05", "a Python pickle", FOREIGN),
    (b"\x89HDF", "an HDF5 file (Keras weights are such)", "give another file"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch it with git lfs pull"),
    (b"<", "a web page", "the download went wrong, so fetch the file again"),
    (b"\x89PNG", "a PNG picture", "give a model file instead"),
    (b"\xff\xd8\xff", "a JPEG picture", "give a model file instead"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"{", "a JSON file", "give a model file instead"),
)


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Attributes:
        variables: nested dicts of NumPy arrays, the collections at the top.
        family: which kind of model, one of `FAMILIES`.
        config: the constructor fields of its module, as JSON values.
        metadata: the whole JSON document, provenance and licence included.
    """

    variables: dict[str, Any]
    family: str
    config: dict[str, Any]
    metadata: dict[str, Any]


def save_model(
    path: str | Path,
    variables: Mapping[str, Any],
    *,
    family: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    licence: str,
) -> None:
    """Writes a model file, atomically; equal arguments give equal bytes.

    Args:
        path: where to, by custom ending in ``.safetensors``.
        variables: collections of nested dicts of arrays, e.g. ``{"params": …}``.
        family: one of `FAMILIES`.
        config: constructor fields of the module; tuples become JSON lists.
        provenance: where the weights come from, JSON values.
        licence: the licence the weights are under, in words.

    Raises:
        UserError: unknown family, a value that JSON cannot hold, a name with a slash,
            an array type that model files do not hold, or a place not writable.
    """
    from safetensors.numpy import save

    _check_family(family, path)
    tensors: dict[str, np.ndarray] = {}
    for name, value in flatten(variables).items():
        array = np.asarray(value)
        if array.dtype not in DTYPES.values():
            raise UserError(
                f"cannot save {name} in {path}: model files do not hold "
                f"{array.dtype}; convert it to float32."
            )
        # ascontiguousarray would turn scalars into vectors.
        tensors[name] = np.array(array, order="C", copy=None)
    document = {
        "format": FORMAT,
        "family": family,
        "config": dict(config),
        "provenance": dict(provenance),
        "licence": licence,
    }
    try:
        text = json.dumps(document, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"cannot save {path}: its config or provenance is not JSON ({error})."
        ) from error
    write_bytes(path, save(tensors, metadata={METADATA_KEY: text}))


def read_model(path: str | Path) -> ModelFile:
    """Reads and checks a model file.

    Args:
        path: a file that `save_model` wrote.

    Returns:
        Its variables as NumPy arrays of their own memory, and its document.

    Raises:
        UserError: no such file, not safetensors (says what it looks like), truncated
            or damaged, no document or one of another format, or an unknown family.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            header, start, size = _read_header(stream, path)
            metadata = _document(header.pop("__metadata__", None), path)
            entries = _entries(header, size - start, path)
            variables: dict[str, Any] = {}
            for name, dtype, shape, begin in entries:
                stream.seek(start + begin)
                array = np.fromfile(stream, dtype, math.prod(shape))
                if array.size != math.prod(shape):  # it shrank while being read
                    raise UserError(_cut_short(path, start + begin))
                _insert(variables, name, array.reshape(shape), path)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder and not a model file.") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    return ModelFile(
        variables=variables,
        family=metadata["family"],
        config=metadata["config"],
        metadata=metadata,
    )


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Reads a model file's JSON document alone; raises as `read_model` does."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            header, _, _ = _read_header(stream, path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    return _document(header.pop("__metadata__", None), path)


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a model file's tensors by name; raises as `read_model` does."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            header, start, size = _read_header(stream, path)
            header.pop("__metadata__", None)
            return {n: shape for n, _, shape, _ in _entries(header, size - start, path)}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def is_safetensors(path: str | Path) -> bool:
    """Whether a file begins as safetensors files do; False where it cannot be read."""
    if not os.path.isfile(path):  # opening a pipe would wait for its other end
        return False
    try:
        with open(path, "rb") as stream:
            first = stream.read(9)
    except OSError:
        return False
    return first[8:9] == b"{" and struct.unpack("<Q", first[:8])[0] <= MAX_HEADER_BYTES


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file in hexadecimal, read in pieces.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested dicts to ``{"a/b/c": leaf}``, names in sorted order.

    Raises:
        UserError: a key is not text, is empty, or has a slash in it.
    """
    flat: dict[str, Any] = {}
    for key in sorted(tree, key=str):
        if not isinstance(key, str) or not key or "/" in key:
            raise UserError(
                f"variables under '{prefix}' have a key {key!r}: keys must be text "
                "without slashes."
            )
        value = tree[key]
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}/"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _read_header(stream: BinaryIO, path: Path) -> tuple[dict[str, Any], int, int]:
    """The header as a dict, the byte where tensors begin, and the file's size."""
    size = os.fstat(stream.fileno()).st_size
    if size == 0:
        raise UserError(f"{path} is empty: copy or download it again.")
    first = stream.read(32)
    length = struct.unpack("<Q", first[:8])[0] if size >= 8 else -1
    # A real header begins with a brace after its length.
    if first[8:9] != b"{" or not 2 <= length <= MAX_HEADER_BYTES:
        raise _not_safetensors(first, path)
    if length > size - 8:
        raise UserError(_cut_short(path, size))
    stream.seek(8)
    try:
        header = json.loads(stream.read(length).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(_damaged(path, "its header is not JSON")) from error
    if not isinstance(header, dict):
        raise UserError(_damaged(path, "its header is not a JSON object"))
    return header, 8 + length, size


def _not_safetensors(first: bytes, path: Path) -> UserError:
    for signature, name, remedy in SIGNATURES:
        if first.lstrip().startswith(signature) or first.startswith(signature):
            return UserError(
                f"{path} is not a model file: it looks like {name}; {remedy}."
            )
    return UserError(
        f"{path} is not a model file (safetensors): give one that this program wrote."
    )


def _document(metadata: Any, path: Path) -> dict[str, Any]:
    """Checks and returns the JSON document of the header's metadata."""
    text = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise UserError(
            f"{path} is a safetensors file without this program's metadata: give one "
            "that this program wrote, or convert the PyTorch file."
        )
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(_damaged(path, "its metadata is not JSON")) from error
    if not isinstance(document, dict):
        raise UserError(_damaged(path, "its metadata is not a JSON object"))
    version = document.get("format")
    if version != FORMAT or isinstance(version, bool):
        raise UserError(
            f"{path} has model file format {version!r} and this program reads "
            f"format {FORMAT}: update stylegan_jax."
        )
    _check_family(document.get("family"), path)
    if not isinstance(document.get("config"), dict):
        raise UserError(_damaged(path, "its metadata holds no config"))
    return document


def _check_family(family: Any, path: str | Path) -> None:
    if family not in FAMILIES:
        raise UserError(
            f"unknown model family {family!r} in {path}: this version knows "
            f"{', '.join(FAMILIES)}."
        )


def _entries(
    header: Mapping[str, Any], space: int, path: Path
) -> Iterator[tuple[str, np.dtype, tuple[int, ...], int]]:
    """Checks every tensor's entry; yields name, type, shape and first byte.

    Tensors must tile the data exactly: the file's size bounds what memory is taken.
    """
    found = [(name, *_entry(name, entry, path)) for name, entry in header.items()]
    found.sort(key=lambda item: (item[3], math.prod(item[2])))
    position = 0
    for name, dtype, shape, begin in found:
        if begin != position:
            raise UserError(_damaged(path, f"tensor {name} is not where it should be"))
        position += math.prod(shape) * dtype.itemsize
    if position > space:
        raise UserError(_cut_short(path, space))
    if position < space:
        raise UserError(_damaged(path, f"{space - position} bytes follow its tensors"))
    yield from found


def _entry(name: str, entry: Any, path: Path) -> tuple[np.dtype, tuple[int, ...], int]:
    if not name.isprintable():
        raise UserError(_damaged(path, f"a tensor is named {name!r}"))
    if not isinstance(entry, dict):
        raise UserError(_damaged(path, f"the entry of tensor {name} is no object"))
    kind: Any = entry.get("dtype")
    shape: Any = entry.get("shape")
    offsets: Any = entry.get("data_offsets")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise UserError(
            f"tensor {name} in {path} has type {kind!r}, which model files do not "
            "hold: convert it to float32."
        )
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise UserError(_damaged(path, f"tensor {name} has a bad shape or place"))
    if len(shape) > MAX_RANK or max(shape, default=0) > MAX_RANK * 2**40:
        raise UserError(_damaged(path, f"tensor {name} has an impossible shape"))
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[kind].itemsize:
        raise UserError(_damaged(path, f"tensor {name} has not the size of its shape"))
    return DTYPES[kind], tuple(shape), begin


def _naturals(value: Any) -> bool:
    """Whether ``value`` is a list of integers ≥ 0."""
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def _insert(tree: dict[str, Any], name: str, array: np.ndarray, path: Path) -> None:
    """Puts ``array`` at its slash-separated name in nested dicts."""
    *parents, last = name.split("/")
    if not parents or not all(parents) or not last:
        raise UserError(_damaged(path, f"tensor name {name!r} is not collection/path"))
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(_damaged(path, f"tensor {name} lies inside another"))
    if last in tree:
        raise UserError(_damaged(path, f"tensor {name} lies inside another"))
    tree[last] = array


def _damaged(path: Path, what: str) -> str:
    return f"{path} is damaged ({what}): copy or download it again."


def _cut_short(path: Path, size: int) -> str:
    return f"{path} is cut short (ends after {size} bytes): copy or download it again."
