"""R1 gradient penalty and path lengths."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def r1_penalty(
    logits_fn: Callable[[jax.Array], jax.Array], images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Squared gradient norm of the discriminator at real images.

    |d sum(D(x)) / dx|^2 per image (Mescheder et al. 2018, Eq. 9, without gamma/2).

    Args:
        logits_fn: maps images [N, H, W, C] to logits [N].
        images: [N, H, W, C] float32.

    Returns:
        Penalties [N] float32 and the logits [N].
    """

    def total(x):
        logits = logits_fn(x)
        return jnp.sum(logits), logits

    gradients, logits = jax.grad(total, has_aux=True)(images)
    squares = jnp.square(gradients.astype(jnp.float32))
    return jnp.sum(squares, (1, 2, 3)), logits


def gradient_norm_penalty(
    logits_fn: Callable[[jax.Array], jax.Array], images: jax.Array, target: float
) -> jax.Array:
    """How far the discriminator's gradient norm is from a target.

    ((|d sum(D(x)) / dx| - target) / target)^2 per image (Gulrajani et al. 2017, Eq. 3;
    with a target Karras et al. 2018, appendix A.1).

    Args:
        logits_fn: maps images [N, H, W, C] to logits [N].
        images: [N, H, W, C] float32, between real and made ones.
        target: above 0.

    Returns:
        [N] float32.
    """
    squares, _ = r1_penalty(logits_fn, images)
    # The root's derivative at 0 is infinite.
    norms = jnp.sqrt(squares + 1e-12)
    return jnp.square((norms - target) / target)


def path_lengths(
    synthesis_fn: Callable[[jax.Array], jax.Array],
    w_plus: jax.Array,
    image_noise: jax.Array,
) -> jax.Array:
    """Length of the image's response to a step in w (Karras et al. 2020, Eq. 4).

    |J^T y| with y a noise image scaled by 1/sqrt(H*W), as the root of the mean over
    layers of the squared gradient norms.

    Args:
        synthesis_fn: maps w_plus to images [N, H, W, C].
        w_plus: [N, num_ws, w_dim] float32.
        image_noise: [N, H, W, C] unit normal.

    Returns:
        [N] float32.
    """

    def response(latents):
        images = synthesis_fn(latents)
        scale = 1.0 / (images.shape[1] * images.shape[2]) ** 0.5
        return jnp.sum(images.astype(jnp.float32) * image_noise) * scale

    gradients = jax.grad(response)(w_plus).astype(jnp.float32)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(gradients), 2), 1))
