"""Builds the object tree of a pickle without Python's own unpickler.

A pickle is a program for a stack machine. Python's machine imports what the program
names, calls it, and writes into the objects it gets. This one knows the same
instructions and has nothing to import with: a name becomes a `Reference`, a call is
looked up in the literal table of `names`, and an object of any other class becomes a
`Stub` that keeps its state. What is not in the table is refused by its dotted name.

Data stay views of the file, so a pickle that is mostly tensors costs little memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.readers import names
from stylegan_jax.convert_torch.readers.faults import CutShort, Damaged, Refused
from stylegan_jax.convert_torch.readers.literals import Cursor
from stylegan_jax.convert_torch.readers.values import (
    NumpyType,
    Reference,
    Stub,
    Tensor,
    brief,
)

# A training checkpoint of 1024 px has some 10⁵; each costs up to 200 bytes of memory.
MAX_INSTRUCTIONS = 1_000_000
MAX_KEY_DEPTH = 3
MAX_KEY_LENGTH = 64
# A file inside a file: a tensor's data in NVIDIA's pickles.
MAX_FILE_DEPTH = 2
# What calls may copy: some times what the file is long, and this beside.
COPIES_PER_BYTE = 4
FREE_COPIES = 2**24

PROTOCOLS = range(6)
_NAME = re.compile(r"[^\W\d]\w*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

Instruction = Callable[["Machine"], None]
PersistentLoad = Callable[["Machine", Any], Any]
_TABLE: list[Instruction | None] = [None] * 256


class Machine(Cursor):
    """One run over one pickle.

    Attributes:
        depth: how many files this pickle is inside of.
    """

    def __init__(
        self,
        view: memoryview,
        position: int = 0,
        *,
        persistent_load: PersistentLoad | None = None,
        load_file: Callable[[memoryview, int], Any] | None = None,
        depth: int = 0,
    ):
        """`persistent_load` turns a container's persistent ids into values.

        `load_file` reads the bytes of a file inside this one, at a depth.
        """
        super().__init__(view, position)
        self.depth = depth
        self._load_file = load_file
        self._persistent_load = persistent_load
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._copies = COPIES_PER_BYTE * len(view) + FREE_COPIES

    def run(self) -> Any:
        """Builds the tree; `position` is then the first byte after the pickle.

        Raises:
            Fault: of any kind; nothing but values of this package has been made.
        """
        view, table = self.view, _TABLE
        count = 0
        try:
            while True:
                if self.position >= len(view):
                    raise CutShort(f"its pickle does not end in {len(view)} bytes")
                code = view[self.position]
                self.position += 1
                if code == _STOP:
                    break
                instruction = table[code]
                if instruction is None:
                    raise Damaged(f"{code:#04x} is no pickle instruction")
                count += 1
                if count > MAX_INSTRUCTIONS:
                    raise Damaged("its pickle has more instructions than any network")
                instruction(self)
            if self._below or len(self._stack) != 1:
                raise Damaged("its pickle leaves objects over")
            return self._stack[0]
        # The one place for values of a wrong kind, which bit errors give.
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            where = f"its pickle breaks at byte {self.position}"
            raise Damaged(where) from error

    def push(self, value: Any) -> None:
        """Puts a value on the stack."""
        self._stack.append(value)

    def pop(self) -> Any:
        """Takes the topmost value."""
        if not self._stack:
            raise Damaged(f"its pickle breaks at byte {self.position}")
        return self._stack.pop()

    def pop_many(self, count: int) -> tuple[Any, ...]:
        """Takes the topmost `count` values, the deepest first."""
        if len(self._stack) < count:
            raise Damaged(f"its pickle breaks at byte {self.position}")
        values = tuple(self._stack[-count:])
        del self._stack[-count:]
        return values

    def top(self) -> Any:
        """The topmost value, left in place."""
        if not self._stack:
            raise Damaged(f"its pickle breaks at byte {self.position}")
        return self._stack[-1]

    def mark(self) -> None:
        """Begins a run of values of unknown length."""
        self._below.append(self._stack)
        self._stack = []

    def pop_to_mark(self) -> list[Any]:
        """Takes all values since the last mark."""
        if not self._below:
            raise Damaged(f"its pickle breaks at byte {self.position}")
        values, self._stack = self._stack, self._below.pop()
        return values

    def empty_run(self) -> bool:
        """Whether nothing was pushed since a mark."""
        return bool(self._below) and not self._stack

    def remember(self, index: int) -> None:
        """Keeps the topmost value under a number."""
        self._memo[index] = self.top()

    def remember_next(self) -> None:
        """Keeps the topmost value under the next number."""
        self._memo[len(self._memo)] = self.top()

    def recall(self, index: int) -> None:
        """Puts a kept value on the stack."""
        if index not in self._memo:
            raise Damaged(f"its pickle breaks at byte {self.position}")
        self._stack.append(self._memo[index])

    def charge(self, size: int) -> None:
        """Accounts for a copy of `size` bytes or elements that a call makes.

        A pickle can call with the same large value again and again.
        """
        self._copies -= size
        if self._copies < 0:
            raise Damaged("its pickle copies more than the file is long")

    def persistent(self, identity: Any) -> Any:
        """The value of a persistent id."""
        if self._persistent_load is None:
            raise Refused(f"an object outside of the file, {brief(identity)}")
        return self._persistent_load(self, identity)

    def load_inside(self, data: memoryview) -> Any:
        """The root object of a file whose bytes are in this pickle."""
        if self._load_file is None or self.depth >= MAX_FILE_DEPTH:
            raise Refused("a file inside of a file inside of a file")
        self.charge(len(data))
        return self._load_file(data, self.depth + 1)

    def checked_keys(self, keys: list[Any]) -> list[Any]:
        """The same keys, each of a kind that can be hashed in bounded time."""
        return [checked_key(key) for key in keys]

    def name(self, module: Any, name: Any) -> Reference:
        """The reference for a class or function that the file names."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Damaged("a name that is no text")
        if len(module) + len(name) > 500 or not _MODULE.fullmatch(module):
            raise Damaged("a name that no module can have")
        if not _NAME.fullmatch(name):
            raise Refused(f"the name {brief(f'{module}.{name}')}")
        dotted = names.canonical(f"{module}.{name}")
        if not names.allowed(dotted):
            raise Refused(dotted)
        return Reference(dotted)

    def call(self, function: Any, args: Any) -> Any:
        """What a call in the pickle is worth: by the table, or refused."""
        if not isinstance(function, Reference):
            raise Refused(f"a call of {brief(function)}")
        if not isinstance(args, tuple):
            raise Damaged("a call without a tuple of arguments")
        handler = names.call(function.name)
        if handler is None:
            raise Refused(f"a call of {function.name}")
        return handler(self, *args)

    def new(self, cls: Any, args: Any, kwargs: dict[str, Any] | None = None) -> Any:
        """A new object: a container of Python's, or a stub for any other class."""
        if not isinstance(cls, Reference):
            raise Refused(f"an object of {brief(cls)}")
        if not isinstance(args, tuple):
            raise Damaged("an object without a tuple of arguments")
        if names.is_container(cls.name) and not kwargs:
            return self.call(cls, args)
        if not names.may_be_stub(cls.name):
            raise Refused(f"an object of {cls.name}")
        return Stub(cls.name, args, kwargs)

    def build(self, target: Any, state: Any) -> None:
        """Gives an object its state."""
        if isinstance(target, Stub):
            if target.state is not None:
                raise Damaged(f"an object of {target.name} gets two states")
            target.state = self._merged_slots(state)
        elif isinstance(target, NumpyType | Tensor):
            names.build_numpy(self, target, state)
        elif not isinstance(target, dict):
            # Attributes of an OrderedDict (a state dict's `_metadata`) say nothing
            # about the weights; nothing else of Python's own has a state.
            raise Damaged(f"a state for {brief(target)}")

    def _merged_slots(self, state: Any) -> Any:
        """A state of (attributes, slots) as one dict; any other as it is."""
        if isinstance(state, tuple) and len(state) == 2:
            parts = [part for part in state if part is not None]
            if all(isinstance(part, dict) for part in parts):
                self.charge(8 * sum(map(len, parts)))
                return {key: value for part in parts for key, value in part.items()}
        return state

    def set_items(self, target: Any, items: list[Any]) -> None:
        """Puts keys and values, in turn, into a dict or a stub of a subclass."""
        entries = target.entries if isinstance(target, Stub) else target
        if not isinstance(entries, dict) or len(items) % 2:
            raise Damaged(f"entries for {brief(target)}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[checked_key(key)] = value

    def extend(self, target: Any, items: list[Any]) -> None:
        """Appends to a list or a stub of a subclass."""
        elements = target.elements if isinstance(target, Stub) else target
        if not isinstance(elements, list):
            raise Damaged(f"elements for {brief(target)}")
        elements.extend(items)


def checked_key(key: Any, depth: int = 0) -> Any:
    """A key that can be hashed in bounded time, or Damaged."""
    if isinstance(key, tuple):
        if depth >= MAX_KEY_DEPTH or len(key) > MAX_KEY_LENGTH:
            raise Damaged("a dictionary key is a deep tuple")
        for part in key:
            checked_key(part, depth + 1)
        return key
    plain = (str, bytes, int, float, complex, type(None), np.generic, Reference, Stub)
    if not isinstance(key, plain):
        raise Damaged(f"a dictionary key is {brief(key)}")
    return key


def instruction(code: bytes) -> Callable[[Instruction], Instruction]:
    """Registers the function that does the pickle instruction `code`."""

    def register(function: Instruction) -> Instruction:
        _TABLE[code[0]] = function
        return function

    return register


_STOP = ord(".")
