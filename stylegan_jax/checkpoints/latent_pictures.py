"""Pictures of latents: the same whatever stands beside them and on how many devices.

As `GeneratorNetwork.images` does for seeds: a program draws a fixed number of
pictures per device whatever is asked for, so that a picture depends on its latent (and
the options) alone, not on its neighbours or the number of devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.arguments import check_choice
from stylegan_jax.checkpoints.drawing import synthesise, to_bytes
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.tiles import Tiles, in_flight
from stylegan_jax.errors import UserError

# Pictures need no random numbers here, so there is no ``random``.
NOISE_MODES = ("const", "none")


class LatentDrawing:
    """Draws pictures from latents with one generator.

    Attributes:
        model: the generator.
        noise_mode: ``const`` or ``none``.
    """

    def __init__(self, model: GeneratorNetwork, *, noise_mode: str = "const"):
        """Compiles nothing yet.

        Args:
            model: the generator.
            noise_mode: ``const`` (the model's own) or ``none``.

        Raises:
            UserError: an unknown noise mode.
        """
        check_choice(noise_mode, "noise_mode", NOISE_MODES)
        self.model, self.noise_mode = model, noise_mode
        self._tiles = Tiles(self._draw, model.variables)

    @property
    def tile(self) -> int:
        """Pictures that a device draws at a time."""
        return self.model.tile

    @property
    def group(self) -> int:
        """Pictures that all devices draw at a time."""
        return self.tile * len(jax.local_devices())

    def iter_images(
        self, parts: Iterable[np.ndarray], *, most: int = 2
    ) -> Iterator[np.ndarray]:
        """Draws pictures in order, a few groups in flight.

        Args:
            parts: latents [n, num_ws, w_dim] float32 of any n, taken as they are
                needed.
            most: groups at a time.

        Yields:
            Pictures [m, H, W, C] uint8.

        Raises:
            UserError: latents of another shape.
        """
        return in_flight(
            (
                (
                    self._tiles.start(
                        w_plus, self.tile, self._tiles.devices(len(w_plus), self.tile)
                    ),
                    len(w_plus),
                )
                for w_plus in self._groups(parts)
            ),
            most,
        )

    def _groups(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The latents in groups of a tile for every device; the last is smaller."""
        size = self.group
        shape = (self.model.num_ws, self.model.module.w_dim)
        waiting = np.zeros((0, *shape), np.float32)
        for part in parts:
            part = np.asarray(part, np.float32)
            if part.shape[1:] != shape:
                raise UserError(
                    f"w_plus must be [N, {shape[0]}, {shape[1]}], got "
                    f"{list(part.shape)}."
                )
            waiting = np.concatenate([waiting, part])
            while len(waiting) >= size:
                yield waiting[:size]
                waiting = waiting[size:]
        if len(waiting):
            yield waiting

    def _draw(self, variables: Any, w_plus: jax.Array) -> jax.Array:
        """One tile: latents [n, num_ws, w_dim] to [n, H, W, C] uint8."""
        x = synthesise(self.model.module, self.noise_mode, variables, w_plus, None)
        return to_bytes(x)
