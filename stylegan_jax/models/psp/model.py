"""The whole of pSp: encoder, mean latent and StyleGAN2 decoder.

Richardson et al. 2021, "Encoding in Style" (arXiv:2008.00951); with several passes over
a picture, Alaluf et al. 2021, "ReStyle" (arXiv:2104.02699).
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models.features.irse import adaptive_average_pool
from stylegan_jax.models.psp.encoder import GRADUAL, INTO_W, Encoder
from stylegan_jax.models.stylegan2 import Generator
from stylegan_jax.types import Filter

# Tracing takes time in proportion to the layers, and a field may come from a damaged
# file.
MAX_BLOCKS, MAX_MAPPING_LAYERS, MAX_ITERATIONS = 16, 64, 10


def inject_layers(
    w_plus: jax.Array,
    layers: Sequence[int],
    inject: jax.Array | None = None,
    alpha: jax.Array | float = 1.0,
) -> jax.Array:
    """Replaces or mixes the latents of some layers.

    Args:
        w_plus: [N, num_ws, w_dim].
        layers: numbers of the layers, from 0.
        inject: [N, num_ws, w_dim] or [1, num_ws, w_dim], the other latents; None for
            zeros.
        alpha: the share of the other latents; 1 replaces.

    Returns:
        [N, num_ws, w_dim].
    """
    chosen = np.zeros((1, w_plus.shape[1], 1), bool)
    chosen[:, list(layers)] = True
    if inject is None:
        return jnp.where(chosen, 0.0, w_plus)
    return jnp.where(chosen, alpha * inject + (1 - alpha) * w_plus, w_plus)


def fit_square(images: jax.Array, size: int) -> jax.Array:
    """Brings pictures to a side: sides that are longer averaged, shorter interpolated.

    Args:
        images: [N, H, W, C].
        size: the side wanted.

    Returns:
        [N, size, size, C]: `adaptive_average_pool` of longer sides, linear
        interpolation between the pixels' centres of shorter ones.
    """
    number, height, width, channels = images.shape
    smaller = min(height, size), min(width, size)
    if smaller != (height, width):
        images = adaptive_average_pool(images, smaller)
    if smaller == (size, size):
        return images
    return jax.image.resize(
        images,
        (number, size, size, channels),
        "bilinear",
        precision=jax.lax.Precision.HIGHEST,
    )


class PSP(nn.Module):
    """Encoder and decoder in one network.

    Variables lie under ``encoder`` and ``decoder``; those of the decoder are exactly a
    `Generator`'s, in every collection, so it can be put in and taken out. The mean
    latent that the encoder's result is added to is ``moving_stats/latent_avg``.

    With ``iterations`` above 1 the encoder looks at the input and at the picture so
    far, one behind the other in the channels, and gives what is to be added to the
    latents; the first picture is the decoder's of the mean latent (ReStyle). One set of
    weights does all passes.

    The fields are flat because they are a model file's config; the decoder's are the
    generator's own names after ``decoder_``. The decoder knows no labels.

    Attributes:
        encoder_type: one of `ENCODER_TYPES`.
        num_layers: layers of the encoder's backbone.
        mode: ``ir_se`` or ``ir``.
        width: channels of the backbone's first stage.
        input_nc: channels of the input.
        input_size: side of the input.
        w_dim: width of a latent, in the encoder and in the decoder.
        learn_in_w: whether ``latent_avg`` is one w [1, w_dim] for all layers instead of
            [num_ws, w_dim].
        start_from_latent_avg: whether ``latent_avg`` is added to what is encoded.
        iterations: passes of the encoder over a picture, from 1 to `MAX_ITERATIONS`;
            above 1 they start from ``latent_avg``, so ``start_from_latent_avg`` has to
            be true.
        decoder_num_blocks: as in `Generator`, like all that follow.
        decoder_z_dim: width of z.
        decoder_base_grid: (h, w) of the learned constant.
        decoder_img_channels: image channels.
        decoder_mapping_layers: layers of the mapping network.
        decoder_mapping_lr_multiplier: scale of their learning rate.
        decoder_channel_base: channels at nominal resolution r are channel_base / r.
        decoder_channel_max: but at most this many.
        decoder_architecture: skip, resnet or orig.
        decoder_resample_filter: taps of the low-pass filter, with sum 1.
        decoder_use_noise: whether the layers have noise inputs.
        decoder_conv_clamp: bound of every layer's result; None for none.
        decoder_dtype: compute dtype of the topmost blocks.
        decoder_low_precision_blocks: how many blocks that is.
    """

    decoder_num_blocks: int
    encoder_type: str = GRADUAL
    num_layers: int = 50
    mode: str = "ir_se"
    width: int = 64
    input_nc: int = 3
    input_size: int = 256
    w_dim: int = 512
    learn_in_w: bool = False
    start_from_latent_avg: bool = True
    iterations: int = 1
    decoder_z_dim: int = 512
    decoder_base_grid: tuple[int, int] = (4, 4)
    decoder_img_channels: int = 3
    decoder_mapping_layers: int = 8
    decoder_mapping_lr_multiplier: float = 0.01
    decoder_channel_base: int = 32768
    decoder_channel_max: int = 512
    decoder_architecture: str = "skip"
    decoder_resample_filter: Filter = (0.125, 0.375, 0.375, 0.125)
    decoder_use_noise: bool = True
    decoder_conv_clamp: float | None = None
    decoder_dtype: str = "float32"
    decoder_low_precision_blocks: int = 4

    @property
    def num_ws(self) -> int:
        """Latents that the decoder takes for a picture."""
        return 2 * self.decoder_num_blocks

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of what the encoder takes."""
        return self.input_size, self.input_size, self.input_nc

    @property
    def encoder_channels(self) -> int:
        """Channels that the encoder takes: the input's, and the picture's so far."""
        return self.input_nc + (self.iterations > 1) * self.decoder_img_channels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the decoder's pictures."""
        return self.make_decoder().image_shape

    @nn.nowrap
    def make_decoder(self) -> Generator:
        """The decoder as a module of its own."""
        return Generator(
            num_blocks=self.decoder_num_blocks,
            z_dim=self.decoder_z_dim,
            c_dim=0,
            w_dim=self.w_dim,
            base_grid=self.decoder_base_grid,
            img_channels=self.decoder_img_channels,
            mapping_layers=self.decoder_mapping_layers,
            mapping_lr_multiplier=self.decoder_mapping_lr_multiplier,
            channel_base=self.decoder_channel_base,
            channel_max=self.decoder_channel_max,
            architecture=self.decoder_architecture,
            resample_filter=self.decoder_resample_filter,
            use_noise=self.decoder_use_noise,
            conv_clamp=self.decoder_conv_clamp,
            dtype=self.decoder_dtype,
            low_precision_blocks=self.decoder_low_precision_blocks,
        )

    def setup(self):
        """Makes the two networks and the mean latent."""
        if not 1 <= self.decoder_num_blocks <= MAX_BLOCKS:
            raise ValueError(
                f"decoder_num_blocks={self.decoder_num_blocks} is not from 1 to "
                f"{MAX_BLOCKS}."
            )
        if not 1 <= self.decoder_mapping_layers <= MAX_MAPPING_LAYERS:
            raise ValueError(
                f"decoder_mapping_layers={self.decoder_mapping_layers} is not from 1 "
                f"to {MAX_MAPPING_LAYERS}."
            )
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise ValueError(
                f"iterations={self.iterations} is not from 1 to {MAX_ITERATIONS}."
            )
        if self.iterations > 1 and not self.start_from_latent_avg:
            raise ValueError(
                f"iterations={self.iterations} needs start_from_latent_avg: the passes "
                "start from the mean latent."
            )
        self.encoder = Encoder(
            encoder_type=self.encoder_type,
            num_layers=self.num_layers,
            mode=self.mode,
            width=self.width,
            input_nc=self.encoder_channels,
            input_size=self.input_size,
            num_ws=1 if self.encoder_type == INTO_W else self.num_ws,
            w_dim=self.w_dim,
        )
        self.decoder = self.make_decoder()
        rows = 1 if self.learn_in_w else self.num_ws
        self.latent_avg = self.variable(
            "moving_stats", "latent_avg", jnp.zeros, (rows, self.w_dim)
        )

    def encode(
        self,
        x: jax.Array,
        *,
        iterations: int | None = None,
        noise_mode: str = "const",
        train: bool = False,
        axis_name: str | None = None,
    ) -> jax.Array:
        """Encodes pictures in all passes, the mean latent included.

        Args:
            x: [N, input_size, input_size, input_nc] float32 in [-1, 1].
            iterations: another number of passes than the model's, at least 1; only for
                a model with several.
            noise_mode: const or none, of the pictures between several passes.
            train: whether the encoder's batch norm takes the batch's own statistics.
            axis_name: the mapped axis over whose devices it takes them; None for this
                device's pictures alone.

        Returns:
            w_plus [N, num_ws, w_dim] float32.
        """
        if self.iterations == 1:
            codes = self.encoder(x, train=train, axis_name=axis_name)
            if self.start_from_latent_avg:
                codes = codes + self.latent_avg.value
            return jnp.broadcast_to(codes, (len(x), self.num_ws, self.w_dim))
        w_plus, image = self.start(len(x), noise_mode=noise_mode)
        passes = self.iterations if iterations is None else iterations
        # All passes have the same variables: one is enough to make them.
        for i in range(1 if self.is_initializing() else passes):
            if i > 0:
                image = self.synthesis(w_plus, noise_mode=noise_mode)
            w_plus = self.refine(x, w_plus, image, train=train, axis_name=axis_name)
        return w_plus

    def start(
        self, number: int, *, noise_mode: str = "const"
    ) -> tuple[jax.Array, jax.Array]:
        """What the first of several passes is given: the mean latent and its picture.

        Args:
            number: pictures N of the batch.
            noise_mode: const or none.

        Returns:
            w_plus [N, num_ws, w_dim], and the decoder's picture of it, repeated, [N, H,
            W, decoder_img_channels].
        """
        shape = self.num_ws, self.w_dim
        w_plus = jnp.broadcast_to(self.latent_avg.value, shape)[None]
        image = self.synthesis(w_plus, noise_mode=noise_mode)
        return jnp.repeat(w_plus, number, 0), jnp.repeat(image, number, 0)

    def refine(
        self,
        x: jax.Array,
        w_plus: jax.Array,
        image: jax.Array,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> jax.Array:
        """One pass: adds to the latents what the encoder sees to be missing.

        A model with several passes is trained on each alone: w_plus and image are then
        given through ``jax.lax.stop_gradient``.

        Args:
            x: [N, input_size, input_size, input_nc] float32 in [-1, 1].
            w_plus: [N, num_ws, w_dim], the latents so far; those of `start` at first.
            image: [N, H, W, decoder_img_channels], their picture, of any size, in
                [-1, 1], not clipped.
            train: as in `encode`.
            axis_name: as in `encode`.

        Returns:
            w_plus [N, num_ws, w_dim] float32.

        Raises:
            ValueError: the model has a single pass, so its encoder sees no picture.
        """
        if self.iterations == 1:
            raise ValueError("iterations=1: the encoder sees its input alone.")
        both = jnp.concatenate([x, fit_square(image, self.input_size)], -1)
        return w_plus + self.encoder(both, train=train, axis_name=axis_name)

    def synthesis(
        self,
        w_plus: jax.Array,
        *,
        noise_mode: str = "const",
        noise_keys: jax.Array | None = None,
    ) -> jax.Array:
        """Draws [N, H, W, C] float32 from w_plus; see `Generator.synthesis`."""
        return self.decoder.synthesis(
            w_plus, noise_mode=noise_mode, noise_keys=noise_keys
        )

    def __call__(
        self,
        x: jax.Array,
        *,
        inject: jax.Array | None = None,
        latent_mask: Sequence[int] = (),
        alpha: jax.Array | float = 1.0,
        noise_mode: str = "const",
        noise_keys: jax.Array | None = None,
        train: bool = False,
        axis_name: str | None = None,
    ) -> jax.Array:
        """Turns pictures into the decoder's.

        Args:
            x: [N, input_size, input_size, input_nc] float32 in [-1, 1].
            inject: other latents, see `inject_layers`.
            latent_mask: the layers that are replaced or mixed.
            alpha: the share of the other latents.
            noise_mode: const, none, or random (needs noise_keys).
            noise_keys: [N] random keys.
            train: whether the encoder's batch norm takes the batch's own statistics.
            axis_name: as in `encode`.

        Returns:
            [N, H, W, C] float32 at the decoder's resolution, not clipped.
        """
        if self.is_initializing():
            # Pictures alone would leave the mapping network without weights.
            self.decoder.w(jnp.zeros((1, self.decoder_z_dim)))
        w_plus = self.encode(x, train=train, axis_name=axis_name)
        if latent_mask:
            w_plus = inject_layers(w_plus, latent_mask, inject, alpha)
        return self.synthesis(w_plus, noise_mode=noise_mode, noise_keys=noise_keys)
