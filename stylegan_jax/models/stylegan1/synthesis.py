"""Synthesis network of the StyleGAN of 2018 (Karras et al. 2019, section 2)."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.stylegan1.growth import mixed
from stylegan_jax.models.stylegan1.layers import (
    SQRT2,
    Dense,
    convolve,
    double_nearest,
    instance_norm,
    leaky_relu,
    pixel_norm,
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


@dataclasses.dataclass(frozen=True)
class LayerTraits:
    """What all layers of a network share; the fields are those of ``Generator``."""

    resample_filter: Filter
    use_noise: bool
    stored_noise: bool
    norm_eps: float
    const_input: bool
    use_style: bool
    instance_norm: bool
    pixel_norm: bool


class SynthesisLayer(nn.Module):
    """Convolution (or the input), noise, leaky ReLU, normalisation, style (AdaIN).

    Attributes:
        features: output channels.
        size: (H, W) of the output.
        index: number of the layer in the network; makes its noise its own.
        up: whether the convolution doubles the size.
        fused: whether it does so as one transposed convolution.
        traits: what all layers share.
    """

    features: int
    size: tuple[int, int]
    index: int
    up: bool
    fused: bool
    traits: LayerTraits

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
            x: [N, h, w, I] features of the layer below; None begins from the input.
            w: [N, w_dim].
            noise_mode: random, const or none.
            noise_keys: [N] keys, needed where noise_mode is random.

        Returns:
            [N, H, W, features].
        """
        traits = self.traits
        y = self._input(w) if x is None else self._convolution(x)
        y = y + self.param("bias", nn.initializers.zeros, (self.features,))
        noise = self._noise(noise_mode, noise_keys)
        y = leaky_relu(y if noise is None else y + noise)
        if traits.pixel_norm:
            y = pixel_norm(y)
        if traits.instance_norm:
            y = instance_norm(y, traits.norm_eps)
        if not traits.use_style:
            return y
        styles = Dense(2 * self.features, gain=1.0, name="affine")(w)
        scale, shift = jnp.split(styles[:, None, None, :], 2, axis=3)
        return y * (scale + 1.0) + shift

    def _input(self, w):
        """The learned constant, or a dense layer of w (Karras et al. 2018, table 2)."""
        size = (*self.size, self.features)
        if self.traits.const_input:
            const = self.param("const", nn.initializers.ones, size)
            return jnp.broadcast_to(const, (len(w), *size))
        pixels = self.size[0] * self.size[1]
        shape = (w.shape[1], pixels * self.features)
        weight = self.param("weight", normal_init(), shape)
        # A quarter of the usual gain, as NVIDIA's program has it on a 4x4 grid.
        gain = SQRT2 / pixels**0.5 / w.shape[1] ** 0.5
        return (w @ (weight * gain)).reshape(len(w), *size)

    def _convolution(self, x):
        shape = (3, 3, x.shape[3], self.features)
        return convolve(
            x,
            self.param("weight", normal_init(), shape),
            up=self.up,
            fused=self.fused,
            resample_filter=self.traits.resample_filter,
        )

    def _noise(self, noise_mode, noise_keys):
        if not self.traits.use_noise:
            return None
        strength = self.param("noise_strength", nn.initializers.zeros, (self.features,))
        const = None
        if self.traits.stored_noise:
            const = self.variable("noise", "noise_const", self._draw_const)
        if noise_mode == "random":
            return layer_noise(noise_keys, self.index, self.size) * strength
        if noise_mode == "none":
            return None
        still = unstored_noise(self.index, self.size) if const is None else const.value
        return still[None, :, :, None] * strength

    def _draw_const(self):
        return jax.random.normal(self.make_rng("params"), self.size)


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


class SynthesisBlock(nn.Module):
    """The two layers of one resolution; fields as in ``Generator``.

    Attributes:
        index: 0 for the block that begins from the input.
        traits: what all layers share.
    """

    index: int
    base_grid: tuple[int, int]
    img_channels: int
    channel_base: int
    channel_max: int
    fused_resolution: int
    traits: LayerTraits

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        w_plus: jax.Array,
        *,
        draws: bool,
        noise_mode: str,
        noise_keys: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Maps x [N, h, w, I] (None in the first block) to [N, H, W, features].

        ``w_plus`` [N, 2, w_dim] are the latents of the block's two layers. With
        ``draws`` there is a picture [N, H, W, img_channels] of this resolution, too.
        """
        noise: dict[str, Any] = {"noise_mode": noise_mode, "noise_keys": noise_keys}
        first = "input" if self.index == 0 else "conv0"
        x = self._layer(first, 0)(x, w_plus[:, 0], **noise)
        x = self._layer("conv1", 1)(x, w_plus[:, 1], **noise)
        return x, ToRGB(self.img_channels, name="torgb")(x) if draws else None

    def _layer(self, name: str, number: int) -> SynthesisLayer:
        height, width = (side << self.index for side in self.base_grid)
        return SynthesisLayer(
            channels_at(4 << self.index, self.channel_base, self.channel_max),
            (height, width),
            2 * self.index + number,
            number == 0 and self.index > 0,
            min(height, width) >= self.fused_resolution,
            self.traits,
            name=name,
        )


class SynthesisNetwork(nn.Module):
    """Chain of blocks from the input to the image; fields as in ``Generator``."""

    num_blocks: int
    base_grid: tuple[int, int]
    img_channels: int
    channel_base: int
    channel_max: int
    fused_resolution: int
    progressive: bool
    traits: LayerTraits

    @nn.compact
    def __call__(
        self,
        w_plus: jax.Array,
        *,
        blocks: int,
        fade: jax.Array | float | None,
        noise_mode: str,
        noise_keys: jax.Array | None,
    ) -> jax.Array:
        """Maps w_plus [N, num_ws, w_dim] to images [N, H, W, C] float32, unclipped.

        Args:
            w_plus: latents of all layers, also of those that are not reached.
            blocks: how many are computed; the images have the last one's size.
            fade: share of the resolution below in the images; None for none.
            noise_mode: random, const or none.
            noise_keys: [N] keys, needed where noise_mode is random.
        """
        w_plus = w_plus.astype(jnp.float32)
        every = self.is_initializing()
        count = self.num_blocks if every else blocks
        x: jax.Array | None = None
        pictures: list[jax.Array] = []
        for i in range(count):
            needed = every or i == count - 1 or (i == count - 2 and fade is not None)
            x, picture = self._block(i)(
                x,
                w_plus[:, 2 * i : 2 * i + 2],
                draws=self.progressive and i < self.num_blocks - 1 and needed,
                noise_mode=noise_mode,
                noise_keys=noise_keys,
            )
            if picture is not None:
                pictures.append(picture)
        assert x is not None  # there is a block at least
        if count == self.num_blocks:
            pictures.append(ToRGB(self.img_channels, name="torgb")(x))
        if fade is None or every:
            return pictures[-1]
        return mixed(pictures[-1], double_nearest(pictures[-2]), fade)

    def _block(self, index: int) -> SynthesisBlock:
        return SynthesisBlock(
            index,
            self.base_grid,
            self.img_channels,
            self.channel_base,
            self.channel_max,
            self.fused_resolution,
            self.traits,
            name=f"b{4 << index}",
        )
