"""Logistic adversarial losses (Goodfellow et al. 2014)."""

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
