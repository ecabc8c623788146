"""pix2pixHD's multiscale discriminator (Wang et al. 2018, section 3.2)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from stylegan_jax.models.features.convs import Conv
from stylegan_jax.models.pix2pixhd.layers import (
    Norm,
    check_number,
    halve,
    kernel_init,
)

# The widest layer, whatever the width of the first.
WIDEST = 512
MAX_SCALES = 8
MAX_LAYERS = 8


class PatchDiscriminator(nn.Module):
    """Scores overlapping patches by convolution (Isola et al. 2017, appendix 6.1.2).

    Attributes:
        width: channels of the first layer.
        layers: layers that halve the size.
        norm: one of `NORMS`; the first and the last layer have none.
        use_sigmoid: whether the scores are probabilities.
    """

    width: int
    layers: int
    norm: str
    use_sigmoid: bool

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> tuple[jax.Array, ...]:
        """Maps [N, H, W, C] to the features of every layer, the scores [..., 1] last.

        The padding of 2 around kernels of 4 makes each layer's side one larger than
        half (or all) of the side before.
        """
        check_number(self.layers, "layers", 1, MAX_LAYERS)
        check_number(self.width, "width", 1, 2**16)
        features = []
        width = self.width
        for i in range(self.layers + 1):
            stride = 2 if i < self.layers else 1
            x = self._conv(i, width, stride)(x)
            if i > 0:
                x = Norm(self.norm, name=f"norm{i}")(x, **mode)
            x = nn.leaky_relu(x, 0.2)
            features.append(x)
            width = min(2 * width, WIDEST)
        x = self._conv(self.layers + 1, 1, 1)(x)
        features.append(nn.sigmoid(x) if self.use_sigmoid else x)
        return tuple(features)

    def _conv(self, i: int, features: int, stride: int) -> Conv:
        return Conv(
            features,
            4,
            stride,
            2,
            use_bias=True,
            kernel_init=kernel_init,
            name=f"conv{i}",
        )


class MultiscaleDiscriminator(nn.Module):
    """The same patch discriminator, with weights of its own, at several sizes.

    Attributes:
        input_channels: channels of the input and the picture together.
        width: channels of the first layer (64 in the paper).
        layers: layers of each scale that halve the size (3 in the paper).
        scales: sizes looked at, each half of the one before.
        norm: one of `NORMS`.
        use_sigmoid: whether the scores are probabilities.
    """

    input_channels: int = 6
    width: int = 64
    layers: int = 3
    scales: int = 2
    norm: str = "instance"
    use_sigmoid: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, **mode: Any) -> tuple[tuple[jax.Array, ...], ...]:
        """Scores pictures.

        Args:
            x: [N, H, W, input_channels]: the input and a real or made picture, one
                behind the other on the channels.
            **mode: ``train`` and ``axis_name`` of `Norm`.

        Returns:
            For every scale, the full size first: the features of its ``layers + 2``
            layers, of which the last is the scores [N, h, w, 1].

        Raises:
            ValueError: for more layers or scales than any network has.
        """
        check_number(self.scales, "scales", 1, MAX_SCALES)
        results = []
        for i in range(self.scales):
            if i > 0:
                x = halve(x)
            discriminator = PatchDiscriminator(
                self.width,
                self.layers,
                self.norm,
                self.use_sigmoid,
                name=f"scale{i}",
            )
            results.append(discriminator(x, **mode))
        return tuple(results)
