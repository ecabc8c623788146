"""The language of the rule tables: names with blanks, and axes by letters.

A table lists, for one source, which tensor becomes which: a `Rule` has the name in the
file and the path in our model files, both with ``{blanks}`` that a scope fills, and how
the axes are turned, e.g. ``1OIHW>HWIO``. Read from left to right a table converts,
read from right to left it converts back.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# What fills the blanks of a rule: one mapping for every time that it applies.
Scope = Sequence[Mapping[str, Any]]
Scopes = Mapping[str, Scope]

# Output channels, input channels, channels of a map, height, width.
TORCH_ORDER = "OICHW"

_TOKEN = re.compile(r"\(([A-Z]+)\)|([A-Z1])")


class Rule(NamedTuple):
    """A tensor of the file and its place in our model file.

    Attributes:
        source: its name in the file, with ``{blanks}``.
        target: its path, ``<collection>/<path>``, with the same blanks.
        axes: how to turn it; see `Axes`. Empty leaves it as it is.
        over: the scope that fills the blanks; empty means once.
    """

    source: str
    target: str
    axes: str = ""
    over: str = ""


class Buffer(NamedTuple):
    """A tensor of the file that follows from the architecture, so nothing keeps it.

    Attributes:
        source: its name in the file, with ``{blanks}``.
        value: gives it from the filled-in scope; what the file has must agree.
        over: the scope that fills the blanks; empty means once.
        optional: whether files may lack it.
        checked: whether a file's value has to agree; counters do not.
    """

    source: str
    value: Callable[[Mapping[str, Any]], np.ndarray]
    over: str = ""
    optional: bool = False
    checked: bool = True


Table = Sequence[Rule | Buffer]


@dataclasses.dataclass(frozen=True)
class Axes:
    """How a tensor's axes are turned, e.g. ``1OIHW>HWIO`` or ``O(CHW)>(HWC)O flip``.

    A letter is an axis, ``1`` an axis of length one that the target lacks, and letters
    in brackets are one axis that was flattened in that order. Words may follow:
    ``flip`` reverses the axes H and W, ``+1`` adds one.

    Attributes:
        text: the specification; empty means that nothing changes.
        sizes: lengths of letters, needed for all but one letter of a bracket.
    """

    text: str = ""
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def forward(self, array: np.ndarray) -> np.ndarray:
        """The target's array from the file's."""
        if not self.text:
            return array
        left, right, words = self._parts()
        y, letters = self._opened(left, array)
        y = self._words(y, letters, words, 1)
        order = _letters(right)
        y = y.transpose([letters.index(t) for t in order])
        return y.reshape(_join(right, dict(zip(order, y.shape, strict=True))))

    def backward(self, array: np.ndarray) -> np.ndarray:
        """The file's array from the target's."""
        if not self.text:
            return array
        left, right, words = self._parts()
        order, letters = _letters(right), _letters(left)
        y = array.reshape(self._split(right, array.shape))
        y = self._words(y, order, words, -1)
        y = y.transpose([order.index(t) for t in letters if t != "1"])
        named = [t for t in letters if t != "1"]
        return y.reshape(_join(left, dict(zip(named, y.shape, strict=True))))

    def source_shape(self, target: Sequence[int]) -> tuple[int, ...]:
        """The file's shape from the target's."""
        if not self.text:
            return tuple(target)
        left, right, _ = self._parts()
        lengths = dict(
            zip(_letters(right), self._split(right, tuple(target)), strict=True)
        )
        return _join(left, lengths)

    def in_torch_order(self, array: np.ndarray) -> np.ndarray:
        """The file's array with the target's values in PyTorch's order of axes.

        That is OIHW for kernels, OI for dense layers, CHW for maps; flattened axes are
        taken apart. The parity check's twin computes with these.
        """
        if not self.text:
            return array
        left, _, words = self._parts()
        y, letters = self._opened(left, array)
        y = self._words(y, letters, words, 1)
        order = sorted(range(len(letters)), key=lambda i: TORCH_ORDER.index(letters[i]))
        return y.transpose(order)

    def _parts(self) -> tuple[list[str], list[str], list[str]]:
        spec, *words = self.text.split()
        left, right = spec.split(">")
        return _tokens(left), _tokens(right), words

    def _opened(
        self, tokens: list[str], array: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """The array with an axis for every letter, and the letters."""
        pairs = list(
            zip(_letters(tokens), self._split(tokens, array.shape), strict=True)
        )
        shape = [length for letter, length in pairs if letter != "1"]
        return array.reshape(shape), [letter for letter, _ in pairs if letter != "1"]

    def _split(self, tokens: list[str], shape: Sequence[int]) -> tuple[int, ...]:
        """The shape with every bracket taken apart; -1 never remains."""
        lengths: list[int] = []
        for token, length in zip(tokens, shape, strict=True):
            known = [self.sizes.get(t, -1) if len(token) > 1 else length for t in token]
            if known.count(-1) == 1:
                rest = math.prod(n for n in known if n != -1)
                known[known.index(-1)] = length // rest if length % rest == 0 else 0
            lengths += known
        return tuple(lengths)

    @staticmethod
    def _words(
        array: np.ndarray, letters: list[str], words: list[str], sign: int
    ) -> np.ndarray:
        for word in words:
            if word == "flip":
                array = np.flip(array, (letters.index("H"), letters.index("W")))
            elif word == "+1":
                array = array + array.dtype.type(sign)
            else:
                raise ValueError(f"no axes word {word!r}")
        return array


def _tokens(text: str) -> list[str]:
    return [group or letter for group, letter in _TOKEN.findall(text)]


def _letters(tokens: list[str]) -> list[str]:
    return list("".join(tokens))


def _join(tokens: list[str], lengths: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of tokens, letters multiplied within a bracket."""
    return tuple(
        1 if token == "1" else math.prod(lengths[t] for t in token) for token in tokens
    )


@dataclasses.dataclass(frozen=True)
class Entry:
    """A rule with its blanks filled in.

    Attributes:
        source: the tensor's name in the file.
        target: its path in our model file.
        axes: how it is turned.
    """

    source: str
    target: str
    axes: Axes


@dataclasses.dataclass(frozen=True)
class BufferEntry:
    """A buffer with its blanks filled in; see `Buffer`."""

    source: str
    value: Callable[[], np.ndarray]
    optional: bool
    checked: bool


@dataclasses.dataclass(frozen=True)
class Expansion:
    """A whole table with its blanks filled in."""

    entries: tuple[Entry, ...]
    buffers: tuple[BufferEntry, ...]


def expand(table: Table, scopes: Scopes) -> Expansion:
    """Fills in the blanks of a table.

    Args:
        table: the rules.
        scopes: what fills the blanks, by the rules' ``over``. The scope ``""`` has one
            mapping, whose values (capital letters are axes' lengths) hold everywhere.

    Returns:
        The entries and buffers, in the table's order.
    """
    everywhere = scopes[""][0]
    entries, buffers = [], []
    for rule in table:
        for blanks in scopes[rule.over]:
            values = {**everywhere, **blanks}
            source = rule.source.format_map(values)
            if isinstance(rule, Rule):
                sizes = {k: v for k, v in values.items() if len(k) == 1 and k.isupper()}
                target = rule.target.format_map(values)
                entries.append(Entry(source, target, Axes(rule.axes, sizes)))
            else:
                buffers.append(_buffer(rule, source, values))
    return Expansion(tuple(entries), tuple(buffers))


def _buffer(rule: Buffer, source: str, values: Mapping[str, Any]) -> BufferEntry:
    return BufferEntry(source, lambda: rule.value(values), rule.optional, rule.checked)
