"""Opening a face space for the commands that use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.load import load
from stylegan_jax.errors import UserError


def open_space(path: str | Path, *, faces: int = 1) -> FaceSpaceModel:
    """Opens a face space's file.

    Args:
        path: what ``facespace fit`` wrote.
        faces: how many it must keep.

    Raises:
        UserError: there is none, it is another kind of model, or it keeps too few
            faces.
    """
    space: Any = load(path)
    if not isinstance(space, FaceSpaceModel):
        raise UserError(
            f"{path} is a {space.metadata['family']} and no face space: make one with "
            "stylegan-jax facespace fit."
        )
    if len(space.names) < faces:
        raise UserError(
            f"{path} keeps {len(space.names)} faces and {faces} are needed: give a "
            "face space that was fitted to photos."
        )
    return space


def check_blends(space: FaceSpaceModel, shares: np.ndarray) -> np.ndarray:
    """The inputs [M, D] of blends [M, N].

    Raises:
        UserError: blends whose parts cancel out, all listed.
    """
    v = space.vectors(shares)
    size = np.abs(shares) @ np.abs(space.codes)
    empty = np.flatnonzero((np.abs(v) <= 1e-6 * np.maximum(size, 1e-30)).all(1))
    if len(empty):
        listed = ", ".join(str(i + 1) for i in empty)
        raise UserError(
            f"the parts of blend {listed} cancel out, which leaves nobody: give other "
            "weights."
        )
    return v
