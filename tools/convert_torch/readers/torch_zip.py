"""PyTorch's zip files: one pickle and a member for each storage.

TorchScript archives are the same with source text beside, which is not read: their
objects are stubs whose state holds the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stylegan_jax.convert_torch.readers.faults import Damaged, Fault, Unsupported
from stylegan_jax.convert_torch.readers.machine import Machine
from stylegan_jax.convert_torch.readers.pickles import check_depth, read_pickles
from stylegan_jax.convert_torch.readers.torch_values import storage_identity
from stylegan_jax.convert_torch.readers.values import ELEMENTS, Storage
from stylegan_jax.convert_torch.readers.zip_archive import (
    Member,
    read_members,
    reporting,
)


def read_zip(view: memoryview, report: Callable[[Fault], Exception]) -> tuple[str, Any]:
    """Reads a zip file of PyTorch.

    Args:
        view: the whole file.
        report: makes the exception that reading a tensor later raises.

    Returns:
        The container, ``"torch-zip"`` or ``"torchscript"``, and the root object.

    Raises:
        Fault: it is damaged, of another program, or asks for what is refused.
    """
    members = read_members(view)
    prefix = _prefix(members)
    storages = _ZipStorages(members, prefix, report)
    pickle = members[f"{prefix}data.pkl"].read()
    machine = Machine(
        pickle,
        persistent_load=storages.persistent_load,
        load_file=lambda data, depth: read_pickles(data, depth)[1],
    )
    root = machine.run()
    if machine.position != len(pickle):
        raise Damaged(f"{len(pickle) - machine.position} bytes follow its pickle")
    check_depth(root)
    script = f"{prefix}constants.pkl" in members
    return ("torchscript" if script else "torch-zip"), root


def _prefix(members: dict[str, Member]) -> str:
    """The folder in the archive that everything is in."""
    found = [
        name.removesuffix("data.pkl")
        for name in members
        if name.endswith("/data.pkl") and name.count("/") == 1
    ]
    if len(found) == 1:
        return found[0]
    if any(name.endswith(".npy") for name in members):
        raise Unsupported(
            "it is a NumPy .npz archive, which none of the known programs writes"
        )
    if any(name.endswith("model.json") for name in members):
        raise Unsupported(
            "it is a TorchScript archive of PyTorch 1.0, so load it and save it anew "
            "in a newer PyTorch"
        )
    raise Unsupported("it is a zip archive that PyTorch did not write")


class _ZipStorages:
    """The storages of an archive by key."""

    def __init__(
        self,
        members: dict[str, Member],
        prefix: str,
        report: Callable[[Fault], Exception],
    ):
        self._members = members
        self._prefix = prefix
        self._report = report
        self._found: dict[tuple[str, str, int], Storage] = {}
        self._order = self._byte_order()

    def _byte_order(self) -> str:
        member = self._members.get(f"{self._prefix}byteorder")
        word = b"little" if member is None else bytes(member.read()[:16])
        if word not in (b"little", b"big"):
            raise Damaged("its byte order is neither little nor big")
        return "<" if word == b"little" else ">"

    def persistent_load(self, machine: Machine, identity: Any) -> Storage:
        """The storage that a persistent id stands for."""
        kind, key, length, view = storage_identity(identity)
        if view is not None:
            raise Damaged("a part of a storage in a zip file")
        storage = self._found.get((key, kind, length))
        if storage is None:
            member = self._members.get(f"{self._prefix}data/{key}")
            if member is None:
                raise Damaged(f"its storage {key!r:.80} is missing")
            stored = ELEMENTS[kind].newbyteorder(self._order)
            storage = Storage(kind, stored, length)
            storage.resolve(reporting(member.read, self._report), member.size)
            self._found[key, kind, length] = storage
        return storage
