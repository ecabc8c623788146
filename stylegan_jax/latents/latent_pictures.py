"""Pictures of given latents over all devices of this machine.

As `GeneratorNetwork.images` does for seeds: a program draws a fixed number of
pictures per device whatever is asked for, so that a picture depends on its latent (and
the options) alone, not on its neighbours or the number of devices.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.arguments import check_array, check_choice
from stylegan_jax.checkpoints.drawing import (
    map_latents,
    pad,
    synthesise,
    to_bytes,
)
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.tiles import Tiles
from stylegan_jax.errors import UserError

# Pictures need no random numbers here, so there is no ``random``.
NOISE_MODES = ("const", "none")
# Latents are mapped in steps of as many, for the reason above.
MAP_TILE = 64


class LatentPictures:
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
        self._mappings: dict[int | None, Callable[..., jax.Array]] = {}
        self._tiles = Tiles(self._draw, model.variables)

    @property
    def tile(self) -> int:
        """Pictures that a device draws at a time."""
        return self.model.tile

    def w_plus(
        self,
        z: np.ndarray,
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        label: int | None = None,
    ) -> np.ndarray:
        """Maps z to latents; a row depends on its own z alone.

        Args:
            z: [N, z_dim] float32, N ≥ 1.
            truncation_psi: 1 leaves the latents as they are, 0 gives the mean one.
            truncation_cutoff: how many first layers are truncated; None means all.
            label: class, where the model is conditional.

        Returns:
            [N, num_ws, w_dim] float32.

        Raises:
            UserError: z has another shape, or the label and the model do not match.
        """
        z = np.asarray(z, np.float32)
        check_array(jnp.asarray(z), "z", ("N", self.model.module.z_dim))
        c = self._labels(label, len(z))
        if truncation_cutoff not in self._mappings:
            self._mappings[truncation_cutoff] = jax.jit(
                partial(map_latents, self.model.module, truncation_cutoff)
            )
        program = self._mappings[truncation_cutoff]
        psi = np.float32(truncation_psi)
        padded_z, padded_c = pad(z, MAP_TILE), pad(c, MAP_TILE)
        rows = [
            np.asarray(
                program(
                    self.model.variables,
                    padded_z[i : i + MAP_TILE],
                    padded_c[i : i + MAP_TILE],
                    psi,
                )
            )
            for i in range(0, len(padded_z), MAP_TILE)
        ]
        return np.concatenate(rows)[: len(z)]  # [N,num_ws,w_dim]

    def images(self, w_plus: np.ndarray) -> np.ndarray:
        """Draws all pictures at once: [N, H, W, C] uint8; see `iter_images`."""
        return np.concatenate(list(self.iter_images([np.asarray(w_plus)])))

    def iter_images(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Draws pictures in order, a few groups in flight.

        Args:
            parts: latents [n, num_ws, w_dim] float32 of any n, taken as they are
                needed.

        Yields:
            Pictures [m, H, W, C] uint8.

        Raises:
            UserError: latents of another shape.
        """
        pending: collections.deque[tuple[jax.Array, int]] = collections.deque()
        for w_plus in self._groups(parts):
            devices = self._tiles.devices(len(w_plus), self.tile)
            drawn = self._tiles.start(w_plus, self.tile, devices)
            pending.append((drawn, len(w_plus)))
            if len(pending) >= 2:
                images, count = pending.popleft()
                yield np.asarray(images)[:count]
        for images, count in pending:
            yield np.asarray(images)[:count]

    def _groups(self, parts: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The latents in groups of a tile for every device; the last is smaller."""
        size = self.tile * len(jax.local_devices())
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

    def _labels(self, label: int | None, number: int) -> np.ndarray:
        """[N, c_dim] float32."""
        c_dim = self.model.module.c_dim
        if (label is None) == (c_dim > 0):
            raise UserError(
                f"this generator needs a label: give a class from 0 to {c_dim - 1}."
                if c_dim
                else "this generator knows no labels: leave the label out."
            )
        if label is None:
            return np.zeros((number, 0), np.float32)
        if not 0 <= label < c_dim:
            raise UserError(f"a label is a class from 0 to {c_dim - 1}, got {label}.")
        return np.repeat(np.eye(c_dim, dtype=np.float32)[[label]], number, axis=0)


def parse_layers(text: str, num_ws: int) -> list[int]:
    """Reads layers such as ``0-6,9``; ranges include both ends.

    A layer is an index into the ``num_ws`` latents of a picture.

    Args:
        text: numbers and ranges, apart by commas.
        num_ws: of the model.

    Returns:
        The layers, each once, in order.

    Raises:
        UserError: it is written otherwise, or a layer is beyond the last.
    """
    layers: set[int] = set()
    for word in text.split(","):
        first, dash, last = (part.strip() for part in word.partition("-"))
        ends = [first, last] if dash else [first, first]
        if not all(e.isascii() and e.isdigit() and len(e) < 6 for e in ends):
            raise UserError(
                f"'{word.strip()}' in the layers '{text}' is no number or range: write "
                "them like 0-6."
            )
        low, high = map(int, ends)
        if low > high:
            raise UserError(f"the layers {low}-{high} run backwards: swap the two.")
        if high >= num_ws:
            raise UserError(f"this model has the layers 0 to {num_ws - 1}, got {high}.")
        layers.update(range(low, high + 1))
    return sorted(layers)


def edit(
    w_plus: np.ndarray,
    direction: np.ndarray,
    strength: float,
    layers: Sequence[int] | None = None,
) -> np.ndarray:
    """Moves latents along a direction.

    Args:
        w_plus: [N, num_ws, w_dim].
        direction: [w_dim], or [num_ws, w_dim] for one direction per layer.
        strength: factor of the direction.
        layers: the layers that move; None means all.

    Returns:
        [N, num_ws, w_dim] float32.

    Raises:
        UserError: the direction has another shape.
    """
    w_plus = np.asarray(w_plus, np.float32)
    direction = np.asarray(direction, np.float32)
    if direction.shape not in (w_plus.shape[1:], w_plus.shape[2:]):
        raise UserError(
            f"a direction of this model is [{w_plus.shape[2]}] or "
            f"[{w_plus.shape[1]}, {w_plus.shape[2]}], got {list(direction.shape)}."
        )
    moved = w_plus + np.float32(strength) * direction
    if layers is None:
        return moved
    chosen = np.zeros(w_plus.shape[1], np.bool_)
    chosen[list(layers)] = True
    return np.where(chosen[:, None], moved, w_plus)
