"""Style mixing: some layers of one latent and the rest of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stylegan_jax.errors import UserError


def mix(rows: np.ndarray, columns: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """Mixes every row's latent with every column's (Karras et al. 2019, figure 3).

    Args:
        rows: [R, num_ws, w_dim], which give all other layers.
        columns: [C, num_ws, w_dim], which give the named layers.
        layers: indices below num_ws.

    Returns:
        [R, C, num_ws, w_dim] float32.

    Raises:
        UserError: shapes differ, or a layer is out of range.
    """
    rows, columns = (np.asarray(x, np.float32) for x in (rows, columns))
    if rows.ndim != 3 or columns.ndim != 3 or rows.shape[1:] != columns.shape[1:]:
        raise UserError(
            "latents to mix are [N, num_ws, w_dim] of one model, got "
            f"{list(rows.shape)} and {list(columns.shape)}."
        )
    num_ws = rows.shape[1]
    wrong = [str(layer) for layer in layers if not 0 <= layer < num_ws]
    if wrong:
        raise UserError(
            f"this model has the layers 0 to {num_ws - 1}, got {', '.join(wrong)}."
        )
    chosen = np.zeros(num_ws, np.bool_)
    chosen[list(layers)] = True
    return np.where(chosen[:, None], columns[None], rows[:, None])  # [R,C,num_ws,w_dim]


def move_layers(
    person: np.ndarray,
    styles: np.ndarray,
    layers: Sequence[int],
    strengths: Sequence[float],
) -> np.ndarray:
    """Moves some layers of one latent towards those of others.

    Args:
        person: [num_ws, w_dim].
        styles: [S, num_ws, w_dim].
        layers: indices below num_ws; the others stay the person's.
        strengths: T shares of the way: 0 stays, 1 arrives.

    Returns:
        [S, T, num_ws, w_dim] float32; at 0 exactly the person.

    Raises:
        UserError: shapes differ, or a layer is out of range.
    """
    ends = mix(np.asarray(person)[None], styles, layers)[0]  # [S,num_ws,w_dim]
    start = np.asarray(person, np.float32)
    shares = np.asarray(strengths, np.float32)[:, None, None]  # [T,1,1]
    return start + shares * (ends - start)[:, None]
