"""The StyleGAN2 discriminator (Karras et al. 2020, section 4)."""

from __future__ import annotations

from typing import Any

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
)
from stylegan_jax.models.stylegan2.mapping import MappingNetwork
from stylegan_jax.ops import downsample2d
from stylegan_jax.types import Filter, check_shape

ARCHITECTURES = ("resnet", "skip", "orig")
_SQRT_HALF = 0.5**0.5


def minibatch_std(x: jax.Array, group_size: int, num_channels: int = 1) -> jax.Array:
    """Appends the standard deviation over groups of images (Karras et al. 2018, 3).

    Image i belongs to group i mod (N / group_size), as in NVIDIA's strided reshape.

    Args:
        x: [N, H, W, C].
        group_size: images in a group; a smaller batch is one group.
        num_channels: statistics channels; C must be divisible by it.

    Returns:
        [N, H, W, C + num_channels], x's dtype; the statistics are taken in float32.

    Raises:
        ValueError: if N is not a multiple of the group size.
    """
    n, height, width, channels = x.shape
    size = min(group_size, n)
    if n % size:
        raise ValueError(
            f"Minibatch standard deviation needs a batch that is a multiple of its "
            f"group size, got {n} images in groups of {size}."
        )
    y = x.astype(jnp.float32)
    y = y.reshape(size, n // size, height, width, num_channels, -1)  # [n,G,H,W,F,c]
    y = y - jnp.mean(y, 0)
    y = jnp.sqrt(jnp.mean(jnp.square(y), 0) + 1e-8)
    y = jnp.mean(y, (1, 2, 4))  # [G,F]
    y = jnp.tile(y, (size, 1))[:, None, None, :]  # [N,1,1,F]
    y = jnp.broadcast_to(y, (n, height, width, num_channels)).astype(x.dtype)
    return jnp.concatenate([x, y], 3)


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second one halving the size.

    Attributes:
        features: channels at this resolution.
        out_features: channels behind the block.
        is_first: whether the block reads the image (always so in skip networks).
        architecture: resnet, skip or orig.
        dtype: compute dtype.
        resample_filter: low-pass filter.
        conv_clamp: bound of the layers' results; None leaves them unbounded.
    """

    features: int
    out_features: int
    is_first: bool
    architecture: str
    dtype: jnp.dtype
    resample_filter: Filter
    conv_clamp: float | None

    @nn.compact
    def __call__(
        self, x: jax.Array | None, img: jax.Array | None
    ) -> tuple[jax.Array, jax.Array | None]:
        """Maps features [N, H, W, I] and image [N, H, W, C] to half their size."""
        if x is not None:
            x = x.astype(self.dtype)
        if self.is_first or self.architecture == "skip":
            fromrgb = Conv(self.features, 1, conv_clamp=self.conv_clamp, name="fromrgb")
            assert img is not None  # handed down by every block of a skip network
            y = fromrgb(img.astype(self.dtype))
            x = y if x is None else x + y
            skip = self.architecture == "skip"
            img = downsample2d(img, self.resample_filter) if skip else None
        assert x is not None  # the first block made it from the image
        down: dict[str, Any] = {"down": 2, "resample_filter": self.resample_filter}
        conv0 = Conv(self.features, 3, conv_clamp=self.conv_clamp, name="conv0")
        conv1 = Conv(
            self.out_features, 3, conv_clamp=self.conv_clamp, name="conv1", **down
        )
        if self.architecture != "resnet":
            return conv1(conv0(x)), img
        skip_conv = Conv(
            self.out_features, 1, "linear", use_bias=False, name="skip", **down
        )
        y = skip_conv(x, gain=_SQRT_HALF)
        return y + conv1(conv0(x), gain=_SQRT_HALF), img


class DiscriminatorEpilogue(nn.Module):
    """Minibatch statistics, a convolution and two dense layers at the base grid.

    Attributes:
        features: channels.
        out_features: width of the output: 1, or that of the mapped label.
        architecture: resnet, skip or orig.
        mbstd_group_size: images in a group of the minibatch statistics.
        mbstd_num_channels: statistics channels; 0 leaves them out.
        conv_clamp: bound of the convolution's result; None leaves it unbounded.
    """

    features: int
    out_features: int
    architecture: str
    mbstd_group_size: int
    mbstd_num_channels: int
    conv_clamp: float | None

    @nn.compact
    def __call__(self, x: jax.Array, img: jax.Array | None) -> jax.Array:
        """Maps [N, h, w, features] to [N, out_features] float32."""
        x = x.astype(jnp.float32)  # statistics and logits stay in float32
        if img is not None:  # skip networks alone hand it down
            x = x + Conv(self.features, 1, name="fromrgb")(img.astype(jnp.float32))
        if self.mbstd_num_channels > 0:
            x = minibatch_std(x, self.mbstd_group_size, self.mbstd_num_channels)
        x = Conv(self.features, 3, conv_clamp=self.conv_clamp, name="conv")(x)
        x = Dense(self.features, "lrelu", name="fc")(x.reshape(x.shape[0], -1))
        return Dense(self.out_features, name="out")(x)


class Discriminator(nn.Module):
    """StyleGAN2 discriminator.

    Attributes:
        num_blocks: resolutions, the base grid's included; 7 for 256 px.
        c_dim: width of the label; 0 for an unconditional discriminator.
        base_grid: (h, w) behind the last halving.
        img_channels: image channels.
        channel_base: channels at nominal resolution r are channel_base / r.
        channel_max: but at most this many.
        architecture: resnet, skip or orig (Karras et al. 2020, figure 7).
        mapping_layers: layers of the label's mapping network.
        mapping_features: width of all of them but the last; 0 for cmap_dim.
        embed_features: width of the embedded label; 0 for cmap_dim.
        cmap_dim: width of the mapped label; 0 for the channels of the 4x4 block.
        mbstd_group_size: images in a group of the minibatch statistics.
        mbstd_num_channels: statistics channels; 0 leaves them out.
        resample_filter: taps of the low-pass filter, with sum 1.
        conv_clamp: bound of every layer's result; None for none.
        dtype: compute dtype of the topmost blocks: float32, bfloat16 or float16.
        low_precision_blocks: how many blocks that is.
    """

    num_blocks: int
    c_dim: int = 0
    base_grid: tuple[int, int] = (4, 4)
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "resnet"
    mapping_layers: int = 8
    mbstd_group_size: int = 4
    mbstd_num_channels: int = 1
    resample_filter: Filter = (0.125, 0.375, 0.375, 0.125)
    conv_clamp: float | None = None
    dtype: str = "float32"
    low_precision_blocks: int = 4
    mapping_features: int = 0
    embed_features: int = 0
    cmap_dim: int = 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images."""
        scale = self.num_blocks - 1
        return (
            self.base_grid[0] << scale,
            self.base_grid[1] << scale,
            self.img_channels,
        )

    @nn.compact
    def __call__(self, x: jax.Array, c: jax.Array | None = None) -> jax.Array:
        """Scores images.

        Args:
            x: [N, H, W, C] in [-1, 1].
            c: [N, c_dim] labels, needed where c_dim is not 0.

        Returns:
            [N] float32 logits, high for real images.

        Raises:
            ValueError: for a wrong shape, an unknown architecture, or a single block.
        """
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"Unknown discriminator architecture '{self.architecture}', choose "
                f"from {', '.join(ARCHITECTURES)}."
            )
        if self.num_blocks < 2:
            raise ValueError(
                f"A discriminator needs at least two blocks, got {self.num_blocks}."
            )
        check_shape(x, "x", (None, *self.image_shape), where="Discriminator")
        features: jax.Array | None = None
        img: jax.Array | None = x
        for i in range(self.num_blocks - 1, 0, -1):
            features, img = self._block(i)(features, img)
            features, img = checkpoint_name((features, img), BLOCK_OUTPUT)
        assert features is not None  # the loop ran at least once
        label_dim = (self.cmap_dim or self._channels(0)) if self.c_dim > 0 else 0
        epilogue = DiscriminatorEpilogue(
            features=self._channels(0),
            out_features=max(label_dim, 1),
            architecture=self.architecture,
            mbstd_group_size=self.mbstd_group_size,
            mbstd_num_channels=self.mbstd_num_channels,
            conv_clamp=self.conv_clamp,
            name="b4",
        )
        logits = epilogue(features, img)
        if self.c_dim > 0:
            # Projection discriminator (Miyato and Koyama 2018).
            label = self._label_mapping(label_dim)(None, c)
            logits = jnp.sum(logits * label, 1, keepdims=True) / label_dim**0.5
        return logits[:, 0]

    def _channels(self, i):
        return channels_at(4 << i, self.channel_base, self.channel_max)

    def _label_mapping(self, width):
        return MappingNetwork(
            z_dim=0,
            c_dim=self.c_dim,
            w_dim=width,
            num_layers=self.mapping_layers,
            track_w_avg=False,
            layer_features=self.mapping_features,
            embed_features=self.embed_features,
            name="mapping",
        )

    def _block(self, i):
        return DiscriminatorBlock(
            features=self._channels(i),
            out_features=self._channels(i - 1),
            is_first=i == self.num_blocks - 1,
            architecture=self.architecture,
            dtype=block_dtype(
                i, self.num_blocks, self.dtype, self.low_precision_blocks
            ),
            resample_filter=self.resample_filter,
            conv_clamp=self.conv_clamp,
            name=f"b{4 << i}",
        )
