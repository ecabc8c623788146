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


def generator_wasserstein(fake_logits: jax.Array) -> jax.Array:
    """-D(fake) per example: [N] to [N] float32 (Arjovsky et al. 2017)."""
    return -fake_logits.astype(jnp.float32)


def discriminator_wasserstein(
    real_logits: jax.Array, fake_logits: jax.Array, drift: float
) -> jax.Array:
    """D(fake) - D(real) + drift * D(real)^2 per example: [N] to [N] float32.

    The last term keeps the logits near 0 (Karras et al. 2018, appendix A.1, whose
    weight of it is 0.001).
    """
    real = real_logits.astype(jnp.float32)
    return fake_logits.astype(jnp.float32) - real + drift * jnp.square(real)


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
