"""Adversarial losses: logistic (Goodfellow et al. 2014) and least squares."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def generator_nonsaturating(fake_logits: jax.Array) -> jax.Array:
    """-log(sigmoid(fake)) per example: [N] to [N] float32."""
    return jax.nn.softplus(-fake_logits.astype(jnp.float32))


def discriminator_fake(fake_logits: jax.Array) -> jax.Array:
    """-log(1 - sigmoid(fake)) per example: [N] to [N] float32."""
    return jax.nn.softplus(fake_logits.astype(jnp.float32))


def discriminator_real(real_logits: jax.Array) -> jax.Array:
    """-log(sigmoid(real)) per example: [N] to [N] float32."""
    return jax.nn.softplus(-real_logits.astype(jnp.float32))


def least_squares(scores: jax.Array, wanted: float) -> jax.Array:
    """Squared distance of scores to 1 (real) or 0 (made), the same shape, float32.

    LSGAN (Mao et al. 2017, equation 9, with b = c = 1 and a = 0).
    """
    return jnp.square(scores.astype(jnp.float32) - wanted)


def logistic(scores: jax.Array, wanted: float) -> jax.Array:
    """Cross entropy of scores (logits) against 1 (real) or 0 (made), float32.

    For a generator that wants 1 it is the non-saturating loss.
    """
    real, fake = discriminator_real(scores), discriminator_fake(scores)
    return wanted * real + (1 - wanted) * fake
