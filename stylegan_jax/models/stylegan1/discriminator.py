"""The discriminator of the StyleGAN of 2018 (Karras et al. 2018, 2019)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.stylegan1.growth import mixed, reached
from stylegan_jax.models.stylegan1.layers import (
    Dense,
    convolve,
    halve_mean,
    leaky_relu,
)
from stylegan_jax.models.stylegan2.discriminator import minibatch_std
from stylegan_jax.models.stylegan2.layers import channels_at, normal_init
from stylegan_jax.types import Filter, check_shape


class Conv(nn.Module):
    """Convolution, bias, leaky ReLU; smooths and halves the picture if asked to.

    Attributes:
        features: output channels.
        kernel: 1 or 3.
        down: whether the size is halved.
        resample_filter: taps of the smoothing before a halving, with sum 1.
    """

    features: int
    kernel: int
    down: bool = False
    resample_filter: Filter = ()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, H, W, features], or half the size with ``down``."""
        shape = (self.kernel, self.kernel, x.shape[3], self.features)
        weight = self.param("weight", normal_init(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        filters = self.resample_filter
        y = convolve(x, weight, down=self.down, resample_filter=filters)
        return leaky_relu(y + bias)


class DiscriminatorBlock(nn.Module):
    """The layers of one resolution above the base grid.

    Attributes:
        features: channels at this resolution.
        out_features: channels behind the block.
        resample_filter: taps of the smoothing before the halving.
    """

    features: int
    out_features: int
    resample_filter: Filter

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        picture: jax.Array | None,
        fade: jax.Array | float | None,
    ) -> jax.Array:
        """Maps to [N, H/2, W/2, out_features]; arguments as of `read`."""
        x = read(x, picture, fade, self.features)
        x = Conv(self.features, 3, name="conv0")(x)
        return Conv(
            self.out_features,
            3,
            down=True,
            resample_filter=self.resample_filter,
            name="conv1",
        )(x)


def read(
    x: jax.Array | None,
    picture: jax.Array | None,
    fade: jax.Array | float | None,
    features: int,
) -> jax.Array:
    """What enters a block; makes its layer ``fromrgb`` where it sees a picture.

    Args:
        x: [N, H, W, features] of the block above; None where this is the first.
        picture: [N, H, W, C] of this resolution; None where the block sees none.
        fade: share of the picture where there is x, too; None for nothing of it.
        features: channels at this resolution.
    """
    if picture is None:
        assert x is not None  # the first block sees a picture
        return x
    seen = Conv(features, 1, name="fromrgb")(picture)
    if x is None:
        return seen
    return x if fade is None else mixed(x, seen, fade)


class DiscriminatorEpilogue(nn.Module):
    """Minibatch statistics, a convolution and two dense layers at the base grid.

    Attributes:
        features: channels of the convolution.
        hidden: width of the first dense layer.
        out_features: scores.
        mbstd_group_size: images in a group of the minibatch statistics.
        mbstd_num_channels: statistics channels; 0 leaves them out.
    """

    features: int
    hidden: int
    out_features: int
    mbstd_group_size: int
    mbstd_num_channels: int

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        picture: jax.Array | None,
        fade: jax.Array | float | None,
    ) -> jax.Array:
        """Maps to [N, out_features]; arguments as of `read`."""
        x = read(x, picture, fade, self.features)
        if self.mbstd_num_channels > 0:
            x = minibatch_std(x, self.mbstd_group_size, self.mbstd_num_channels)
        x = Conv(self.features, 3, name="conv")(x)
        x = leaky_relu(Dense(self.hidden, name="fc")(x.reshape(x.shape[0], -1)))
        return Dense(self.out_features, gain=1.0, name="out")(x)


class Discriminator(nn.Module):
    """StyleGAN's discriminator.

    Attributes:
        num_blocks: resolutions, the base grid's included; 9 for 1024 px.
        c_dim: width of the label; 0 for an unconditional discriminator.
        base_grid: (h, w) behind the last halving.
        img_channels: image channels.
        channel_base: channels at nominal resolution r are channel_base / r; twice the
            ``fmap_base`` of NVIDIA's program.
        channel_max: but at most this many.
        mbstd_group_size: images in a group of the minibatch statistics.
        mbstd_num_channels: statistics channels; 0 leaves them out.
        resample_filter: taps of the smoothing before a halving, with sum 1.
        progressive: whether pictures can be read at every resolution; there is then a
            layer from image channels in every block.
        lod: level of detail, 0 for the full resolution; see ``growth``.
    """

    num_blocks: int
    c_dim: int = 0
    base_grid: tuple[int, int] = (4, 4)
    img_channels: int = 3
    channel_base: int = 16384
    channel_max: int = 512
    mbstd_group_size: int = 4
    mbstd_num_channels: int = 1
    resample_filter: Filter = (0.25, 0.5, 0.25)
    progressive: bool = False
    lod: float = 0.0

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
            x: [N, H, W, C] in [-1, 1], of the full size, or of that which ``lod``
                reaches, to which larger ones are reduced by means of 2x2 pixels.
            c: [N, c_dim] one-hot labels, needed where c_dim is not 0: the network has a
                score for each label (Mescheder et al. 2018).

        Returns:
            [N] float32 logits, high for real images.

        Raises:
            ValueError: for a wrong shape, a missing label, a single block, or a level
                of detail that there is not.
        """
        if self.num_blocks < 2:
            raise ValueError(
                f"A discriminator needs at least two blocks, got {self.num_blocks}."
            )
        blocks, fade = reached(self)
        every = self.is_initializing()
        blocks = self.num_blocks if every else blocks
        picture: jax.Array | None = self._reduced(x, blocks)
        y: jax.Array | None = None
        for i in range(blocks - 1, 0, -1):
            block = DiscriminatorBlock(
                self._channels(4 << i),
                self._channels(2 << i),
                self.resample_filter,
                name=f"b{4 << i}",
            )
            y = block(y, picture, fade)
            # The resolution below is read, too, while this one fades in.
            below = (every and self.progressive) or (
                i == blocks - 1 and fade is not None
            )
            picture = halve_mean(picture) if below and picture is not None else None
        epilogue = DiscriminatorEpilogue(
            self._channels(4),
            self._channels(2),
            max(self.c_dim, 1),
            self.mbstd_group_size,
            self.mbstd_num_channels,
            name="b4",
        )
        scores = epilogue(y, picture, fade)
        if self.c_dim == 0:
            return scores[:, 0]
        if c is None:
            raise ValueError(f"This network needs c of shape [N, {self.c_dim}].")
        return jnp.sum(scores * c.astype(jnp.float32), 1)

    def _reduced(self, x: jax.Array, blocks: int) -> jax.Array:
        """Pictures at the size of the highest of so many blocks, float32."""
        height, width, channels = self.image_shape
        halvings = self.num_blocks - blocks
        size = (height >> halvings, width >> halvings, channels)
        if x.shape[1:] != size:
            check_shape(x, "x", (None, *self.image_shape), where="Discriminator")
        x = x.astype(jnp.float32)
        while x.shape[1:] != size:
            x = halve_mean(x)
        return x

    def _channels(self, resolution: int) -> int:
        return channels_at(resolution, self.channel_base, self.channel_max)
