"""Losses of a face space: how far drawn faces are from photos.

They are those of StyleGAN-FaceSpace (tanth1996), an encoder in front of the synthesis
network of StyleGAN (Karras et al. 2019), and a pyramid for who has no VGG. Every
function returns one value per picture; weights and means over a batch are the training
step's.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from stylegan_jax.losses.translation import per_picture

# The 13 convolutions of VGG16, before their ReLUs.
VGG_TAPS = tuple(
    f"conv{stage}_{number}"
    for stage, count in enumerate((2, 2, 3, 3, 3), 1)
    for number in range(1, count + 1)
)
# Pictures are halved for the pyramid down to this side.
SMALLEST_LEVEL = 4


def shown(x: jax.Array) -> jax.Array:
    """Pictures as a person sees them, cut off to [-1, 1], with the slope of 1.

    DIFF(original): there a pixel beyond the range has no slope and never comes back.
    With the straight-through slope it moves until what is seen of it is right.
    """
    return x + jax.lax.stop_gradient(jnp.clip(x, -1, 1) - x)


def pixel(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean squared difference of pictures [N, H, W, C] in [-1, 1], halved to [0, 1]."""
    return per_picture(jnp.square((x - y) / 2))


def feature(x: Mapping[str, jax.Array], y: Mapping[str, jax.Array]) -> jax.Array:
    """Sum over VGG16's convolutions of the mean squared differences.

    Args:
        x: features by name, `VGG_TAPS`, of the drawn pictures.
        y: of the photos; constants.

    Returns:
        [N] float32.
    """
    parts = [
        per_picture(jnp.square(x[tap] - jax.lax.stop_gradient(y[tap])))
        for tap in VGG_TAPS
    ]
    return sum(parts[1:], parts[0])


def pyramid(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean absolute differences of Laplacian pyramids, the mean over their levels.

    Of Lap-1 (Bojanowski et al. 2018, "Optimizing the Latent Space of Generative
    Networks", section 3): coarse levels count as much as fine ones, so a face that is
    in another place is pulled over. Levels are halved by averaging blocks of 2x2 and
    brought back by repeating pixels. The two pyramids are linear in their pictures, so
    it is the difference's that is made.

    Args:
        x: [N, H, W, C] in [-1, 1].
        y: the same shape and range.

    Returns:
        [N] float32, of pictures halved to [0, 1].
    """
    difference = (x - y) / 2
    parts = []
    while min(difference.shape[1:3]) >= 2 * SMALLEST_LEVEL and not any(
        side % 2 for side in difference.shape[1:3]
    ):
        n, h, w, c = difference.shape
        coarse = difference.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))
        back = jnp.repeat(jnp.repeat(coarse, 2, 1), 2, 2)  # [N,H,W,C]
        parts.append(per_picture(jnp.abs(difference - back)))
        difference = coarse
    parts.append(per_picture(jnp.abs(difference)))
    return sum(parts[1:], parts[0]) / len(parts)


def pull(w: jax.Array, w_avg: jax.Array) -> jax.Array:
    """Mean squared distance of latents [N, num_ws, w_dim] to another: [N] float32."""
    return per_picture(jnp.square(w - w_avg))
