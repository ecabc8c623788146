"""Mapping network: z (and a label) to w (Karras et al. 2019, section 2)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.stylegan2.layers import Dense, normalize_second_moment


class MappingNetwork(nn.Module):
    """Fully connected layers from a normalised input to the intermediate latent.

    Attributes:
        z_dim: width of z; 0 where only the label is mapped (in the discriminator).
        c_dim: width of the label; 0 without labels.
        w_dim: width of the output.
        num_layers: fully connected layers (8 in the papers, 2 in NVIDIA's "auto").
        lr_multiplier: scale of the layers' learning rate.
        track_w_avg: whether ``moving_stats`` holds the running mean of w.
        layer_features: width of all layers but the last; 0 for w_dim.
        embed_features: width of the embedded label; 0 for w_dim.
    """

    z_dim: int
    c_dim: int
    w_dim: int
    num_layers: int = 8
    lr_multiplier: float = 0.01
    track_w_avg: bool = True
    layer_features: int = 0
    embed_features: int = 0

    @nn.compact
    def __call__(self, z: jax.Array | None, c: jax.Array | None = None) -> jax.Array:
        """Maps z [N, z_dim] and c [N, c_dim] to w [N, w_dim], all float32.

        Raises:
            ValueError: if the network is conditional and c is missing.
        """
        if self.track_w_avg:
            self.variable("moving_stats", "w_avg", jnp.zeros, (self.w_dim,))
        parts = []
        if self.z_dim > 0:
            if z is None:
                raise ValueError(f"This network needs z of shape [N, {self.z_dim}].")
            parts.append(normalize_second_moment(z))
        if self.c_dim > 0:
            if c is None:
                raise ValueError(
                    f"This network is conditional: it needs c of shape "
                    f"[N, {self.c_dim}], got None."
                )
            width = self.embed_features or self.w_dim
            embedded = Dense(width, name="embed")(c.astype(jnp.float32))
            parts.append(normalize_second_moment(embedded))
        x = jnp.concatenate(parts, 1)
        for i in range(self.num_layers):
            last = i == self.num_layers - 1
            width = self.w_dim if last else self.layer_features or self.w_dim
            layer = Dense(
                width, "lrelu", lr_multiplier=self.lr_multiplier, name=f"fc{i}"
            )
            x = layer(x)
        return x
