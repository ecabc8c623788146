"""Seeds to latents, latents to pictures, and what is done to latents between.

Rows are mapped and drawn in steps of a fixed size, see `LatentDrawing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.drawing import map_latents, pad
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.latent_pictures import LatentDrawing
from stylegan_jax.errors import UserError

# Latents are mapped in steps of as many, as pictures are drawn.
MAP_TILE = 64


class LatentPictures(LatentDrawing):
    """Maps z with one generator, and draws latents; fields as of `LatentDrawing`."""

    def __init__(self, model: GeneratorNetwork, *, noise_mode: str = "const"):
        """Compiles nothing yet; arguments as of `LatentDrawing`."""
        super().__init__(model, noise_mode=noise_mode)
        self._mappings: dict[int | None, Callable[..., jax.Array]] = {}

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
