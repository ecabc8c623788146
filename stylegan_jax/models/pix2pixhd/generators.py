"""pix2pixHD's generators, global and local enhancer (Wang et al. 2018, section 3.1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from stylegan_jax.models.pix2pixhd.layers import (
    ConvNorm,
    ResidualBlock,
    ToPicture,
    UpNorm,
    check_number,
    halve,
)

# More of these than any network has; they bound the time that tracing takes.
MAX_DOWNSAMPLINGS = 8
MAX_RESIDUAL_BLOCKS = 64
MAX_ENHANCERS = 4


class Trunk(nn.Module):
    """Down, residual blocks, up again; what every network but D has.

    Attributes:
        width: channels at the picture's own size; each halving doubles them.
        downsamplings: how often the size is halved.
        residual_blocks: blocks at the smallest size.
        norm: one of `NORMS`.
        upsampling: transposed or resize.
    """

    width: int
    downsamplings: int
    residual_blocks: int
    norm: str
    upsampling: str

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> jax.Array:
        """Maps [N, H, W, C] to [N, H, W, width], H and W multiples of 2^downsamplings.

        Raises:
            ValueError: for more layers than any network has or an unknown option.
        """
        check_number(self.downsamplings, "downsamplings", 0, MAX_DOWNSAMPLINGS)
        check_number(self.residual_blocks, "residual_blocks", 0, MAX_RESIDUAL_BLOCKS)
        check_number(self.width, "width", 1, 2**16)
        x = ConvNorm(self.width, 7, self.norm, reflect=True, name="conv_in")(x, **mode)
        for i in range(self.downsamplings):
            features = self.width << (i + 1)
            down = ConvNorm(features, 3, self.norm, stride=2, name=f"down{i}")
            x = down(x, **mode)
        for i in range(self.residual_blocks):
            x = ResidualBlock(self.norm, name=f"block{i}")(x, **mode)
        for i in range(self.downsamplings):
            features = self.width << (self.downsamplings - i - 1)
            up = UpNorm(features, self.norm, self.upsampling, name=f"up{i}")
            x = up(x, **mode)
        return x


class GlobalGenerator(nn.Module):
    """The coarse generator, sufficient on its own up to about 512 px.

    Every field is plain data, so that the fields are the model file's configuration.

    Attributes:
        input_channels: channels of the input: 3 for pictures, else labels and edges.
        img_channels: channels of the output.
        width: channels at the picture's own size (64 in the paper).
        downsamplings: how often the size is halved (4 in the program, 3 by default).
        residual_blocks: blocks at the smallest size.
        norm: one of `NORMS`.
        upsampling: transposed (the paper's) or resize.
    """

    input_channels: int = 3
    img_channels: int = 3
    width: int = 64
    downsamplings: int = 4
    residual_blocks: int = 9
    norm: str = "instance"
    upsampling: str = "transposed"

    @property
    def multiple(self) -> int:
        """What the height and width of an input must be a multiple of."""
        return 1 << min(self.downsamplings, MAX_DOWNSAMPLINGS)

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> jax.Array:
        """Translates pictures.

        Args:
            x: [N, H, W, input_channels], pictures in [-1, 1] or labels and edges; H and
                W are multiples of ``multiple``.
            **mode: ``train`` and ``axis_name`` of `Norm`.

        Returns:
            [N, H, W, img_channels] in [-1, 1].

        Raises:
            ValueError: for more layers than any network has or an unknown option.
        """
        trunk = Trunk(
            self.width,
            self.downsamplings,
            self.residual_blocks,
            self.norm,
            self.upsampling,
            name="trunk",
        )
        x = trunk(x, **mode)
        return ToPicture(self.img_channels, name="picture")(x)


class Enhancer(nn.Module):
    """One doubling of the resolution around the features of the networks below.

    Attributes:
        width: channels at this enhancer's size; twice as many at half of it.
        residual_blocks: blocks at half of the size.
        norm: one of `NORMS`.
        upsampling: transposed or resize.
    """

    width: int
    residual_blocks: int
    norm: str
    upsampling: str

    @nn.compact
    def __call__(self, x: jax.Array, below: jax.Array, **mode: Any) -> jax.Array:
        """Refines.

        Args:
            x: [N, H, W, C] input at this size.
            below: [N, H/2, W/2, 2 * width] features of the network below.
            **mode: ``train`` and ``axis_name`` of `Norm`.

        Returns:
            [N, H, W, width].
        """
        check_number(self.residual_blocks, "residual_blocks", 0, MAX_RESIDUAL_BLOCKS)
        x = ConvNorm(self.width, 7, self.norm, reflect=True, name="conv_in")(x, **mode)
        down = ConvNorm(2 * self.width, 3, self.norm, stride=2, name="down0")
        x = down(x, **mode) + below
        for i in range(self.residual_blocks):
            x = ResidualBlock(self.norm, name=f"block{i}")(x, **mode)
        return UpNorm(self.width, self.norm, self.upsampling, name="up0")(x, **mode)


class LocalEnhancer(nn.Module):
    """The fine generator: a global trunk at low resolution, enhancers on top of it.

    Attributes:
        input_channels: channels of the input: 3 for pictures, else labels and edges.
        img_channels: channels of the output.
        width: channels at the picture's own size (32 in the paper).
        downsamplings: halvings within the global trunk.
        residual_blocks: residual blocks of the global trunk.
        enhancers: doublings on top of the trunk.
        enhancer_blocks: residual blocks of each enhancer.
        norm: one of `NORMS`.
        upsampling: transposed (the paper's) or resize.
    """

    input_channels: int = 3
    img_channels: int = 3
    width: int = 32
    downsamplings: int = 4
    residual_blocks: int = 9
    enhancers: int = 1
    enhancer_blocks: int = 3
    norm: str = "instance"
    upsampling: str = "transposed"

    @property
    def multiple(self) -> int:
        """What the height and width of an input must be a multiple of."""
        halvings = min(self.downsamplings, MAX_DOWNSAMPLINGS)
        return 1 << (halvings + min(self.enhancers, MAX_ENHANCERS))

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> jax.Array:
        """Translates pictures; arguments and result as of `GlobalGenerator`."""
        check_number(self.enhancers, "enhancers", 1, MAX_ENHANCERS)
        pyramid = [x]
        for _ in range(self.enhancers):
            pyramid.append(halve(pyramid[-1]))
        trunk = Trunk(
            self.width << self.enhancers,
            self.downsamplings,
            self.residual_blocks,
            self.norm,
            self.upsampling,
            name="trunk",
        )
        y = trunk(pyramid.pop(), **mode)
        for i in range(self.enhancers):
            enhancer = Enhancer(
                self.width << (self.enhancers - 1 - i),
                self.enhancer_blocks,
                self.norm,
                self.upsampling,
                name=f"enhancer{i}",
            )
            y = enhancer(pyramid.pop(), y, **mode)
        return ToPicture(self.img_channels, name="picture")(y)
