"""Pictures of latents: the same whatever stands beside them and on how many devices."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.drawing import synthesise, to_bytes
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.tiles import Tiles
from stylegan_jax.errors import UserError

NOISE_MODES = ("none", "const")


class LatentPictures:
    """Draws w_plus with a generator, in tiles over all devices of this machine."""

    def __init__(self, generator: GeneratorNetwork):
        """Compiles nothing yet."""
        self._generator = generator
        self._tiles: dict[str, Tiles] = {}

    def parts(
        self, w_plus: Any, *, batch: int | None = None, noise_mode: str = "none"
    ) -> Iterator[np.ndarray]:
        """Draws latents and yields parts [m, H, W, C] uint8 in order.

        Args:
            w_plus: [M, num_ws, w_dim].
            batch: about how many pictures are computed at a time; None leaves it to
                the program.
            noise_mode: ``none`` or ``const``.

        Raises:
            UserError: another shape or noise mode, or no rows.
        """
        if noise_mode not in NOISE_MODES:
            raise UserError(f"unknown noise_mode {noise_mode!r}: choose none or const.")
        if batch is not None and batch < 1:
            raise UserError(f"batch is at least 1, got {batch}.")
        rows = np.asarray(w_plus, np.float32)
        module = self._generator.module
        check_array(rows, "w_plus", ("M", module.num_ws, module.w_dim))
        if not len(rows):
            raise UserError("w_plus holds no rows: give at least one.")
        return self._draw(rows, batch, noise_mode)

    def _draw(
        self, rows: np.ndarray, batch: int | None, noise_mode: str
    ) -> Iterator[np.ndarray]:
        """Runs groups of tiles, a few in flight."""
        if noise_mode not in self._tiles:
            function = partial(_picture, self._generator.module, noise_mode)
            self._tiles[noise_mode] = Tiles(function, self._generator.variables)
        tiles, tile = self._tiles[noise_mode], self._generator.tile
        devices = Tiles.devices(len(rows), tile)
        group = tile * devices
        pending: collections.deque[tuple[jax.Array, int]] = collections.deque()
        for start in range(0, len(rows), group):
            part = rows[start : start + group]
            pending.append((tiles.start(part, tile, devices), len(part)))
            if len(pending) >= max(1, (batch or 2 * group) // group):
                drawn, count = pending.popleft()
                yield np.asarray(drawn)[:count]
        for drawn, count in pending:
            yield np.asarray(drawn)[:count]


def _picture(
    module: Any, noise_mode: str, variables: Any, w_plus: jax.Array
) -> jax.Array:
    return to_bytes(synthesise(module, noise_mode, variables, w_plus, None))
