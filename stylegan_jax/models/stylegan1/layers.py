"""Layers with equalised learning rate as the StyleGAN of 2018 has them.

The gain of the activation is a factor of the weights alone, and not of the bias as in
StyleGAN2's layers.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.stylegan2.layers import normal_init
from stylegan_jax.ops import bilinear_convs, conv2d, upfirdn2d
from stylegan_jax.types import Filter

# He initialisation's gain for (leaky) rectifiers.
SQRT2 = 2.0**0.5


def leaky_relu(x: jax.Array) -> jax.Array:
    """Leaky rectifier of slope 0.2, without a gain."""
    return nn.leaky_relu(x, 0.2)


def instance_norm(x: jax.Array, eps: float) -> jax.Array:
    """Normalises every channel of every picture: [N, H, W, C], in float32."""
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, (1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(x), (1, 2), keepdims=True)
    return x * jax.lax.rsqrt(variance + eps)


def pixel_norm(x: jax.Array) -> jax.Array:
    """Scales every pixel's vector to unit mean square: [N, H, W, C], in float32.

    Karras et al. 2018, section 4.2.
    """
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), 3, keepdims=True) + 1e-8)


def correlate(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution with zero padding that keeps the size, kernels not flipped."""
    return conv2d(x, kernel)


def double_nearest(x: jax.Array) -> jax.Array:
    """Repeats every pixel: [N, H, W, C] to [N, 2H, 2W, C]."""
    return jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)


def halve_mean(x: jax.Array) -> jax.Array:
    """Means of 2x2 pixels: [N, 2H, 2W, C] to [N, H, W, C]."""
    n, height, width, channels = x.shape
    parts = x.reshape(n, height // 2, 2, width // 2, 2, channels)  # [N,H,2,W,2,C]
    return jnp.mean(parts, (2, 4))


def double_correlated(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`double_nearest`, then `correlate`, without multiplying a pixel four times.

    Args:
        x: [N, H, W, I].
        kernel: [3, 3, I, O].

    Returns:
        [N, 2H, 2W, O].
    """
    return double_transposed(x, kernel[::-1, ::-1])


def double_transposed(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Doubling and convolution in one: a transposed convolution of stride 2.

    Its kernel is the sum of the four shifts of ``kernel``, so it is the transposed
    convolution with ``kernel`` itself and sums of 2x2 pixels behind it, in which form
    its derivatives of any order are quick (see `ops.bilinear_convs`). This is not the
    same function as `double_correlated`: the kernel lies the other way round.

    Args:
        x: [N, H, W, I].
        kernel: [3, 3, I, O].

    Returns:
        [N, 2H, 2W, O].
    """
    return upfirdn2d(bilinear_convs.up(x, kernel), (1.0, 1.0))


def halve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`correlate`, then the mean of 2x2 pixels, in one convolution of stride 2.

    The means are taken before, where they are cheap.

    Args:
        x: [N, H, W, I] of even sizes.
        kernel: [3, 3, I, O].

    Returns:
        [N, H/2, W/2, O].
    """
    return bilinear_convs.down(upfirdn2d(x, (0.5, 0.5), padding=(1, 1, 1, 1)), kernel)


class Dense(nn.Module):
    """Fully connected layer.

    Attributes:
        features: width of the output.
        gain: factor of the weights: sqrt(2) before a rectifier.
        lr_multiplier: scale of the learning rate of weight and bias.
    """

    features: int
    gain: float = SQRT2
    lr_multiplier: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, in] to [N, features], float32, without an activation."""
        shape = (x.shape[1], self.features)
        weight = self.param("weight", normal_init(1.0 / self.lr_multiplier), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        scale = self.gain * self.lr_multiplier / x.shape[1] ** 0.5
        return x.astype(jnp.float32) @ (weight * scale) + bias * self.lr_multiplier


def convolve(
    x: jax.Array,
    weight: jax.Array,
    *,
    gain: float = SQRT2,
    up: bool = False,
    fused: bool = False,
    down: bool = False,
    resample_filter: Filter = (),
) -> jax.Array:
    """Convolution with equalised learning rate; doubles or halves the size if asked to.

    Args:
        x: [N, H, W, I] float32.
        weight: [1, 1, I, O] or [3, 3, I, O].
        gain: factor of the weights.
        up: whether the size is doubled, and the result smoothed.
        fused: whether doubling and convolution are one; see `double_transposed`.
        down: whether the input is smoothed, and the size halved.
        resample_filter: taps of the smoothing, with sum 1.

    Returns:
        [N, H, W, O], [N, 2H, 2W, O] with ``up``, or [N, H/2, W/2, O] with ``down``.
    """
    weight = weight * (gain / (weight.shape[2] * weight.shape[0] ** 2) ** 0.5)
    if down:
        return halve(smooth(x, resample_filter), weight)
    if not up:
        return correlate(x, weight)
    double = double_transposed if fused else double_correlated
    return smooth(double(x, weight), resample_filter)


def smooth(x: jax.Array, resample_filter: Filter) -> jax.Array:
    """Filters [N, H, W, C] with zeros around it; the size stays."""
    after = len(resample_filter) // 2
    before = len(resample_filter) - 1 - after
    return upfirdn2d(x, resample_filter, padding=(before, after, before, after))
