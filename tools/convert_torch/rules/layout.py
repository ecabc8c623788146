"""A source's way of laying a model out, and the conversion by its table.

`to_jax` and `to_torch` are the only two functions that turn tensors; both are strict:
what is missing, unexpected or of another shape is listed in full and nothing is
returned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.convert_torch.rules.language import (
    Expansion,
    Scopes,
    Table,
    expand,
)
from stylegan_jax.errors import UserError, printable


class HasShape(Protocol):
    """A tensor of a file: an array, or one that is read when it is wanted."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""


State = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Layout:
    """One program's names for one family of models.

    Attributes:
        name: whose layout it is, e.g. ``rosinality``.
        family: the family of our model files, e.g. ``stylegan2.generator``.
        table: the rules.
        scopes: what fills the table's blanks, from the model's config.
        config: the model's config from the tensors of a file and what else the file
            says (``hints``); raises `UserError` where no model has such tensors.
    """

    name: str
    family: str
    table: Table
    scopes: Callable[[Mapping[str, Any]], Scopes]
    config: Callable[[State, Mapping[str, Any]], dict[str, Any]]

    def expand(self, config: Mapping[str, Any]) -> Expansion:
        """The table for a model of this config."""
        return expand(self.table, self.scopes(config))


def as_array(tensor: Any) -> np.ndarray:
    """A tensor of a file as an array, read now if it was not yet."""
    return np.asarray(tensor.array() if hasattr(tensor, "array") else tensor)


def to_jax(
    state: State,
    expansion: Expansion,
    shapes: Mapping[str, Any],
    *,
    where: object,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Converts the tensors of a file.

    Args:
        state: tensors by their names in the file.
        expansion: the table, filled in.
        shapes: what our model has: path → anything with a ``shape``.
        where: what to name in errors, e.g. the file's path and the part.
        progress: called with 1 for every tensor that is done.

    Returns:
        The variables, nested dicts of arrays, in the file's float width.

    Raises:
        UserError: tensors are missing, unexpected, misshapen, no floats or not finite,
            or a buffer holds other values than the architecture implies; all of them
            are listed.
    """
    covered = {entry.target for entry in expansion.entries}
    if covered != set(shapes):
        odd = sorted(covered ^ set(shapes))
        raise UserError(
            f"the tensors of {where} make no model of this program; these have no "
            f"counterpart: {', '.join(odd)}."
        )
    known = {e.source for e in expansion.entries}
    known |= {b.source for b in expansion.buffers}
    needed = {e.source for e in expansion.entries}
    needed |= {b.source for b in expansion.buffers if not b.optional}
    _refuse(
        where,
        {
            "missing": sorted(needed - set(state)),
            "unexpected": sorted(set(state) - known),
            "of another shape": _misshapen(state, expansion, shapes),
            "of another type": _mistyped(state, expansion, shapes),
            "of other values than this architecture has": _other_values(
                state, expansion
            ),
        },
    )
    flat, broken = {}, []
    for entry in expansion.entries:
        array = entry.axes.forward(as_array(state[entry.source]))
        if not np.isfinite(array).all():
            broken.append(entry.source)
        flat[entry.target] = np.array(array, order="C", copy=None)
        if progress is not None:
            progress(1)
    _refuse(where, {"with NaN or infinity in them": broken})
    return nest(flat)


def _refuse(where: object, faults: Mapping[str, list[str]]) -> None:
    """Raises `UserError` with every fault; does nothing where there is none."""
    if any(faults.values()):
        listed = "; ".join(f"{k}: {', '.join(v)}" for k, v in faults.items() if v)
        raise UserError(
            printable(f"the tensors of {where} do not fit; {listed}. Nothing was ")
            + "written."
        )


def to_torch(
    variables: Mapping[str, Any], expansion: Expansion, *, where: object
) -> dict[str, np.ndarray]:
    """Converts variables back, buffers included.

    Args:
        variables: nested dicts of arrays.
        expansion: the table, filled in.
        where: what to name in errors.

    Returns:
        Tensors by their names in the file, in the table's order.

    Raises:
        UserError: the variables have paths that the table does not know, or lack some.
    """
    flat = flatten(variables)
    targets = {e.target for e in expansion.entries}
    missing, unknown = sorted(targets - set(flat)), sorted(set(flat) - targets)
    if missing or unknown:
        raise UserError(
            f"the tensors of {where} cannot be laid out; missing: "
            f"{', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}."
        )
    state = {
        e.source: np.array(e.axes.backward(np.asarray(flat[e.target])), order="C")
        for e in expansion.entries
    }
    state.update({b.source: np.asarray(b.value()) for b in expansion.buffers})
    return state


def nest(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Nested dicts from slash-separated paths."""
    tree: dict[str, Any] = {}
    for path, array in flat.items():
        *parents, last = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = array
    return tree


def _misshapen(
    state: State, expansion: Expansion, shapes: Mapping[str, Any]
) -> list[str]:
    found = []
    for entry in expansion.entries:
        if entry.source in state:
            want = entry.axes.source_shape(shapes[entry.target].shape)
            have = tuple(state[entry.source].shape)
            if have != want:
                found.append(f"{entry.source} {list(have)} instead of {list(want)}")
    return found


def _mistyped(
    state: State, expansion: Expansion, shapes: Mapping[str, Any]
) -> list[str]:
    """Integers where our model has floats; half and double precision are floats."""
    return [
        f"{entry.source} {state[entry.source].dtype} instead of float"
        for entry in expansion.entries
        if entry.source in state
        and np.issubdtype(shapes[entry.target].dtype, np.floating)
        and not np.issubdtype(state[entry.source].dtype, np.floating)
    ]


def _other_values(state: State, expansion: Expansion) -> list[str]:
    found = []
    for buffer in expansion.buffers:
        if buffer.source in state and buffer.checked:
            want, have = buffer.value(), as_array(state[buffer.source])
            same = want.shape == have.shape and np.allclose(have, want, atol=1e-5)
            if not same:
                found.append(buffer.source)
    return found
