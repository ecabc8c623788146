"""The layers of pix2pixHD: convolution, normalisation, resampling (Wang et al. 2018).

Kernels are correlated in every layer, the transposed convolution included: its kernel
is stored as the convolution behind zero insertion wants it. ``mode`` is the keyword
arguments of `Norm`: ``train`` and ``axis_name``.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.features.convs import Conv
from stylegan_jax.ops import bilinear_convs

NORMS = ("instance", "instance_affine", "batch")
UPSAMPLINGS = ("transposed", "resize")

# The papers' initialisation: kernels N(0, 0.02), scales of batch norm N(1, 0.02).
kernel_init = nn.initializers.normal(0.02)


def scale_init(key, shape, dtype=jnp.float32):
    """Initialises the scale of batch normalisation: N(1, 0.02)."""
    return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


def check_option(value: str, name: str, choices: tuple[str, ...]) -> None:
    """Raises ``ValueError`` unless ``value`` is one of the choices."""
    if value not in choices:
        raise ValueError(f"Unknown {name} '{value}', choose from {', '.join(choices)}.")


def check_number(value: int, name: str, least: int, most: int) -> None:
    """Raises ``ValueError`` unless ``least <= value <= most``.

    Tracing takes time in proportion to the layers, so there is an upper bound.
    """
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {value}.")


def pad_reflect(x: jax.Array, width: int) -> jax.Array:
    """Mirrors the border pixels of [N, H, W, C] outwards, the edge itself not twice."""
    around = (width, width)
    return jnp.pad(x, ((0, 0), around, around, (0, 0)), mode="reflect")


def _conv(features: int, kernel: int, stride: int = 1, padding: int = 0) -> Conv:
    return Conv(
        features,
        kernel,
        stride,
        padding,
        use_bias=True,
        kernel_init=kernel_init,
        name="conv",
    )


def halve(x: jax.Array) -> jax.Array:
    """Mean of 3x3 pixels at every second one: [N, H, W, C] to [N, ⌈H/2⌉, ⌈W/2⌉, C].

    At the border the mean is over the pixels that there are.
    """
    around = ((1, 1), (1, 1))
    return nn.avg_pool(x, (3, 3), (2, 2), around, count_include_pad=False)


class Norm(nn.Module):
    """Normalisation of [N, H, W, C]: per picture or per batch.

    Attributes:
        kind: ``instance`` (Ulyanov et al. 2016, no parameters, as the program has it),
            ``instance_affine`` (the same with scale and bias) or ``batch`` (scale and
            bias; running statistics in ``batch_stats``, a tenth of each batch's, its
            variance the biased one where PyTorch takes the unbiased).
    """

    kind: str

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> jax.Array:
        """Normalises.

        Args:
            x: [N, H, W, C].
            train: uses and updates the statistics of the batch.
            axis_name: the axis whose devices share one batch.
        """
        check_option(self.kind, "norm", NORMS)
        if self.kind == "batch":
            layer = nn.BatchNorm(
                use_running_average=not train,
                axis_name=axis_name if train else None,
                momentum=0.9,
                epsilon=1e-5,
                scale_init=scale_init,
                name="bn",
            )
            return layer(x)
        mean = jnp.mean(x, (1, 2), keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), (1, 2), keepdims=True)
        x = (x - mean) * jax.lax.rsqrt(variance + 1e-5)
        if self.kind == "instance":
            return x
        channels = (x.shape[-1],)
        scale = self.param("scale", scale_init, channels)
        return x * scale + self.param("bias", nn.initializers.zeros_init(), channels)


class ConvNorm(nn.Module):
    """Convolution, normalisation, ReLU.

    Attributes:
        features: output channels.
        kernel: side of the kernel; the size is kept (or halved) by padding kernel // 2.
        norm: see `Norm`.
        stride: 1 or 2.
        reflect: whether the padding mirrors the picture; else it is zero.
    """

    features: int
    kernel: int
    norm: str
    stride: int = 1
    reflect: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> jax.Array:
        """Maps [N, H, W, I] to [N, ⌈H/stride⌉, ⌈W/stride⌉, features]."""
        around = self.kernel // 2
        if self.reflect:
            x, around = pad_reflect(x, around), 0
        x = _conv(self.features, self.kernel, self.stride, around)(x)
        return nn.relu(Norm(self.norm, name="norm")(x, **mode))


class UpNorm(nn.Module):
    """Doubling of the size by a learned 3x3 kernel, normalisation, ReLU.

    Attributes:
        features: output channels.
        norm: see `Norm`.
        upsampling: ``transposed`` (as in the paper), or ``resize``: nearest neighbour,
            then a convolution, which leaves no checkerboard (Odena et al. 2016).
    """

    features: int
    norm: str
    upsampling: str

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> jax.Array:
        """Maps [N, H, W, I] to [N, 2H, 2W, features]."""
        check_option(self.upsampling, "upsampling", UPSAMPLINGS)
        if self.upsampling == "transposed":
            x = TransposedConv(self.features, name="conv")(x)
        else:
            x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            x = _conv(self.features, 3)(pad_reflect(x, 1))
        return nn.relu(Norm(self.norm, name="norm")(x, **mode))


class TransposedConv(nn.Module):
    """Doubles the size by a learned 3x3 kernel behind zero insertion.

    Attributes:
        features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, 2H, 2W, features]."""
        w = self.param("kernel", kernel_init, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        # One row more behind than before: torch's padding 1, output_padding 1.
        y = bilinear_convs.up(x, jnp.flip(w, (0, 1)))[:, 1:, 1:]
        return y + bias


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with normalisation, added to their input.

    Attributes:
        norm: see `Norm`.
    """

    norm: str

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> jax.Array:
        """Maps [N, H, W, C] to the same shape."""
        features = x.shape[3]
        y = ConvNorm(features, 3, self.norm, reflect=True, name="first")(x, **mode)
        y = _conv(features, 3)(pad_reflect(y, 1))
        return x + Norm(self.norm, name="norm")(y, **mode)


class ToPicture(nn.Module):
    """The last 7x7 convolution and tanh.

    Attributes:
        features: channels of the picture.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, H, W, features] in [-1, 1]."""
        return jnp.tanh(_conv(self.features, 7)(pad_reflect(x, 3)))
