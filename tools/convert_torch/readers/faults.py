"""What can be wrong with a file, before it is known which file it is.

The parts of a reader see bytes and not a path. They raise one of these, and
`told` turns it into the one sentence that a person reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stylegan_jax.errors import UserError


class Fault(Exception):
    """Something is wrong with the bytes; its text is a clause, not a sentence."""


class Damaged(Fault):
    """The bytes contradict themselves; the text says where."""


class CutShort(Fault):
    """The bytes end before what they announce does."""


class Refused(Fault):
    """The file asks for something that is not on the list; the text names it."""


class Unsupported(Fault):
    """The file is sound and of a kind that is not read; the text says which."""


def sentence(fault: Fault, path: Path) -> str:
    """The sentence for `fault` in the file at `path`: what, where, what to do."""
    if isinstance(fault, CutShort):
        return f"{path} is cut short ({fault}): copy or download it again."
    if isinstance(fault, Refused):
        return (
            f"{path} asks for {fault}, which reading weights never needs, so nothing "
            "of it was run or read: use a file that holds weights alone, from a source "
            "you trust."
        )
    if isinstance(fault, Unsupported):
        return f"{path} cannot be read: {fault}."
    return f"{path} is damaged ({fault}): copy or download it again."


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turns every `Fault` raised inside into a `UserError` about `path`."""
    try:
        yield
    except Fault as fault:
        raise UserError(sentence(fault, path)) from fault
