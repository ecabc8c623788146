"""What a config is read from: tensors that must be there, numbers in their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stylegan_jax.convert_torch.rules.layout import State
from stylegan_jax.errors import UserError, printable

# More resolutions than any network has; a damaged name must not mean a million.
MAX_BLOCKS = 16
# Longer numbers are no part of a network's names, and turning them takes long.
MAX_DIGITS = 6


def need(state: State, ranks: Mapping[str, int], *, where: object) -> None:
    """Checks the tensors that a config is read from.

    Args:
        state: tensors by their names.
        ranks: how many axes each tensor that is needed has.
        where: what to name in errors.

    Raises:
        UserError: some are missing or have other axes; all of them are listed.
    """
    missing = sorted(name for name in ranks if name not in state)
    wrong = [
        f"{name} {list(state[name].shape)}"
        for name, rank in sorted(ranks.items())
        if name in state and (len(state[name].shape) != rank or 0 in state[name].shape)
    ]
    faults = {"missing": missing, "of an impossible shape": wrong}
    if missing or wrong:
        listed = "; ".join(f"{k}: {', '.join(v)}" for k, v in faults.items() if v)
        raise UserError(
            printable(f"the tensors of {where} make no network; {listed}. Nothing was ")
            + "written."
        )


def shape_of(state: State, name: str, rank: int, *, where: object) -> tuple[int, ...]:
    """The shape of a tensor that the config cannot be told without.

    Raises:
        UserError: it is missing or has another number of axes.
    """
    need(state, {name: rank}, where=where)
    return tuple(int(n) for n in state[name].shape)


def numbers(state: State, pattern: str) -> list[int]:
    """The different numbers that a pattern's first group finds in names, sorted."""
    return sorted(
        {
            int(m[1])
            for name in state
            if (m := re.fullmatch(pattern, name)) and len(m[1]) <= MAX_DIGITS
        }
    )


def highest(state: State, pattern: str) -> int:
    """The highest number that a pattern finds in the tensors' names, or -1."""
    return max(numbers(state, pattern), default=-1)


def resolutions(state: State, pattern: str, *, where: object) -> list[int]:
    """The blocks' nominal resolutions 4, 8, … up to the largest that names tell.

    Raises:
        UserError: there are none, or the largest is no power of two from 4 on.
    """
    found = numbers(state, pattern)
    largest = found[-1] if found else 0
    wanted = [4 << k for k in range(MAX_BLOCKS) if 4 << k <= largest]
    if not wanted or wanted[-1] != largest:
        raise UserError(
            f"{where} has blocks of {found} pixels, and a network has 4, 8, 16 … : the "
            "file is damaged or of another program. Nothing was written."
        )
    return wanted


def depth_of(state: State, pattern: str, *, where: object) -> int:
    """How many layers the names count, from 0 to the highest number.

    Raises:
        UserError: none, or more than any network has.
    """
    found = numbers(state, pattern)
    if not found or found[-1] >= 64:
        raise UserError(
            f"{where} counts the layers {found[-4:]} in its mapping network, and a "
            "network has 0, 1, 2 … : the file is damaged. Nothing was written."
        )
    return found[-1] + 1
