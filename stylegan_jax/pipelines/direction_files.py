"""Files of latent directions: reading, writing, finding by name.

A file is an ``.npz`` with

* ``unit``: float32 [w_dim], or [num_ws, w_dim] for one direction per layer; length 1;
* ``norm``: float32, the length of one step;
* ``direction``: unit · norm, what a strength multiplies;
* ``accuracy``: float32, held-out; NaN where nothing was fitted;
* ``provenance``: JSON text.

An ``.npy`` with such an array is read as well: its length is its norm.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.atomic import replacing
from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.errors import UsageError, UserError, printable

# Where a file of directions has its array, in the order in which they are looked for.
DIRECTION_KEYS = ("direction", "unit")
KINDS = (".npz", ".npy")
# The folder beside a model that a bare name is looked for in.
FOLDER = "directions"


@dataclasses.dataclass(frozen=True)
class Direction:
    """A direction with what is known of it.

    Attributes:
        array: what a strength multiplies, ``w + strength * array``: [w_dim] or
            [num_ws, w_dim] float32, not all zeros.
        accuracy: held-out, from 0 to 1; NaN where nothing was fitted.
        provenance: JSON values: how and from what it was made.
    """

    array: np.ndarray
    accuracy: float
    provenance: dict[str, Any]

    @property
    def norm(self) -> float:
        """Length of one step."""
        return float(np.linalg.norm(self.array.astype(np.float64)))

    @property
    def unit(self) -> np.ndarray:
        """The array at length 1, float32."""
        return (self.array.astype(np.float64) / self.norm).astype(np.float32)

    @property
    def attribute(self) -> str | None:
        """The attribute that it was fitted to; None where there is none."""
        name = self.provenance.get("attribute")
        return name if isinstance(name, str) else None


def direction_from(
    array: np.ndarray, provenance: dict[str, Any], *, accuracy: float = float("nan")
) -> Direction:
    """Makes a direction of an array of any type.

    Raises:
        UserError: it is all zeros.
    """
    single = np.asarray(array).astype(np.float32)
    if not single.any():
        raise UserError("the direction is all zeros, it leads nowhere.")
    return Direction(single, accuracy, provenance)


def read_direction(path: str | Path) -> np.ndarray:
    """Reads the array that a strength multiplies: ``w + strength * direction``.

    Args:
        path: an ``.npy`` with an array, or an ``.npz`` with ``direction`` or ``unit``.

    Returns:
        [w_dim], or [num_ws, w_dim] for one direction per layer; float32.

    Raises:
        UserError: it cannot be read, or holds no such array.
    """
    return _read(path)[0]


def load_direction(path: str | Path) -> Direction:
    """Reads a direction with what its file says of it.

    Args:
        path: see `read_direction`; without ``norm`` and the rest, the array's length
            is its norm and nothing else is known.

    Raises:
        UserError: it cannot be read, holds no such array or only zeros.
    """
    array, rest = _read(path)
    try:
        text = str(rest["provenance"]) if "provenance" in rest else "{}"
        provenance = json.loads(text)
        accuracy = float(rest["accuracy"]) if "accuracy" in rest else float("nan")
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} has a damaged provenance or accuracy ({error}): make it again."
        ) from error
    if not isinstance(provenance, dict):
        raise UserError(f"the provenance of {path} is no JSON object: make it again.")
    try:
        return direction_from(array, provenance, accuracy=accuracy)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from error


def write_direction(path: str | Path, direction: Direction) -> None:
    """Writes a direction, atomically.

    Raises:
        UserError: the place cannot be written.
    """
    check_out(path)
    with replacing(path) as aside:
        np.savez(
            aside,
            unit=direction.unit,
            norm=np.float32(direction.norm),
            direction=direction.array,
            accuracy=np.float32(direction.accuracy),
            provenance=np.array(json.dumps(direction.provenance)),
        )


def check_out(path: str | Path) -> None:
    """Raises `UsageError` unless a direction may be written under this name."""
    if Path(path).suffix.lower() != ".npz" or Path(path).is_dir():
        raise UsageError(f"a direction's file ends in .npz, got {path}.")


def find_direction(name: str | Path, model: str | Path | None = None) -> Path:
    """Finds the file that a text means.

    Args:
        name: a file, or a bare name such as ``smile``: ``directions/smile.npz`` beside
            the model's file, or in its run's folder.
        model: the model file or a run's folder; None leaves bare names unknown.

    Returns:
        The path of a file that exists.

    Raises:
        UserError: there is none; the names that there are, are told.
    """
    path = Path(name)
    if path.suffix.lower() in KINDS or len(path.parts) > 1 or path.is_file():
        if not path.is_file():
            raise UserError(f"there is no direction {path}: check the name.")
        return path
    places = [] if model is None else _places(Path(model))
    for place in places:
        for kind in KINDS:
            if (file := place / f"{name}{kind}").is_file():
                return file
    known = sorted(
        {f.stem for place in places for f in place.glob("*") if f.suffix in KINDS}
    )
    there = f" (there are {', '.join(known)})" if known else ""
    where = f" in {' or '.join(map(str, places))}" if places else ""
    raise UserError(
        f"there is no direction {str(name)!r}{where}{there}: give a file, or make it "
        "with stylegan-jax directions fit."
    )


def _places(model: Path) -> list[Path]:
    """Folders of directions of a model, the nearest first, each once."""
    file = find_model(model)
    folders = [model] if model.is_dir() else []
    folders.append(file.parent)
    if file.parent.name == "models":
        folders.append(file.parent.parent)
    return list(dict.fromkeys(folder / FOLDER for folder in folders))


def direction_paths(paths: Iterable[str | Path]) -> list[Path]:
    """Files of directions: those named, and those that named folders hold, by name.

    Raises:
        UserError: nothing is there, or a folder has none.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            files = sorted(f for f in path.iterdir() if f.suffix.lower() in KINDS)
            # Samples of latents may lie beside directions.
            files = [f for f in files if not f.name.startswith("samples-")]
            if not files:
                raise UserError(f"{path} holds no directions (.npz or .npy).")
            found.extend(files)
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"there is no direction {path}: check the name.")
    return found


# What damaged archives raise, besides our own sentences.
_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz``; that of an ``.npy`` has the empty name.

    Nothing in the file is executed.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    try:
        # Opened here, since NumPy leaves damaged archives open.
        with open(path, "rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                return {"": np.asarray(loaded)}
            with loaded:
                return {name: np.asarray(loaded[name]) for name in loaded.files}
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name.") from error
    except _DAMAGED as error:
        raise UserError(
            f"{path} is no .npy or .npz file of numbers: {printable(error)}."
        ) from error


def _read(path: str | Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The array [w_dim] or [num_ws, w_dim] float32, and all that the file has."""
    arrays = read_arrays(path)
    names = [name for name in ("", *DIRECTION_KEYS) if name in arrays]
    if not names:
        raise UserError(
            f"{path} has no array {' or '.join(DIRECTION_KEYS)} (it has "
            f"{', '.join(arrays) or 'none'})."
        )
    array = arrays[names[0]]
    fits = array.dtype.kind in "fiu" and array.ndim in (1, 2) and array.size > 0
    if fits:
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        fits = bool(np.isfinite(single).all())
    if not fits:
        raise UserError(
            f"a direction is [w_dim] or [num_ws, w_dim] finite numbers and {path} has "
            f"{list(array.shape)} {array.dtype}."
        )
    return single, arrays
