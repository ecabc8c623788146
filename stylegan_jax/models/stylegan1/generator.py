"""The StyleGAN generator of 2018: mapping and synthesis under one roof."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.style_generator import StyleGenerator, check_noise
from stylegan_jax.models.stylegan1.growth import reached
from stylegan_jax.models.stylegan1.layers import Dense, double_nearest, leaky_relu
from stylegan_jax.models.stylegan1.synthesis import LayerTraits, SynthesisNetwork
from stylegan_jax.models.stylegan2.layers import normalize_second_moment
from stylegan_jax.types import Filter, check_shape


class MappingNetwork(nn.Module):
    """Fully connected layers from normalised z to w (Karras et al. 2019, section 2).

    Attributes:
        w_dim: width of w.
        num_layers: fully connected layers; 0 makes the normalised z itself w.
        features: width of all layers but the last.
        lr_multiplier: scale of the layers' learning rate.
    """

    w_dim: int
    num_layers: int
    features: int
    lr_multiplier: float

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Maps z [N, z_dim] to w [N, w_dim], float32."""
        self.variable("moving_stats", "w_avg", jnp.zeros, (self.w_dim,))
        if self.num_layers == 0 and z.shape[1] != self.w_dim:
            raise ValueError(
                f"Without mapping layers z is w: z_dim={z.shape[1]} and "
                f"w_dim={self.w_dim} must be the same."
            )
        x = normalize_second_moment(z)
        for i in range(self.num_layers):
            width = self.w_dim if i == self.num_layers - 1 else self.features
            dense = Dense(width, lr_multiplier=self.lr_multiplier, name=f"fc{i}")
            x = leaky_relu(dense(x))
        return x


class Generator(StyleGenerator):
    """StyleGAN's generator.

    The image is base_grid * 2**(num_blocks - 1) pixels. Every field is plain data, so
    that the fields are the model file's configuration.

    Attributes:
        num_blocks: resolutions from the base grid up; 9 for 1024 px on a 4x4 grid.
        z_dim: width of z.
        w_dim: width of w.
        base_grid: (h, w) of the first layer; (4, 4) for square images.
        img_channels: image channels.
        mapping_layers: layers of the mapping network; 0 for none, as in ProGAN.
        mapping_features: width of all of them but the last.
        mapping_lr_multiplier: scale of their learning rate.
        channel_base: channels at nominal resolution r are channel_base / r; twice the
            ``fmap_base`` of NVIDIA's program.
        channel_max: but at most this many.
        resample_filter: taps of the smoothing behind a doubling, with sum 1.
        fused_resolution: layers that double the size to at least this do so by a
            transposed convolution, which is another function of the same weights.
        use_noise: whether the layers have noise inputs.
        stored_noise: whether the collection ``noise`` holds the const noise; without,
            it is drawn from a fixed key (see ``synthesis.unstored_noise``).
        norm_eps: added to the variances of the normalisation: 1e-8 in NVIDIA's
            program, 1e-5 in its PyTorch port.
        const_input: whether the first layer begins from a learned constant, or from a
            dense layer of its latent, as in ProGAN.
        use_style: whether latents scale and shift the features of all layers (AdaIN);
            without, they come in through the dense layer of the input alone.
        instance_norm: whether features are normalised over the picture, by channel.
        pixel_norm: whether they are normalised over channels, by pixel, as in ProGAN.
        progressive: whether pictures can be drawn at every resolution; there is then a
            layer to image channels in every block.
        lod: level of detail, 0 for the full resolution; see ``growth``.
    """

    num_blocks: int
    z_dim: int = 512
    w_dim: int = 512
    base_grid: tuple[int, int] = (4, 4)
    img_channels: int = 3
    mapping_layers: int = 8
    mapping_features: int = 512
    mapping_lr_multiplier: float = 0.01
    channel_base: int = 16384
    channel_max: int = 512
    resample_filter: Filter = (0.25, 0.5, 0.25)
    fused_resolution: int = 128
    use_noise: bool = True
    stored_noise: bool = True
    norm_eps: float = 1e-8
    const_input: bool = True
    use_style: bool = True
    instance_norm: bool = True
    pixel_norm: bool = False
    progressive: bool = False
    lod: float = 0.0

    @property
    def c_dim(self) -> int:
        """Width of the label: there is none."""
        return 0

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
        """Makes the two networks."""
        self.mapping_network = MappingNetwork(
            self.w_dim,
            self.mapping_layers,
            self.mapping_features,
            self.mapping_lr_multiplier,
            name="mapping",
        )
        self.synthesis_network = SynthesisNetwork(
            self.num_blocks,
            self.base_grid,
            self.img_channels,
            self.channel_base,
            self.channel_max,
            self.fused_resolution,
            self.progressive,
            LayerTraits(
                self.resample_filter,
                self.use_noise,
                self.stored_noise,
                self.norm_eps,
                self.const_input,
                self.use_style,
                self.instance_norm,
                self.pixel_norm,
            ),
            name="synthesis",
        )

    def synthesis(
        self,
        w_plus: jax.Array,
        *,
        noise_mode: str = "random",
        noise_keys: jax.Array | None = None,
        full_size: bool = True,
    ) -> jax.Array:
        """Draws images from latents.

        Args:
            w_plus: [N, num_ws, w_dim].
            noise_mode: random (fresh noise), const (the model's own maps, or fixed ones
                where it has none) or none.
            noise_keys: [N] random keys, one for each image; needed with random.
            full_size: whether images of a lower resolution (``lod``) are enlarged to
                the full one, by repeating pixels.

        Returns:
            [N, H, W, C] float32, nominally in [-1, 1], not clipped.

        Raises:
            ValueError: for a wrong shape, an unknown noise mode, missing keys, fields
                that leave the latents without effect, or a lod that there is not.
        """
        where = "Generator.synthesis"
        check_shape(w_plus, "w_plus", (None, self.num_ws, self.w_dim), where=where)
        check_noise(noise_mode, noise_keys, len(w_plus), needed=self.use_noise)
        if self.const_input and not self.use_style:
            raise ValueError("use_style=False needs const_input=False to use w.")
        blocks, fade = reached(self)
        images: jax.Array = self.synthesis_network(
            w_plus,
            blocks=blocks,
            fade=fade,
            noise_mode=noise_mode,
            noise_keys=noise_keys,
        )
        while full_size and images.shape[1] < self.image_shape[0]:
            images = double_nearest(images)
        return images
