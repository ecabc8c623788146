"""Encoders of pictures to latents (Richardson et al. 2021, arXiv:2008.00951)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models.features.convs import Conv
from stylegan_jax.models.features.irse import Backbone, adaptive_average_pool
from stylegan_jax.models.stylegan2.layers import Dense
from stylegan_jax.types import check_shape

GRADUAL = "GradualStyleEncoder"
INTO_W = "BackboneEncoderUsingLastLayerIntoW"
INTO_W_PLUS = "BackboneEncoderUsingLastLayerIntoWPlus"
ENCODER_TYPES = (GRADUAL, INTO_W, INTO_W_PLUS)

# Layers below the first are coarse (from 1/16 of the picture's side), below the second
# middle (1/8), the others fine (1/4).
COARSE_END, MIDDLE_END = 3, 7
# The grid that the last features are pooled to before a dense layer.
POOLED = 7
# More layers than any generator has.
MAX_NUM_WS = 64
# A field may come from a damaged file: shapes must not overflow.
MIN_INPUT, MAX_INPUT, MAX_CHANNELS = 32, 4096, 16384

_HIGHEST = jax.lax.Precision.HIGHEST


def feature_stride(layer: int) -> int:
    """How many pixels of the picture a cell has that a layer's latent is read from."""
    return 16 if layer < COARSE_END else 8 if layer < MIDDLE_END else 4


def halvings(layer: int, input_size: int) -> int:
    """Strided convolutions from a layer's features to one cell."""
    return (input_size // feature_stride(layer)).bit_length() - 1


class StyleHead(nn.Module):
    """Strided convolutions from a feature map to one latent ("map2style").

    Attributes:
        features: width of the latent.
        convs: how many convolutions; the map has a side of 2**convs.
    """

    features: int
    convs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, S, S, I] to [N, features]."""
        for i in range(self.convs):
            conv = Conv(self.features, stride=2, use_bias=True, name=f"conv{i}")
            x = nn.leaky_relu(conv(x), 0.01)
        return Dense(self.features, name="linear")(x[:, 0, 0])


class Encoder(nn.Module):
    """pSp's encoder, one of three types.

    ``GradualStyleEncoder`` reads coarse, middle and fine latents from three levels of a
    feature pyramid (figure 2 of the paper); the two others take the last features only,
    to one w for all layers (``…IntoW``) or to one for each (``…IntoWPlus``). The
    published encoders have 50 layers, gates, width 64 and pictures of 256 px. The
    pyramid takes the ends of the backbone's stages; the original takes the units 6, 20
    and 23, which are those of the 50 layers.

    Attributes:
        encoder_type: one of `ENCODER_TYPES`.
        num_layers: layers of the backbone: 18, 34, 50, 100 or 152.
        mode: ``ir_se`` with gates, ``ir`` without.
        width: channels of the backbone's first stage.
        input_nc: channels of the input: 3 for pictures, or the number of classes of a
            one-hot label map.
        input_size: side of the input; a power of two for ``GradualStyleEncoder``.
        num_ws: latents that the encoder gives; 1 for ``…IntoW``.
        w_dim: width of a latent.
    """

    encoder_type: str = GRADUAL
    num_layers: int = 50
    mode: str = "ir_se"
    width: int = 64
    input_nc: int = 3
    input_size: int = 256
    num_ws: int = 18
    w_dim: int = 512

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> jax.Array:
        """Encodes pictures; the mean latent is not added.

        Args:
            x: [N, input_size, input_size, input_nc] float32 in [-1, 1].
            train: whether batch norm takes the batch's own statistics and collects
                them in ``batch_stats``.
            axis_name: the mapped axis over whose devices these statistics are taken;
                None for this device's pictures alone.

        Returns:
            [N, num_ws, w_dim] float32.

        Raises:
            ValueError: pictures of another size, or fields that make no encoder.
        """
        self._check()
        shape = (None, self.input_size, self.input_size, self.input_nc)
        check_shape(x, "x", shape, where="Encoder")
        backbone = Backbone(self.num_layers, self.mode, self.width, name="backbone")
        _, fine, middle, coarse = backbone(x, train=train, axis_name=axis_name)
        if self.encoder_type == GRADUAL:
            return self._pyramid(fine, middle, coarse)
        if self.encoder_type == INTO_W:
            w = Dense(self.w_dim, name="linear")(coarse.mean((1, 2)))
            return w[:, None]
        norm = nn.BatchNorm(
            not train, momentum=0.9, epsilon=1e-5, axis_name=axis_name, name="bn"
        )
        y = norm(coarse)
        y = adaptive_average_pool(y, (POOLED, POOLED)).reshape(len(x), -1)
        y = nn.Dense(self.w_dim, name="dense")(y)
        y = Dense(self.num_ws * self.w_dim, name="linear")(y)
        return y.reshape(-1, self.num_ws, self.w_dim)

    def _pyramid(self, fine, middle, coarse):
        features = coarse.shape[-1]

        def lateral(x, name):
            return Conv(features, 1, 1, 0, use_bias=True, name=name)(x)

        middle = _enlarge(coarse, middle.shape[1:3]) + lateral(middle, "lateral0")
        fine = _enlarge(middle, fine.shape[1:3]) + lateral(fine, "lateral1")
        levels = {16: coarse, 8: middle, 4: fine}
        latents = []
        for i in range(self.num_ws):
            convs = halvings(i, self.input_size)
            head = StyleHead(self.w_dim, convs, name=f"style{i}")
            latents.append(head(levels[feature_stride(i)]))
        return jnp.stack(latents, 1)

    def _check(self):
        if self.encoder_type not in ENCODER_TYPES:
            raise ValueError(
                f"Unknown encoder_type '{self.encoder_type}', choose from "
                f"{', '.join(ENCODER_TYPES)}."
            )
        if not MIN_INPUT <= self.input_size <= MAX_INPUT or self.input_size % 16:
            raise ValueError(
                f"input_size={self.input_size} is no multiple of 16 from {MIN_INPUT} "
                f"to {MAX_INPUT}."
            )
        if self.encoder_type == GRADUAL and self.input_size & (self.input_size - 1):
            raise ValueError(
                f"input_size={self.input_size} is no power of two, which "
                f"{GRADUAL} needs."
            )
        largest = 1 if self.encoder_type == INTO_W else MAX_NUM_WS
        if not 1 <= self.num_ws <= largest:
            raise ValueError(
                f"num_ws={self.num_ws} is not from 1 to {largest}, as "
                f"{self.encoder_type} needs."
            )
        for name, value in (("w_dim", self.w_dim), ("input_nc", self.input_nc)):
            if not 1 <= value <= MAX_CHANNELS:
                raise ValueError(f"{name}={value} is not from 1 to {MAX_CHANNELS}.")


def _enlarge(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Linear interpolation of [N, h, w, C] to [N, H, W, C], corner cells on corners."""
    rows = jnp.asarray(_between(x.shape[1], size[0]))
    columns = jnp.asarray(_between(x.shape[2], size[1]))
    return jnp.einsum("Hh,Ww,NhwC->NHWC", rows, columns, x, precision=_HIGHEST)


def _between(length: int, wanted: int) -> np.ndarray:
    """The interpolation matrix [wanted, length] of one axis, float32."""
    matrix = np.zeros((wanted, length), np.float32)
    for i, position in enumerate(np.linspace(0, length - 1, wanted)):
        low = min(int(position), length - 2) if length > 1 else 0
        matrix[i, low] = 1 - (position - low)
        if length > 1:
            matrix[i, low + 1] = position - low
    return matrix
