"""A network of a file, found and named but not yet converted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class SourcePart:
    """One network of a checkpoint.

    Attributes:
        name: its name in a folder of parts: ``g_ema``, ``g``, ``d``, ``e``, ``psp``…
        layout: whose tensor names it has.
        state: its tensors by those names.
        hints: what else the file says about it; see `Layout.config`.
        ignored: names in the file that the finished network does not use.
        only_by_name: whether it is converted only when it is asked for, because
            another part holds it already.
    """

    name: str
    layout: Layout
    state: State
    hints: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    only_by_name: bool = False


@dataclasses.dataclass(frozen=True)
class Source:
    """What a checkpoint of another program holds.

    Attributes:
        program: whose file it is, in words.
        parts: its networks, the one that people use first.
        licence: the licence its weights are under, as far as the file tells.
        notes: sentences about what was found and what is left out.
        document: our own metadata, where this program wrote the file.
    """

    program: str
    parts: tuple[SourcePart, ...]
    licence: str
    notes: tuple[str, ...] = ()
    document: Mapping[str, Any] | None = None


def is_tensor(value: Any) -> bool:
    """Whether a value of a file is a tensor."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def is_state(value: Any) -> bool:
    """Whether a value of a file is a state dict: names to tensors and nothing else."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(k, str) and is_tensor(v) for k, v in value.items())
    )


def unwrapped(state: State) -> State:
    """A state without the prefix that PyTorch's parallel wrappers put on every name."""
    if state and all(name.startswith("module.") for name in state):
        return {k.removeprefix("module."): v for k, v in state.items()}
    return state


def under(state: State, prefix: str) -> State:
    """The tensors whose names begin with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def layout_of(layouts: tuple[Layout, ...], family: str) -> Layout:
    """The layout for a family.

    Raises:
        UserError: there is none.
    """
    for layout in layouts:
        if layout.family == family:
            return layout
    raise UserError(f"there is no layout for {family} here.")
