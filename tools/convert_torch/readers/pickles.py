"""Pickle files, and PyTorch's legacy files, which are several pickles and raw storages.

A legacy file is: a magic number, a protocol number and a description of the machine,
each a pickle; the pickle of the object, whose tensors refer to storages by key; a
pickled list of the keys; then for each key its length and elements.
"""

from __future__ import annotations

from typing import Any

# The import fills the machine's table.
from stylegan_jax.convert_torch.readers import instructions as instructions
from stylegan_jax.convert_torch.readers.faults import CutShort, Damaged, Unsupported
from stylegan_jax.convert_torch.readers.machine import Machine
from stylegan_jax.convert_torch.readers.torch_values import storage_identity
from stylegan_jax.convert_torch.readers.values import ELEMENTS, Storage, Stub

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
# Deeper trees are in no checkpoint and would break those who walk them.
MAX_DEPTH = 200


def read_pickles(view: memoryview, depth: int = 0) -> tuple[str, Any]:
    """Reads a pickle file or a legacy file of PyTorch.

    Args:
        view: the whole file.
        depth: how many files it is inside of.

    Returns:
        The container, ``"pickle"`` or ``"torch-legacy"``, and the root object.

    Raises:
        Fault: it is damaged, or asks for something that is refused.
    """
    machine = Machine(view, load_file=_load_inside, depth=depth)
    root = machine.run()
    if isinstance(root, int) and root == LEGACY_MAGIC:
        return "torch-legacy", _read_legacy(view, machine.position, depth)
    if machine.position != len(view):
        raise Damaged(f"{len(view) - machine.position} bytes follow its pickle")
    check_depth(root)
    return "pickle", root


def check_depth(root: Any) -> None:
    """Refuses a tree that is deeper than any checkpoint.

    Raises:
        Damaged: there is an object more than `MAX_DEPTH` steps from the root.
    """
    seen: set[int] = set()
    level: list[Any] = [root]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if not isinstance(value, dict | list | tuple | set | frozenset | Stub):
                continue
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, Stub):
                parts = (value.args, value.kwargs, value.state)
                below += (*parts, value.entries, value.elements)
            elif isinstance(value, dict):
                below += value.values()
                # A key may be a stub, or a tuple with one.
                below += (key for key in value if isinstance(key, Stub | tuple))
            else:
                below += value
        if not below:
            return
        level = below
    raise Damaged(f"its objects lie more than {MAX_DEPTH} deep in each other")


def _load_inside(data: memoryview, depth: int) -> Any:
    return read_pickles(data, depth)[1]


class _LegacyStorages:
    """The storages that a legacy file's object refers to, found later in the file."""

    def __init__(self) -> None:
        self._roots: dict[str, Storage] = {}

    def persistent_load(self, machine: Machine, identity: Any) -> Any:
        """The storage or view of one that a persistent id stands for."""
        if isinstance(identity, tuple) and len(identity) == 4:
            # ("module", class, source file, source text): whole-module files keep the
            # source beside the class, which is not looked at.
            if identity[0] == "module":
                return identity[1]
        kind, key, length, view = storage_identity(identity)
        root = self._roots.get(key)
        if root is None:
            root = self._roots[key] = Storage(kind, ELEMENTS[kind], length)
        if (root.kind, root.length) != (kind, length):
            raise Damaged(f"its storage {key} has two types or lengths")
        return root if view is None else _legacy_view(root, view)

    def resolve(self, view: memoryview, position: int, keys: Any) -> int:
        """Finds the elements of all storages; returns the byte after them."""
        if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
            raise Damaged("its list of storages is none")
        if sorted(keys) != sorted(self._roots):
            raise Damaged("its list of storages is not what its tensors refer to")
        for key in keys:
            root = self._roots[key]
            length = int.from_bytes(view[position : position + 8], "little")
            begin = position + 8
            if begin + root.nbytes > len(view):
                raise CutShort(f"it ends after {len(view)} bytes, inside a tensor")
            if length != root.length:
                raise Damaged(
                    f"its storage {key} claims {root.length} elements and has {length}"
                )
            position = begin + root.nbytes
            _place(root, view[begin:position])
        return position


def _place(storage: Storage, data: memoryview) -> None:
    storage.resolve(lambda: data, len(data))


def _legacy_view(root: Storage, view: Any) -> Storage:
    """A storage that is a part of another: (key, offset, length)."""
    if not isinstance(view, tuple) or len(view) != 3:
        raise Damaged("a part of a storage without a place")
    _, offset, length = view
    if type(offset) is not int or type(length) is not int:
        raise Damaged("a part of a storage without a place")
    if not 0 <= offset <= offset + length <= root.length:
        raise Damaged("a part of a storage reaches beyond it")
    width = root.stored.itemsize
    begin, end = offset * width, (offset + length) * width
    return Storage(root.kind, root.stored, length, lambda: root.read()[begin:end])


def _read_legacy(view: memoryview, position: int, depth: int) -> Any:
    machine = Machine(view, position, depth=depth)
    protocol = machine.run()
    if protocol != LEGACY_PROTOCOL:
        raise Unsupported("it is a PyTorch file of an unknown protocol")
    machine = Machine(view, machine.position, depth=depth)
    system = machine.run()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Unsupported(
            "it is a legacy PyTorch file of a big-endian machine, so save it anew with "
            "torch.save in PyTorch"
        )
    storages = _LegacyStorages()
    machine = Machine(
        view,
        machine.position,
        persistent_load=storages.persistent_load,
        load_file=_load_inside,
        depth=depth,
    )
    root = machine.run()
    machine = Machine(view, machine.position, depth=depth)
    keys = machine.run()
    end = storages.resolve(view, machine.position, keys)
    if end != len(view):
        raise Damaged(f"{len(view) - end} bytes follow its tensors")
    check_depth(root)
    return root
