"""The pickle instructions, protocols 0 to 5, for the machine.

Their names and meaning are those of Python's `pickletools`. Out-of-band buffers and
the registry of extension codes are left out: no file can use them on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stylegan_jax.convert_torch.readers.faults import CutShort, Damaged, Refused
from stylegan_jax.convert_torch.readers.machine import (
    PROTOCOLS,
    Instruction,
    Machine,
    checked_key,
    instruction,
)


def _pushes(code: bytes, read: Callable[[Machine], Any]) -> None:
    """Registers an instruction that pushes what `read` takes from the bytes."""

    def push(machine: Machine) -> None:
        machine.push(read(machine))

    instruction(code)(push)


def _does(code: bytes, function: Instruction) -> None:
    instruction(code)(function)


# Constants and empty containers.
_pushes(b"N", lambda m: None)
_pushes(b"\x88", lambda m: True)
_pushes(b"\x89", lambda m: False)
_pushes(b")", lambda m: ())
_pushes(b"]", lambda m: [])
_pushes(b"}", lambda m: {})
_pushes(b"\x8f", lambda m: set())

# Numbers.
_pushes(b"I", Machine.line_integer)
_pushes(b"L", Machine.line_integer)
_pushes(b"F", Machine.line_float)
_pushes(b"K", lambda m: m.number("<B"))
_pushes(b"M", lambda m: m.number("<H"))
_pushes(b"J", lambda m: m.number("<i"))
_pushes(b"G", Machine.float64)
_pushes(b"\x8a", lambda m: m.integer("<B"))
_pushes(b"\x8b", lambda m: m.integer("<i"))

# Text and bytes.
_pushes(b"S", Machine.line_string)
_pushes(b"V", Machine.line_unicode)
_pushes(b"U", lambda m: m.latin("<B"))
_pushes(b"T", lambda m: m.latin("<i"))
_pushes(b"\x8c", lambda m: m.text("<B"))
_pushes(b"X", lambda m: m.text("<I"))
_pushes(b"\x8d", lambda m: m.text("<Q"))
_pushes(b"C", lambda m: m.data("<B"))
_pushes(b"B", lambda m: m.data("<I"))
_pushes(b"\x8e", lambda m: m.data("<Q"))
# A bytearray; nothing writes into it, so a view does.
_pushes(b"\x96", lambda m: m.data("<Q"))

# Tuples, and containers from what lies above the mark.
_pushes(b"\x85", lambda m: m.pop_many(1))
_pushes(b"\x86", lambda m: m.pop_many(2))
_pushes(b"\x87", lambda m: m.pop_many(3))
_pushes(b"t", lambda m: tuple(m.pop_to_mark()))
_pushes(b"l", lambda m: m.pop_to_mark())
_pushes(b"\x91", lambda m: frozenset(map(checked_key, m.pop_to_mark())))

# The stack and the memory of values.
_does(b"(", Machine.mark)
_does(b"2", lambda m: m.push(m.top()))
_does(b"\x94", Machine.remember_next)
_does(b"q", lambda m: m.remember(m.number("<B")))
_does(b"r", lambda m: m.remember(m.number("<I")))
_does(b"p", lambda m: m.remember(int(m.line_integer())))
_does(b"h", lambda m: m.recall(m.number("<B")))
_does(b"j", lambda m: m.recall(m.number("<I")))
_does(b"g", lambda m: m.recall(int(m.line_integer())))


@instruction(b"1")
def _pop_mark(machine: Machine) -> None:
    machine.pop_to_mark()


@instruction(b"0")
def _pop(machine: Machine) -> None:
    # Python's machine lets this end an empty run of values, too.
    if machine.empty_run():
        machine.pop_to_mark()
    else:
        machine.pop()


@instruction(b"\x80")
def _protocol(machine: Machine) -> None:
    version = machine.number("<B")
    if version not in PROTOCOLS:
        raise Damaged(f"pickle protocol {version} does not exist")


@instruction(b"\x95")
def _frame(machine: Machine) -> None:
    # Frames are for reading ahead, which a view of the whole file does not need.
    size = machine.number("<Q")
    if size > len(machine.view) - machine.position:
        raise CutShort(f"it ends after {len(machine.view)} bytes, inside a frame")


@instruction(b"d")
def _dict(machine: Machine) -> None:
    items = machine.pop_to_mark()
    entries: dict[Any, Any] = {}
    machine.set_items(entries, items)
    machine.push(entries)


@instruction(b"s")
def _set_item(machine: Machine) -> None:
    key, value = machine.pop_many(2)
    machine.set_items(machine.top(), [key, value])


@instruction(b"u")
def _set_items(machine: Machine) -> None:
    items = machine.pop_to_mark()
    machine.set_items(machine.top(), items)


@instruction(b"a")
def _append(machine: Machine) -> None:
    value = machine.pop()
    machine.extend(machine.top(), [value])


@instruction(b"e")
def _appends(machine: Machine) -> None:
    items = machine.pop_to_mark()
    machine.extend(machine.top(), items)


@instruction(b"\x90")
def _add_items(machine: Machine) -> None:
    items = machine.pop_to_mark()
    target = machine.top()
    if not isinstance(target, set):
        raise Damaged("elements for something that is no set")
    target.update(map(checked_key, items))


# Names, calls and objects.
@instruction(b"c")
def _global(machine: Machine) -> None:
    module = machine.line_text()
    machine.push(machine.name(module, machine.line_text()))


@instruction(b"\x93")
def _stack_global(machine: Machine) -> None:
    machine.push(machine.name(*machine.pop_many(2)))


@instruction(b"R")
def _reduce(machine: Machine) -> None:
    machine.push(machine.call(*machine.pop_many(2)))


@instruction(b"\x81")
def _new_object(machine: Machine) -> None:
    machine.push(machine.new(*machine.pop_many(2)))


@instruction(b"\x92")
def _new_object_by_keyword(machine: Machine) -> None:
    cls, args, kwargs = machine.pop_many(3)
    if not isinstance(kwargs, dict):
        raise Damaged("an object whose keywords are no dict")
    machine.push(machine.new(cls, args, kwargs))


@instruction(b"i")
def _instance(machine: Machine) -> None:
    module = machine.line_text()
    cls = machine.name(module, machine.line_text())
    machine.push(_old_instance(machine, cls, machine.pop_to_mark()))


@instruction(b"o")
def _object(machine: Machine) -> None:
    cls, *args = machine.pop_to_mark() or [None]
    machine.push(_old_instance(machine, cls, args))


def _old_instance(machine: Machine, cls: Any, args: list[Any]) -> Any:
    """Python 2's classes: without arguments an object, with some a call."""
    return machine.call(cls, tuple(args)) if args else machine.new(cls, ())


@instruction(b"b")
def _build(machine: Machine) -> None:
    state = machine.pop()
    machine.build(machine.top(), state)


@instruction(b"Q")
def _persistent(machine: Machine) -> None:
    machine.push(machine.persistent(machine.pop()))


@instruction(b"P")
def _persistent_line(machine: Machine) -> None:
    machine.push(machine.persistent(machine.line_text()))


def _refuse(code: bytes, what: str) -> None:
    def refuse(machine: Machine) -> None:
        raise Refused(what)

    instruction(code)(refuse)


for _code in (b"\x82", b"\x83", b"\x84"):
    _refuse(_code, "an object by its number in a registry of extensions")
for _code in (b"\x97", b"\x98"):
    _refuse(_code, "data that lie outside of the file")
