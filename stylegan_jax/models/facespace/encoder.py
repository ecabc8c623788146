"""FaceSpace's encoder: a vector to w_plus, by fully connected layers."""

from __future__ import annotations

import flax.linen as nn
import jax

from stylegan_jax.models.stylegan1.layers import Dense, leaky_relu
from stylegan_jax.models.stylegan2.layers import normalize_second_moment


class Encoder(nn.Module):
    """From a blend of faces, a short code or landmarks to w_plus.

    The input is brought to unit mean square, so its ratios alone count: twice a vector
    gives the same face, and a vector of zeros has none. The layers are those of the
    StyleGAN of 2018; the last has no activation.

    Attributes:
        input_dim: width of the input: faces, code, or 2 * 68 landmark coordinates.
        features: width of every layer but the last.
        num_ws: latents that the generator takes.
        w_dim: width of each.
    """

    input_dim: int
    features: tuple[int, ...] = (64, 64, 128, 256, 512, 512)
    num_ws: int = 18
    w_dim: int = 512

    @nn.compact
    def __call__(self, v: jax.Array) -> jax.Array:
        """Maps v [N, input_dim] to w_plus [N, num_ws, w_dim], float32."""
        x = normalize_second_moment(v)
        for i, width in enumerate(self.features):
            x = leaky_relu(Dense(width, name=f"fc{i}")(x))
        last = Dense(self.num_ws * self.w_dim, name=f"fc{len(self.features)}")
        return last(x).reshape(len(x), self.num_ws, self.w_dim)
