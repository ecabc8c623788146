"""Layers that the latent modulates, without demodulation at run time.

MobileStyleGAN demodulates its kernels once and for all (Belousov 2021, section 3.3), so
a style is nothing but a factor for every channel of what goes in.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# Figures are compared with other programs', and accelerators would round the factors.
PRECISION = lax.Precision.HIGHEST
SLOPE = 0.2


class Style(nn.Module):
    """A factor for every channel, from the latent.

    Attributes:
        features: channels.
    """

    features: int

    @nn.compact
    def __call__(self, w: jax.Array, scale: float = 1.0) -> jax.Array:
        """Maps w [N, w_dim] to [N, 1, 1, features] float32, times ``scale``."""
        dense = nn.Dense(
            self.features,
            bias_init=nn.initializers.ones,
            precision=PRECISION,
            name="affine",
        )
        return (dense(w) * scale)[:, None, None, :]


class Finish(nn.Module):
    """Noise, bias and a leaky ReLU, which has no gain here.

    Attributes:
        size: (H, W) of the map.
    """

    size: tuple[int, int]

    @nn.compact
    def __call__(self, x: jax.Array, noise_mode: str) -> jax.Array:
        """Maps [N, H, W, C] to [N, H, W, C]; noise_mode is const or none."""
        const = self.variable("noise", "noise_const", self._draw)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[3],))
        if noise_mode == "const":
            x = x + const.value[None, :, :, None]
        return nn.leaky_relu(x + bias, SLOPE)

    def _draw(self) -> jax.Array:
        # As weak as that of trained networks, whose maps hold the strength already.
        return 0.01 * jax.random.normal(self.make_rng("params"), self.size)


class FullLayer(nn.Module):
    """A modulated 3x3 convolution, noise, bias, leaky ReLU.

    Attributes:
        features: output channels.
        size: (H, W) of the map.
    """

    features: int
    size: tuple[int, int]

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise_mode: str) -> jax.Array:
        """Maps x [N, H, W, I] and w [N, w_dim] to [N, H, W, features]."""
        inputs = x.shape[3]
        style = Style(inputs, name="style")(w, (9 * inputs) ** -0.5)
        kernel = self.param(
            "kernel", nn.initializers.normal(1.0), (3, 3, inputs, self.features)
        )
        x = lax.conv_general_dilated(
            x * style,
            kernel,
            (1, 1),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=PRECISION,
        )
        return Finish(self.size, name="finish")(x, noise_mode)


class SeparableLayer(nn.Module):
    """A modulated 3x3 convolution of each channel, then 1x1, noise, bias, leaky ReLU.

    Attributes:
        features: output channels.
        size: (H, W) of the map.
    """

    features: int
    size: tuple[int, int]

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise_mode: str) -> jax.Array:
        """Maps x [N, H, W, I] and w [N, w_dim] to [N, H, W, features]."""
        inputs = x.shape[3]
        style = Style(inputs, name="style")(w, (9 * inputs) ** -0.5)
        initial = nn.initializers.normal(1.0)
        depthwise = self.param("depthwise", initial, (3, 3, inputs))
        pointwise = self.param("pointwise", initial, (inputs, self.features))
        x = convolve_each(x * style, depthwise)
        x = jnp.einsum("nhwi,io->nhwo", x, pointwise, precision=PRECISION)
        return Finish(self.size, name="finish")(x, noise_mode)


def convolve_each(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Correlates every channel with its own 3x3 kernel, zeros around the border.

    Args:
        x: [N, H, W, C].
        kernel: [3, 3, C].

    Returns:
        [N, H, W, C].
    """
    # XLA runs convolutions in groups five times slower than these nine products on a
    # CPU; and would compute the border anew for each of them without the barrier.
    _, height, width, _ = x.shape
    padded = lax.optimization_barrier(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
    y = jnp.zeros_like(x)
    for i in range(3):
        for j in range(3):
            y += padded[:, i : i + height, j : j + width] * kernel[i, j]
    return y


class ToWavelets(nn.Module):
    """A modulated 1x1 convolution to the sub-bands of the picture.

    Attributes:
        features: sub-bands, four for every channel of the picture.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Maps x [N, H, W, I] and w [N, w_dim] to [N, H, W, features]."""
        inputs = x.shape[3]
        style = Style(inputs, name="style")(w, inputs**-0.5)
        kernel = self.param(
            "kernel", nn.initializers.normal(1.0), (inputs, self.features)
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = jnp.einsum("nhwi,io->nhwo", x * style, kernel, precision=PRECISION)
        return y + bias
