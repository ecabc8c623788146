"""Losses of picture-to-picture translation (Wang et al. 2018, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from stylegan_jax.losses import adversarial

# What a discriminator of several scales gives: features by layer, the scores last.
Scales = Sequence[Sequence[jax.Array]]

GAN_LOSSES: Mapping[str, Callable[[jax.Array, float], jax.Array]] = {
    "lsgan": adversarial.least_squares,
    "logistic": adversarial.logistic,
}
# VGG's features and their weights, for both depths: the first of every stage.
VGG_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def per_picture(values: jax.Array) -> jax.Array:
    """Means over all axes but the first: [N, ...] to [N] float32."""
    return jnp.mean(values.astype(jnp.float32), range(1, values.ndim))


def gan(scales: Scales, wanted: float, kind: str) -> jax.Array:
    """The adversarial loss of each picture, summed over the scales.

    Args:
        scales: what the discriminator gave.
        wanted: 1 where the scores should call the pictures real, else 0.
        kind: one of `GAN_LOSSES`.

    Returns:
        [N] float32.
    """
    loss = GAN_LOSSES[kind]
    return sum(
        (per_picture(loss(layers[-1], wanted)) for layers in scales),
        jnp.zeros(len(scales[0][-1])),
    )


def feature_matching(fake: Scales, real: Scales) -> jax.Array:
    """L1 between the discriminator's features of a made and a real picture.

    Wang et al. 2018, equation 4, weighted as in their program: 4 / (number of layers
    before the scores), averaged over the scales.

    Args:
        fake: features of the made pictures.
        real: features of the real ones; constants.

    Returns:
        [N] float32.
    """
    total = jnp.zeros(len(fake[0][-1]))
    for one, other in zip(fake, real, strict=True):
        share = 4.0 / (len(one) - 1) / len(fake)
        for a, b in zip(one[:-1], other[:-1], strict=True):
            total += share * per_picture(jnp.abs(a - jax.lax.stop_gradient(b)))
    return total


def perceptual(
    fake: Mapping[str, jax.Array], real: Mapping[str, jax.Array]
) -> jax.Array:
    """Weighted L1 between VGG's features (`VGG_TAPS`) of two sets of pictures.

    Wang et al. 2018, section 4; weights as in their program.

    Args:
        fake: features by name, of the made pictures.
        real: of the real ones; constants.

    Returns:
        [N] float32.
    """
    parts = [
        weight * per_picture(jnp.abs(fake[tap] - jax.lax.stop_gradient(real[tap])))
        for tap, weight in zip(VGG_TAPS, VGG_WEIGHTS, strict=True)
    ]
    return sum(parts[1:], parts[0])


def instance_edges(instances: jax.Array) -> jax.Array:
    """Marks pixels that have a neighbour of another instance (section 3.3).

    Args:
        instances: [N, H, W] integers.

    Returns:
        [N, H, W, 1] float32: 1 at the edges of instances, on both sides, else 0.
    """
    across = instances[:, :, 1:] != instances[:, :, :-1]
    down = instances[:, 1:] != instances[:, :-1]
    edges = jnp.zeros(instances.shape, jnp.bool_)
    edges = edges.at[:, :, 1:].max(across).at[:, :, :-1].max(across)
    edges = edges.at[:, 1:].max(down).at[:, :-1].max(down)
    return edges[..., None].astype(jnp.float32)
