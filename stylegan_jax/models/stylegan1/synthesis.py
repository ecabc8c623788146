"""Synthesis network of the StyleGAN of 2018 (Karras et al. 2019, section 2)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.stylegan1.layers import (
    Dense,
    convolve,
    instance_norm,
    leaky_relu,
)
from stylegan_jax.models.stylegan2.layers import channels_at, normal_init
from stylegan_jax.models.stylegan2.synthesis import layer_noise
from stylegan_jax.types import Filter

# The seed of the const noise of models that come without maps of their own.
UNSTORED_NOISE_SEED = 0


def unstored_noise(layer: int, size: tuple[int, int]) -> jax.Array:
    """The const noise [H, W] of a layer whose model stores none: always the same.

    It is ``normal(fold_in(key(0), layer))`` of the generator threefry2x32.
    """
    key = jax.random.key(UNSTORED_NOISE_SEED, impl="threefry2x32")
    return jax.random.normal(jax.random.fold_in(key, layer), size)


class SynthesisLayer(nn.Module):
    """Convolution (or the constant), noise, leaky ReLU, normalisation, style (AdaIN).

    Attributes:
        features: output channels.
        size: (H, W) of the output.
        index: number of the layer in the network; makes its noise its own.
        up: whether the convolution doubles the size.
        fused: whether it does so as one transposed convolution.
        resample_filter: taps of the smoothing behind a doubling.
        use_noise: whether there is a noise input.
        stored_noise: whether the collection ``noise`` holds its const map.
        norm_eps: added to the variances.
    """

    features: int
    size: tuple[int, int]
    index: int
    up: bool
    fused: bool
    resample_filter: Filter
    use_noise: bool
    stored_noise: bool
    norm_eps: float

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        w: jax.Array,
        *,
        noise_mode: str,
        noise_keys: jax.Array | None,
    ) -> jax.Array:
        """Maps x and w to features, float32.

        Args:
            x: [N, h, w, I] features of the layer below; None begins from the constant.
            w: [N, w_dim].
            noise_mode: random, const or none.
            noise_keys: [N] keys, needed where noise_mode is random.

        Returns:
            [N, H, W, features].
        """
        if x is None:
            size = (*self.size, self.features)
            const = self.param("const", nn.initializers.ones, size)
            y = jnp.broadcast_to(const, (len(w), *size))
        else:
            shape = (3, 3, x.shape[3], self.features)
            y = convolve(
                x,
                self.param("weight", normal_init(), shape),
                up=self.up,
                fused=self.fused,
                resample_filter=self.resample_filter,
            )
        y = y + self.param("bias", nn.initializers.zeros, (self.features,))
        noise = self._noise(noise_mode, noise_keys)
        y = leaky_relu(y if noise is None else y + noise)
        y = instance_norm(y, self.norm_eps)
        styles = Dense(2 * self.features, gain=1.0, name="affine")(w)
        scale, shift = jnp.split(styles[:, None, None, :], 2, axis=3)
        return y * (scale + 1.0) + shift

    def _noise(self, noise_mode, noise_keys):
        if not self.use_noise:
            return None
        strength = self.param("noise_strength", nn.initializers.zeros, (self.features,))
        const = None
        if self.stored_noise:
            const = self.variable("noise", "noise_const", self._draw_const)
        if noise_mode == "random":
            return layer_noise(noise_keys, self.index, self.size) * strength
        if noise_mode == "none":
            return None
        still = unstored_noise(self.index, self.size) if const is None else const.value
        return still[None, :, :, None] * strength

    def _draw_const(self):
        return jax.random.normal(self.make_rng("params"), self.size)


class SynthesisBlock(nn.Module):
    """The two layers of one resolution; fields as in ``Generator``.

    Attributes:
        index: 0 for the block that begins from the learned constant.
    """

    index: int
    base_grid: tuple[int, int]
    channel_base: int
    channel_max: int
    resample_filter: Filter
    fused_resolution: int
    use_noise: bool
    stored_noise: bool
    norm_eps: float

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        w_plus: jax.Array,
        *,
        noise_mode: str,
        noise_keys: jax.Array | None,
    ) -> jax.Array:
        """Maps x [N, h, w, I] (None in the first block) to [N, H, W, features].

        ``w_plus`` [N, 2, w_dim] are the latents of the block's two layers.
        """
        noise: dict[str, Any] = {"noise_mode": noise_mode, "noise_keys": noise_keys}
        first = "input" if self.index == 0 else "conv0"
        x = self._layer(first, 0)(x, w_plus[:, 0], **noise)
        return self._layer("conv1", 1)(x, w_plus[:, 1], **noise)

    def _layer(self, name: str, number: int) -> SynthesisLayer:
        height, width = (side << self.index for side in self.base_grid)
        return SynthesisLayer(
            channels_at(4 << self.index, self.channel_base, self.channel_max),
            (height, width),
            2 * self.index + number,
            number == 0 and self.index > 0,
            min(height, width) >= self.fused_resolution,
            self.resample_filter,
            self.use_noise,
            self.stored_noise,
            self.norm_eps,
            name=name,
        )


class ToRGB(nn.Module):
    """1x1 convolution to image channels, without a style.

    Attributes:
        features: image channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, H, W, features] float32."""
        shape = (1, 1, x.shape[3], self.features)
        weight = self.param("weight", normal_init(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return convolve(x, weight, gain=1.0) + bias


class SynthesisNetwork(nn.Module):
    """Chain of blocks from the constant to the image; fields as in ``Generator``."""

    num_blocks: int
    base_grid: tuple[int, int]
    img_channels: int
    channel_base: int
    channel_max: int
    resample_filter: Filter
    fused_resolution: int
    use_noise: bool
    stored_noise: bool
    norm_eps: float

    @nn.compact
    def __call__(
        self,
        w_plus: jax.Array,
        *,
        noise_mode: str,
        noise_keys: jax.Array | None,
    ) -> jax.Array:
        """Maps w_plus [N, num_ws, w_dim] to images [N, H, W, C] float32, unclipped."""
        w_plus = w_plus.astype(jnp.float32)
        x: jax.Array | None = None
        for i in range(self.num_blocks):
            block = SynthesisBlock(
                i,
                self.base_grid,
                self.channel_base,
                self.channel_max,
                self.resample_filter,
                self.fused_resolution,
                self.use_noise,
                self.stored_noise,
                self.norm_eps,
                name=f"b{4 << i}",
            )
            latents = w_plus[:, 2 * i : 2 * i + 2]
            x = block(x, latents, noise_mode=noise_mode, noise_keys=noise_keys)
        assert x is not None  # there is a block at least
        return ToRGB(self.img_channels, name="torgb")(x)
