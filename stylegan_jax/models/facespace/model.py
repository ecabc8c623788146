"""A face space as one network: an encoder in front of a frozen generator."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.facespace.encoder import Encoder


class FaceSpace(nn.Module):
    """From blends, codes or landmarks to pictures.

    Attributes:
        encoder: gives one latent for each layer of the generator (W+), or a single one
            that is repeated for all of them (W).
        generator: a StyleGAN, StyleGAN2 or MobileStyleGAN generator.
    """

    encoder: Encoder
    generator: Any

    @property
    def space(self) -> str:
        """Where the encoder's latents are: ``w`` or ``w_plus``."""
        return "w" if self.encoder.num_ws == 1 else "w_plus"

    def encode(self, v: jax.Array) -> jax.Array:
        """Maps v [N, input_dim] to w_plus [N, num_ws, w_dim] float32."""
        w_plus = self.encoder(v)
        shape = (len(v), self.generator.num_ws, self.generator.w_dim)
        return jnp.broadcast_to(w_plus, shape)

    def synthesis(self, w_plus: jax.Array, *, noise_mode: str = "none") -> jax.Array:
        """Draws pictures [N, H, W, C] from latents [N, num_ws, w_dim]."""
        x: jax.Array = self.generator.synthesis(w_plus, noise_mode=noise_mode)
        return x

    def __call__(self, v: jax.Array, *, noise_mode: str = "none") -> jax.Array:
        """Draws pictures [N, H, W, C] float32 from v [N, input_dim]."""
        if self.is_initializing():
            # What is not called has no weights, and the file keeps the whole generator.
            z = jnp.zeros((1, self.generator.z_dim))
            self.generator.mapping(z, jnp.zeros((1, self.generator.c_dim)))
        return self.synthesis(self.encode(v), noise_mode=noise_mode)
