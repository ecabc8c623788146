"""What the tables of the feature networks share: batch normalisation, widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Buffer, Rule
from stylegan_jax.convert_torch.rules.layout import State
from stylegan_jax.errors import UserError


def no_batches(_: Mapping[str, Any]) -> np.ndarray:
    """PyTorch's counter of training batches; old files lack it, nothing reads it."""
    return np.zeros((), np.int64)


def norm_rules(
    source: str, target: str, over: str = "", *, scaled: str | None = None
) -> tuple[Rule | Buffer, ...]:
    """The rules of one batch normalisation.

    Args:
        source: its name in the file, with blanks.
        target: its path in ours, without the collection.
        over: the scope that fills the blanks.
        scaled: the scope for its factor, where that is another one.
    """
    factors = over if scaled is None else scaled
    return (
        Rule(f"{source}.weight", f"params/{target}/scale", "", factors),
        Rule(f"{source}.bias", f"params/{target}/bias", "", over),
        Rule(f"{source}.running_mean", f"batch_stats/{target}/mean", "", over),
        Rule(f"{source}.running_var", f"batch_stats/{target}/var", "", over),
        Buffer(
            f"{source}.num_batches_tracked",
            no_batches,
            over,
            optional=True,
            checked=False,
        ),
    )


def width_of(state: State, names: Mapping[str, int], where: object, kind: str) -> int:
    """Channels of the first convolution, whichever of its tensors is there.

    Args:
        state: tensors by name.
        names: tensors that have them, each with their axis, the surest first.
        where: what to name in errors.
        kind: what the file should be.

    Raises:
        UserError: none is there or it has too few axes.
    """
    for name, axis in names.items():
        if name in state and -len(state[name].shape) <= axis < len(state[name].shape):
            return int(state[name].shape[axis])
    raise UserError(f"{where} is not {kind}: it lacks a usable {' and '.join(names)}.")
