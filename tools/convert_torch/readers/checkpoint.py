"""Opens a checkpoint of another program, whichever container it is in."""

from __future__ import annotations

import dataclasses
import mmap
import os
import stat
from pathlib import Path
from typing import Any

from stylegan_jax.convert_torch.readers import other_files
from stylegan_jax.convert_torch.readers.faults import (
    CutShort,
    Damaged,
    Fault,
    sentence,
    told,
)
from stylegan_jax.convert_torch.readers.onnx_file import is_onnx, read_onnx
from stylegan_jax.convert_torch.readers.pickles import read_pickles
from stylegan_jax.convert_torch.readers.torch_zip import read_zip
from stylegan_jax.errors import UserError

# Pickles of protocols 0 and 1 have no signature; these begin objects and containers.
_OLD_PICKLES = (b"(", b"]", b"}", b"c")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's object tree.

    Attributes:
        path: the file.
        container: ``"torch-zip"``, ``"torch-legacy"``, ``"torchscript"``,
            ``"pickle"`` or ``"onnx"``.
        root: for an ONNX file a `Graph`; for the others dicts, lists, tuples, sets,
            numbers, text and bytes (a read-only memoryview beyond 4 KiB), NumPy
            scalars, and the values of `values`: a `Tensor` for each array, a `Stub` for
            each object of another class, a `Reference` for each class or function that
            is named. OrderedDict, defaultdict and Counter are dicts, deques lists,
            paths and devices text.
    """

    path: Path
    container: str
    root: Any


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads the object tree of a checkpoint; runs nothing that is in it.

    The file stays mapped, and each `Tensor` is read when it is asked for: do not
    change the file meanwhile.

    Args:
        path: a zip or legacy file of PyTorch, a TorchScript archive, a pickle of
            NVIDIA's networks (PyTorch or TensorFlow) or one of NumPy arrays, or an ONNX
            file.

    Raises:
        UserError: no such file, another kind of file (says what it looks like), cut
            short or damaged, or it asks for something that weights never need.
    """
    path = Path(path)
    return read_bytes(_mapped(path), path)


def read_bytes(data: bytes | memoryview, path: str | Path) -> Checkpoint:
    """Reads a checkpoint that is in memory; as `read_checkpoint`.

    Args:
        data: the bytes of the whole file.
        path: what to call it in messages.
    """
    path = Path(path)
    view = memoryview(data).cast("B")
    if not len(view):
        raise UserError(f"{path} is empty: copy or download it again.")
    if refusal := other_files.foreign(view, path):
        raise refusal

    def report(fault: Fault) -> UserError:
        return UserError(sentence(fault, path))

    first = bytes(view[:4])
    with told(path):
        if first == other_files.ZIP:
            return Checkpoint(path, *read_zip(view, report))
        if first.startswith(other_files.PICKLE):
            return Checkpoint(path, *read_pickles(view))
        if is_onnx(first):
            return Checkpoint(path, "onnx", read_onnx(view))
        if first.startswith(_OLD_PICKLES) and view[-1:] == b".":
            try:
                return Checkpoint(path, *read_pickles(view))
            except (Damaged, CutShort) as fault:
                raise other_files.unknown(path) from fault
    raise other_files.unknown(path)


def _mapped(path: Path) -> memoryview:
    """The file as a view; pages are read when they are looked at."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its other end
            raise UserError(f"{path} is no regular file: copy it into one.")
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder and not a checkpoint.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}.") from error
