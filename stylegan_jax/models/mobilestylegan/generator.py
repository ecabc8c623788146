"""MobileStyleGAN's generator: StyleGAN2's mapping, and synthesis by wavelets."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.mobilestylegan.layers import (
    FullLayer,
    SeparableLayer,
    Style,
    ToWavelets,
)
from stylegan_jax.models.mobilestylegan.wavelets import inverse_haar
from stylegan_jax.models.style_generator import StyleGenerator
from stylegan_jax.models.stylegan2.layers import channels_at, normal_init
from stylegan_jax.models.stylegan2.mapping import MappingNetwork
from stylegan_jax.types import check_shape

# The maps of noise are trained tensors, strength included, so none can be drawn.
NOISE_MODES = ("const", "none")


class Block(nn.Module):
    """Doubles a map by the inverse Haar transform, then two separable layers.

    Attributes:
        features: output channels.
        size: (H, W) of the output.
    """

    features: int
    size: tuple[int, int]

    @nn.compact
    def __call__(self, x: jax.Array, w_plus: jax.Array, noise_mode: str) -> jax.Array:
        """Maps x [N, H/2, W/2, I] and w_plus [N, 3, w_dim] to [N, H, W, features]."""
        x = inverse_haar(x * Style(x.shape[3], name="up")(w_plus[:, 0]))
        for i in range(2):
            layer = SeparableLayer(self.features, self.size, name=f"conv{i}")
            x = layer(x, w_plus[:, 1 + i], noise_mode)
        return x


class SynthesisNetwork(nn.Module):
    """Chain of blocks from the constant to the picture; fields as in ``Generator``."""

    num_blocks: int
    base_grid: tuple[int, int]
    img_channels: int
    channel_base: int
    channel_max: int

    @nn.compact
    def __call__(self, w_plus: jax.Array, noise_mode: str) -> jax.Array:
        """Maps w_plus [N, num_ws, w_dim] to pictures [N, H, W, C] float32."""
        w_plus = w_plus.astype(jnp.float32)
        channels = self._channels(0)
        shape = (*self.base_grid, channels)
        const = self.param("const", normal_init(), shape)
        x = jnp.broadcast_to(const, (len(w_plus), *shape))
        x = FullLayer(channels, self.base_grid, name="b4")(x, w_plus[:, 0], noise_mode)
        for i in range(1, self.num_blocks - 1):
            height, width = self.base_grid
            block = Block(
                self._channels(i), (height << i, width << i), name=f"b{4 << i}"
            )
            x = block(x, w_plus[:, 3 * i - 2 : 3 * i + 1], noise_mode)
        bands = ToWavelets(4 * self.img_channels, name="to_wavelets")
        return inverse_haar(bands(x, w_plus[:, -1]))

    def _channels(self, i: int) -> int:
        number = channels_at(4 << i, self.channel_base, self.channel_max)
        if number % 4:
            raise ValueError(
                f"A map of {number} channels has no four sub-bands: choose widths that "
                "4 divides."
            )
        return number


class Generator(StyleGenerator):
    """MobileStyleGAN's generator (Belousov 2021, arXiv:2104.04767).

    The picture is base_grid * 2**(num_blocks - 1) pixels; the last doubling is a
    wavelet transform alone. Every field is plain data, so that the fields are the model
    file's configuration.

    Attributes:
        num_blocks: resolutions from the base grid up; 9 for 1024 px on a 4x4 grid.
        z_dim: width of z.
        w_dim: width of w.
        base_grid: (h, w) of the learned constant; (4, 4) for square pictures.
        img_channels: channels of the picture.
        mapping_layers: layers of the mapping network.
        mapping_lr_multiplier: scale of their learning rate.
        channel_base: channels at nominal resolution r are channel_base / r.
        channel_max: but at most this many.
    """

    num_blocks: int
    z_dim: int = 512
    w_dim: int = 512
    base_grid: tuple[int, int] = (4, 4)
    img_channels: int = 3
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    channel_base: int = 32768
    channel_max: int = 512

    @property
    def c_dim(self) -> int:
        """Width of the label: there is none."""
        return 0

    @property
    def num_ws(self) -> int:
        """Latents that the synthesis network takes: one for every modulation.

        The network was trained with the same w for all of them.
        """
        return 3 * self.num_blocks - 4

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the pictures."""
        scale = self.num_blocks - 1
        return (
            self.base_grid[0] << scale,
            self.base_grid[1] << scale,
            self.img_channels,
        )

    def setup(self):
        """Makes the two networks."""
        if self.num_blocks < 2:
            raise ValueError("MobileStyleGAN has at least 2 resolutions (num_blocks).")
        self.mapping_network = MappingNetwork(
            z_dim=self.z_dim,
            c_dim=0,
            w_dim=self.w_dim,
            num_layers=self.mapping_layers,
            lr_multiplier=self.mapping_lr_multiplier,
            name="mapping",
        )
        self.synthesis_network = SynthesisNetwork(
            self.num_blocks,
            self.base_grid,
            self.img_channels,
            self.channel_base,
            self.channel_max,
            name="synthesis",
        )

    def synthesis(
        self,
        w_plus: jax.Array,
        *,
        noise_mode: str = "const",
        noise_keys: jax.Array | None = None,
    ) -> jax.Array:
        """Draws pictures from latents.

        Args:
            w_plus: [N, num_ws, w_dim].
            noise_mode: const (the model's own maps) or none.
            noise_keys: None; nothing here is random.

        Returns:
            [N, H, W, C] float32, nominally in [-1, 1], not clipped.

        Raises:
            ValueError: for a wrong shape, another noise mode, or keys.
        """
        expected = (None, self.num_ws, self.w_dim)
        check_shape(w_plus, "w_plus", expected, where="Generator.synthesis")
        if noise_mode not in NOISE_MODES or noise_keys is not None:
            raise ValueError(
                f"MobileStyleGAN's noise is {' or '.join(NOISE_MODES)}, without keys; "
                f"got '{noise_mode}'."
            )
        return self.synthesis_network(w_plus, noise_mode)
