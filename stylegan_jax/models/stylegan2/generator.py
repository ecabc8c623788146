"""The StyleGAN2 generator: mapping and synthesis under one roof."""

from __future__ import annotations

import jax

from stylegan_jax.models.style_generator import StyleGenerator, check_noise
from stylegan_jax.models.stylegan2.mapping import MappingNetwork
from stylegan_jax.models.stylegan2.synthesis import (
    ARCHITECTURES,
    SynthesisNetwork,
)
from stylegan_jax.types import Filter, check_shape


class Generator(StyleGenerator):
    """StyleGAN2 generator.

    The image is base_grid * 2**(num_blocks - 1) pixels. Every field is plain data, so
    that the fields are the model file's configuration.

    Attributes:
        num_blocks: resolutions from the base grid up; 7 for 256 px on a 4x4 grid.
        z_dim: width of z.
        c_dim: width of the label; 0 for an unconditional generator.
        w_dim: width of w.
        base_grid: (h, w) of the learned constant; (4, 4) for square images.
        img_channels: image channels; 3 for RGB, any number is allowed.
        mapping_layers: layers of the mapping network.
        mapping_lr_multiplier: scale of their learning rate.
        mapping_features: width of all of them but the last; 0 for w_dim.
        embed_features: width of the embedded label; 0 for w_dim.
        channel_base: channels at nominal resolution r are channel_base / r.
        channel_max: but at most this many.
        architecture: skip, resnet or orig (Karras et al. 2020, figure 7).
        resample_filter: taps of the low-pass filter, with sum 1.
        use_noise: whether the layers have noise inputs.
        conv_clamp: bound of every layer's result (256 with float16); None for none.
        dtype: compute dtype of the topmost blocks: float32, bfloat16 or float16.
        low_precision_blocks: how many blocks that is (4 in NVIDIA's networks).
    """

    num_blocks: int
    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    base_grid: tuple[int, int] = (4, 4)
    img_channels: int = 3
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "skip"
    resample_filter: Filter = (0.125, 0.375, 0.375, 0.125)
    use_noise: bool = True
    conv_clamp: float | None = None
    dtype: str = "float32"
    low_precision_blocks: int = 4
    mapping_features: int = 0
    embed_features: int = 0

    @property
    def num_ws(self) -> int:
        """Latents that the synthesis network takes: two for every block."""
        return 2 * self.num_blocks

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images."""
        scale = self.num_blocks - 1
        return (
            self.base_grid[0] << scale,
            self.base_grid[1] << scale,
            self.img_channels,
        )

    def setup(self):
        """Makes the two networks, under NVIDIA's names."""
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"Unknown generator architecture '{self.architecture}', choose from "
                f"{', '.join(ARCHITECTURES)}."
            )
        self.mapping_network = MappingNetwork(
            z_dim=self.z_dim,
            c_dim=self.c_dim,
            w_dim=self.w_dim,
            num_layers=self.mapping_layers,
            lr_multiplier=self.mapping_lr_multiplier,
            layer_features=self.mapping_features,
            embed_features=self.embed_features,
            name="mapping",
        )
        self.synthesis_network = SynthesisNetwork(
            num_blocks=self.num_blocks,
            base_grid=self.base_grid,
            img_channels=self.img_channels,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            architecture=self.architecture,
            resample_filter=self.resample_filter,
            use_noise=self.use_noise,
            conv_clamp=self.conv_clamp,
            dtype=self.dtype,
            low_precision_blocks=self.low_precision_blocks,
            name="synthesis",
        )

    def w(self, z: jax.Array, c: jax.Array | None = None) -> jax.Array:
        """Maps z [N, z_dim] (and c [N, c_dim]) to w [N, w_dim], not truncated."""
        return self.mapping_network(z, c)

    def synthesis(
        self,
        w_plus: jax.Array,
        *,
        noise_mode: str = "random",
        noise_keys: jax.Array | None = None,
    ) -> jax.Array:
        """Draws images from latents.

        Args:
            w_plus: [N, num_ws, w_dim].
            noise_mode: random (fresh noise), const (the model's own maps) or none.
            noise_keys: [N] random keys, one for each image; needed with random.

        Returns:
            [N, H, W, C] float32, nominally in [-1, 1], not clipped.

        Raises:
            ValueError: for a wrong shape, an unknown noise mode or missing keys.
        """
        expected = (None, self.num_ws, self.w_dim)
        check_shape(w_plus, "w_plus", expected, where="Generator.synthesis")
        check_noise(noise_mode, noise_keys, len(w_plus), needed=self.use_noise)
        return self.synthesis_network(
            w_plus, noise_mode=noise_mode, noise_keys=noise_keys
        )
