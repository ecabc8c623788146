"""Synthesis network: w+ to an image (Karras et al. 2020, sections 2 and 4)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from stylegan_jax.models.stylegan2.layers import (
    BLOCK_OUTPUT,
    Conv,
    Dense,
    block_dtype,
    channels_at,
    normal_init,
)
from stylegan_jax.ops import modulated_conv2d, upsample2d
from stylegan_jax.ops.bias_act import activation_gain
from stylegan_jax.types import Filter

ARCHITECTURES = ("skip", "resnet", "orig")
_SQRT_HALF = 0.5**0.5


def layer_noise(keys: jax.Array, layer: int, size: tuple[int, int]) -> jax.Array:
    """Unit noise [N, H, W, 1] of one layer, image n's from its own key alone."""

    def draw(key):
        return jax.random.normal(jax.random.fold_in(key, layer), (*size, 1))

    return jax.vmap(draw)(keys)


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU.

    Attributes:
        features: output channels.
        size: (H, W) of the output.
        index: number of the layer in the network; makes its noise its own.
        up: 1 or 2.
        use_noise: whether the layer has a noise input.
        resample_filter: low-pass filter of the upsampling.
        conv_clamp: bound of the result's absolute value; None leaves it unbounded.
    """

    features: int
    size: tuple[int, int]
    index: int
    up: int = 1
    use_noise: bool = True
    resample_filter: Filter = ()
    conv_clamp: float | None = None

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        w: jax.Array,
        *,
        noise_mode: str,
        noise_keys: jax.Array | None,
        gain: float = 1.0,
    ) -> jax.Array:
        """Maps x [N, h, w, I] and w [N, w_dim] to [N, H, W, features], x's dtype."""
        inputs = x.shape[3]
        styles = Dense(inputs, bias_init=1.0, name="affine")(w)
        weight = self.param("weight", normal_init(), (3, 3, inputs, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return modulated_conv2d(
            x,
            weight,
            styles,
            up=self.up,
            resample_filter=self.resample_filter,
            noise=self._noise(noise_mode, noise_keys),
            bias=bias,
            act="lrelu",
            gain=activation_gain("lrelu") * gain,
            clamp=clamp,
        )

    def _noise(self, noise_mode, noise_keys):
        if not self.use_noise:
            return None
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        const = self.variable("noise", "noise_const", self._draw_const)
        if noise_mode == "random":
            return layer_noise(noise_keys, self.index, self.size) * strength
        if noise_mode == "const":
            return const.value[None, :, :, None] * strength
        return None

    def _draw_const(self):
        return jax.random.normal(self.make_rng("params"), self.size)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to image channels, without demodulation.

    Attributes:
        features: image channels.
        conv_clamp: bound of the result's absolute value; None leaves it unbounded.
    """

    features: int
    conv_clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """Maps x [N, H, W, I] and w [N, w_dim] to [N, H, W, features] float32."""
        inputs = x.shape[3]
        styles = Dense(inputs, bias_init=1.0, name="affine")(w) / inputs**0.5
        weight = self.param("weight", normal_init(), (1, 1, inputs, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = modulated_conv2d(
            x, weight, styles, demodulate=False, bias=bias, clamp=self.conv_clamp
        )
        return y.astype(jnp.float32)  # images are summed in float32


class SynthesisBlock(nn.Module):
    """All layers of one resolution.

    Attributes:
        index: 0 for the 4x4 block, which starts from a learned constant.
        features: output channels.
        size: (H, W) of the output.
        img_channels: image channels.
        architecture: skip, resnet or orig (Karras et al. 2020, figure 7).
        is_last: whether this block gives the final image.
        dtype: compute dtype of the features.
        use_noise: whether the layers have noise inputs.
        resample_filter: low-pass filter.
        conv_clamp: bound of the layers' results; None leaves them unbounded.
    """

    index: int
    features: int
    size: tuple[int, int]
    img_channels: int
    architecture: str
    is_last: bool
    dtype: jnp.dtype
    use_noise: bool
    resample_filter: Filter
    conv_clamp: float | None

    def _layer(self, name, index, up):
        return SynthesisLayer(
            self.features,
            self.size,
            index,
            up,
            self.use_noise,
            self.resample_filter,
            self.conv_clamp,
            name=name,
        )

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        img: jax.Array | None,
        w_plus: jax.Array,
        *,
        noise_mode: str,
        noise_keys: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Runs the block on the latents of its layers.

        Args:
            x: [N, h, w, I] features of the block below; None in the first block.
            img: [N, h, w, C] float32 image so far, or None.
            w_plus: [N, L, w_dim], the latents of its convolutions and of ToRGB.
            noise_mode: random, const or none.
            noise_keys: [N] keys, needed where noise_mode is random.

        Returns:
            Features [N, H, W, features] and image [N, H, W, C] or None.
        """
        noise = {"noise_mode": noise_mode, "noise_keys": noise_keys}
        if self.index == 0:
            shape = (*self.size, self.features)
            const = self.param("const", normal_init(), shape)
            x = jnp.broadcast_to(const, (w_plus.shape[0], *shape)).astype(self.dtype)
            x = self._layer("conv1", 0, 1)(x, w_plus[:, 0], **noise)
        else:
            assert x is not None
            x = self._convolve(x.astype(self.dtype), w_plus, noise)
        if img is not None:
            img = upsample2d(img, self.resample_filter)
        if self.is_last or self.architecture == "skip":
            torgb = ToRGB(self.img_channels, self.conv_clamp, name="torgb")
            y = torgb(x, w_plus[:, -1])
            img = y if img is None else img + y
        return x, img

    def _convolve(self, x, w_plus, noise):
        first = self._layer("conv0", 2 * self.index - 1, 2)
        second = self._layer("conv1", 2 * self.index, 1)
        if self.architecture != "resnet":
            return second(first(x, w_plus[:, 0], **noise), w_plus[:, 1], **noise)
        skip = Conv(
            self.features,
            1,
            "linear",
            use_bias=False,
            up=2,
            resample_filter=self.resample_filter,
            name="skip",
        )
        y = skip(x, gain=_SQRT_HALF)
        x = first(x, w_plus[:, 0], **noise)
        return y + second(x, w_plus[:, 1], gain=_SQRT_HALF, **noise)


class SynthesisNetwork(nn.Module):
    """Chain of blocks from the constant to the image; fields as in ``Generator``."""

    num_blocks: int
    base_grid: tuple[int, int]
    img_channels: int
    channel_base: int
    channel_max: int
    architecture: str
    resample_filter: Filter
    use_noise: bool
    conv_clamp: float | None
    dtype: str
    low_precision_blocks: int

    @nn.compact
    def __call__(
        self,
        w_plus: jax.Array,
        *,
        noise_mode: str = "random",
        noise_keys: jax.Array | None = None,
    ) -> jax.Array:
        """Maps w_plus [N, num_ws, w_dim] to images [N, H, W, C] float32, unclipped."""
        x: jax.Array | None = None
        img: jax.Array | None = None
        start = 0
        for i in range(self.num_blocks):
            convs = 1 if i == 0 else 2
            block = self._block(i)
            latents = w_plus[:, start : start + convs + 1].astype(jnp.float32)
            x, img = block(
                x, img, latents, noise_mode=noise_mode, noise_keys=noise_keys
            )
            x, img = checkpoint_name((x, img), BLOCK_OUTPUT)
            start += convs
        assert img is not None  # the last block gives it, whatever the architecture
        return img

    def _block(self, i):
        return SynthesisBlock(
            index=i,
            features=channels_at(4 << i, self.channel_base, self.channel_max),
            size=(self.base_grid[0] << i, self.base_grid[1] << i),
            img_channels=self.img_channels,
            architecture=self.architecture,
            is_last=i == self.num_blocks - 1,
            dtype=block_dtype(
                i, self.num_blocks, self.dtype, self.low_precision_blocks
            ),
            use_noise=self.use_noise,
            resample_filter=self.resample_filter,
            conv_clamp=self.conv_clamp,
            name=f"b{4 << i}",
        )
