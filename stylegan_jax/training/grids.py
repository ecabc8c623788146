"""What looking at a run needs of any trainer: local arrays, grids that a PNG holds."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def local(tree: Any) -> Any:
    """A replicated tree as arrays of this process."""
    return jax.device_get(tree) if jax.process_count() > 1 else tree


def viewable(grid: np.ndarray) -> np.ndarray:
    """A grid that a PNG can hold: the first three of more than four channels."""
    return grid if grid.shape[2] <= 4 else grid[:, :, :3]
