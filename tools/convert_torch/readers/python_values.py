"""What the names of Python's own library in a pickle mean.

Each function takes the machine and the arguments of a call in the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stylegan_jax.convert_torch.readers.faults import Damaged, Refused
from stylegan_jax.convert_torch.readers.values import Reference, Stub, brief

if TYPE_CHECKING:
    from stylegan_jax.convert_torch.readers.machine import Machine


def _items(machine: Machine, source: Any) -> list[Any]:
    """The elements of a container of the file, copied."""
    if not isinstance(source, list | tuple | set | frozenset):
        raise Damaged("a container is made of something that is none")
    machine.charge(8 * len(source))
    return list(source)


def dictionary(machine: Machine, source: Any = ()) -> dict[Any, Any]:
    """`OrderedDict(pairs)`, `dict(pairs)`; the order is kept."""
    if isinstance(source, dict):
        machine.charge(8 * len(source))
        return dict(source)
    flat: list[Any] = []
    for pair in _items(machine, source):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Damaged("a dict is made of something else than pairs")
        flat.extend(pair)
    entries: dict[Any, Any] = {}
    machine.set_items(entries, flat)
    return entries


def default_dictionary(
    machine: Machine, factory: Any = None, source: Any = ()
) -> dict[Any, Any]:
    """`defaultdict(factory)`; the factory is not kept."""
    if factory is not None and not isinstance(factory, Reference | Stub):
        raise Damaged("a defaultdict has no factory")
    return dictionary(machine, source)


def sequence(machine: Machine, source: Any = (), limit: Any = None) -> list[Any]:
    """`list(items)`, `deque(items, limit)`."""
    return _items(machine, source)


def fixed_sequence(machine: Machine, source: Any = ()) -> tuple[Any, ...]:
    """`tuple(items)`, `torch.Size(items)`."""
    return tuple(_items(machine, source))


def unordered(machine: Machine, source: Any = ()) -> set[Any]:
    """`set(items)`."""
    return set(machine.checked_keys(_items(machine, source)))


def unordered_key(machine: Machine, source: Any = ()) -> frozenset[Any]:
    """`frozenset(items)`."""
    return frozenset(unordered(machine, source))


def byte_string(machine: Machine, source: Any = b"", encoding: Any = None) -> bytes:
    """`bytes()`, `bytearray(bytes)`, `bytearray(text, "latin-1")`; never a length."""
    if isinstance(source, str) and encoding in ("latin-1", "latin1"):
        return encoded(machine, source, "latin1")
    if isinstance(source, bytes | memoryview) and encoding is None:
        machine.charge(len(source))
        return bytes(source)
    return bytes(_items(machine, source))


def encoded(machine: Machine, text: Any, encoding: Any = "utf-8") -> bytes:
    """`_codecs.encode(text, "latin1")`, as protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused(f"_codecs.encode to {brief(encoding)}")
    machine.charge(len(text))
    return text.encode("latin-1")


def complex_number(machine: Machine, real: Any = 0, imaginary: Any = 0) -> complex:
    """`complex(real, imaginary)`."""
    if not all(type(part) in (int, float) for part in (real, imaginary)):
        raise Damaged("a complex number of something else than numbers")
    return complex(real, imaginary)


def file_path(machine: Machine, *parts: Any) -> str:
    """`PosixPath(*parts)` as text."""
    if not all(isinstance(part, str) for part in parts):
        raise Damaged("a path of something else than text")
    machine.charge(sum(map(len, parts)))
    return "/".join(parts).replace("//", "/")


def stub_of(name: str) -> Callable[..., Stub]:
    """A handler that keeps the arguments of a call of `name` and does nothing."""

    def keep(machine: Machine, *args: Any) -> Stub:
        return Stub(name, args)

    return keep


def reconstructed(machine: Machine, cls: Any, base: Any, state: Any) -> Any:
    """`copyreg._reconstructor(cls, base, state)`, as protocols 0 and 1 make objects.

    `state` is the value of a built-in base class, None for `object`.
    """
    if not isinstance(base, Reference):
        raise Damaged("an object without a base class")
    if state is None:
        return machine.new(cls, ())
    made = machine.new(cls, ())
    if isinstance(made, Stub) and isinstance(state, dict):
        made.entries = dictionary(machine, state)
    elif isinstance(made, Stub) and isinstance(state, list):
        made.elements = sequence(machine, state)
    elif isinstance(made, Stub):
        made.args = (state,)
    else:
        return machine.new(cls, (state,))
    return made
