"""A residual network with one output for each attribute (He et al. 2016, section 3)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.features.inputs import imagenet
from stylegan_jax.models.features.layers import PRECISION
from stylegan_jax.models.features.resnet import PLANS, ResNet

# An attribute is there or not, or it is a number in the data's units.
BINARY, NUMBER = "binary", "number"
KINDS = (BINARY, NUMBER)


class AttributeNet(nn.Module):
    """Reads several attributes off a picture at once.

    Attributes:
        names: of the attributes.
        kinds: ``binary`` or ``number`` for each.
        means: of each number's values; 0 for a binary attribute.
        stds: of each number's values; 1 for a binary attribute.
        num_layers: 10, 18 or 34 (two convolutions in a block), 50 or 101 (three).
        width: channels of the first stage; 64 in the published networks.
        input_size: side of the pictures.
        mirrored: whether a reading is the mean over a picture and its mirror image.
        read_share: side of the square that is read of a picture, as a share of the
            picture's shorter side: less than 1 where faces fill less of the pictures
            that are read than they did in training.
        read_drop: how far below the picture's centre this square lies, as the same
            share.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    num_layers: int = 18
    width: int = 64
    input_size: int = 64
    mirrored: bool = False
    read_share: float = 1.0
    read_drop: float = 0.0

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the pictures."""
        return self.input_size, self.input_size, 3

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> jax.Array:
        """Computes an output for each attribute; `values` makes readings of them.

        Args:
            x: [N, input_size, input_size, 3] float32 in [-1, 1].
            train: whether batch norm takes the batch's own statistics and collects
                them in ``batch_stats``.
            axis_name: the mapped axis over whose devices these statistics are taken;
                None for this device's pictures alone.

        Returns:
            [N, A] float32: logits of binary attributes, standardised numbers.

        Raises:
            ValueError: a config that makes no such network.
        """
        self._check()
        stages, bottleneck = PLANS[self.num_layers]
        body = ResNet(stages, bottleneck, width=self.width, name="backbone")
        features = body(imagenet(x), train=train, axis_name=axis_name)["pool"]
        # From zeros: an untrained network reads the mean of every number.
        zeros = nn.initializers.zeros_init()
        head = nn.Dense(
            len(self.names), kernel_init=zeros, precision=PRECISION, name="head"
        )
        return head(features)

    def values(self, outputs: jax.Array) -> jax.Array:
        """Readings of the network's outputs.

        Args:
            outputs: [N, A] float32, as a call returns them.

        Returns:
            [N, A] float32: probabilities from 0 to 1, and numbers in the data's units.
        """
        binary = jnp.asarray([kind == BINARY for kind in self.kinds])
        numbers = outputs * jnp.asarray(self.stds) + jnp.asarray(self.means)
        return jnp.where(binary, jax.nn.sigmoid(outputs), numbers)

    def _check(self) -> None:
        lengths = {len(x) for x in (self.names, self.kinds, self.means, self.stds)}
        if lengths != {len(set(self.names))} or not self.names:
            raise ValueError("names, kinds, means and stds are not one for each name.")
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise ValueError(
                f"unknown kind {', '.join(unknown)}, choose from {', '.join(KINDS)}."
            )
        if min(self.stds) <= 0:
            raise ValueError("a deviation in stds is not above 0.")
        if self.num_layers not in PLANS:
            raise ValueError(
                f"there is no ResNet of {self.num_layers} layers, choose from "
                f"{', '.join(map(str, PLANS))}."
            )
        if not 16 <= self.input_size <= 1024:
            raise ValueError(f"input_size is {self.input_size}, not from 16 to 1024.")
        share, drop = self.read_share, self.read_drop
        if not 0.1 <= share <= 1 or abs(drop) > (1 - share) / 2 + 1e-6:
            raise ValueError(
                f"read_share is {share} (from 0.1 to 1) and read_drop {drop}: the "
                "square lies outside the picture."
            )
