"""LPIPS, the learned perceptual distance of two pictures (Zhang et al. 2018)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.features import alexnet, inputs, vgg
from stylegan_jax.models.features.alexnet import AlexNet
from stylegan_jax.models.features.vgg import VGG

# The five features that are compared, by trunk: the last ReLU before each halving.
TAPS = {
    "alex": ("relu1", "relu2", "relu3", "relu4", "relu5"),
    "vgg": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}
SMALLEST = {"alex": alexnet.SMALLEST, "vgg": vgg.SMALLEST}


class LPIPS(nn.Module):
    """Distance of two pictures, version 0.1 of the authors' program.

    Attributes:
        trunk: ``alex`` or ``vgg`` (VGG16), the network whose features are compared.
        width: channels of the trunk's first convolution.
    """

    trunk: str
    width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Compares pictures one by one.

        1. Features of both at five depths.
        2. Each pixel's channels scaled to length 1.
        3. Squared differences, weighted by channel (``lin<i>``) and summed.
        4. Their mean over the pixels, summed over the depths (equation 1).

        Args:
            x: [N, H, W, 3] float32 in [-1, 1]; H and W at least `SMALLEST` of the
                trunk, below which its last features have no pixel.
            y: the same shape and range.

        Returns:
            [N] float32, 0 for equal pictures.

        Raises:
            ValueError: an unknown trunk, shapes that differ, or smaller pictures.
        """
        if self.trunk not in TAPS:
            raise ValueError(
                f"Unknown LPIPS trunk '{self.trunk}', choose from {', '.join(TAPS)}."
            )
        if x.shape != y.shape:
            raise ValueError(f"LPIPS compares equal shapes, got {x.shape}, {y.shape}.")
        smallest = SMALLEST[self.trunk]
        if min(x.shape[1:3]) < smallest:
            raise ValueError(
                f"LPIPS with {self.trunk} compares pictures of at least {smallest} "
                f"pixels a side, got {x.shape[1]}x{x.shape[2]}."
            )
        trunk: nn.Module = (
            AlexNet(self.width, name="trunk")
            if self.trunk == "alex"
            else VGG(16, self.width, name="trunk")
        )
        # One pass over both: half as many programs to compile and larger matrices.
        both = inputs.lpips(jnp.concatenate([x, y]))
        features = trunk(both, TAPS[self.trunk])
        distance = jnp.zeros(len(x))
        for i, tap in enumerate(TAPS[self.trunk]):
            a, b = jnp.split(unit_length(features[tap]), 2)
            weight = self.param(
                f"lin{i}", nn.initializers.constant(1 / a.shape[3]), a.shape[3:]
            )
            squares = jnp.mean(jnp.square(a - b), (1, 2))  # [N,C]
            distance = distance + jnp.sum(squares * weight, 1)
        return distance


def unit_length(x: jax.Array) -> jax.Array:
    """Scales the channels of each pixel [..., C] to length 1; zeros stay zeros."""
    squares = jnp.sum(jnp.square(x), -1, keepdims=True)
    # The root's slope at 0 is infinite, and where no channel is active it is reached:
    # the inner `where` keeps NaN out of the gradient.
    length = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    return x / (length + 1e-10)
