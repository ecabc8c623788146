"""Residual networks (He et al. 2016, table 1), as torchvision builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from stylegan_jax.models.features.layers import (
    PRECISION,
    ConvNorm,
    check_taps,
    check_width,
    max_pool,
    mean_pool,
)

# A damaged config must not make tracing slow; the largest published stage has 36.
MAX_BLOCKS = 64

MAPS = ("stem", "layer1", "layer2", "layer3", "layer4")


class Block(nn.Module):
    """Two convolutions, or three with a narrow one in the middle, and a way around.

    Attributes:
        width: channels of the narrow part; the result of a bottleneck has 4·width.
        stride: of the 3x3 convolution (the first of two), and of the way around.
        bottleneck: whether there are three.
        project: whether the way around is a 1x1 convolution.
    """

    width: int
    stride: int
    bottleneck: bool
    project: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[N, H, W, I] to [N, H/stride, W/stride, O] float32, rounded up."""
        wide: dict[str, Any] = {"kernel": (3, 3), "padding": (1, 1)}
        if self.bottleneck:
            # DIFF(paper): the 3x3 convolution strides, not the first 1x1, as in all
            # published PyTorch weights ("ResNet v1.5").
            layers = [
                ConvNorm(self.width, name="conv1"),
                ConvNorm(self.width, stride=self.stride, name="conv2", **wide),
                ConvNorm(4 * self.width, name="conv3"),
            ]
        else:
            layers = [
                ConvNorm(self.width, stride=self.stride, name="conv1", **wide),
                ConvNorm(self.width, name="conv2", **wide),
            ]
        y = x
        for layer in layers[:-1]:
            y = nn.relu(layer(y, train=train))
        y = layers[-1](y, train=train)
        if self.project:
            channels = layers[-1].features
            around = ConvNorm(channels, stride=self.stride, name="downsample")
            x = around(x, train=train)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """A residual network of four stages.

    Features are the maps ``stem``, ``layer1`` … ``layer4`` (each behind its ReLU;
    ``stem`` before the pooling), ``pool`` [N, C], and ``logits`` where there are some.

    Attributes:
        stages: blocks of each stage: (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3) with
            bottlenecks ResNet-50, (3, 4, 23, 3) ResNet-101.
        bottleneck: whether blocks have three convolutions.
        num_classes: width of the last dense layer; 0 leaves it out.
        width: channels of the stem; stage s has 2^(s-1) times as many, a bottleneck's
            result four times more.
    """

    stages: tuple[int, ...]
    bottleneck: bool
    num_classes: int = 0
    width: int = 64

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all features, from the image up."""
        return (*MAPS, "pool", *(("logits",) if self.num_classes else ()))

    @nn.compact
    def __call__(
        self, x: jax.Array, taps: Sequence[str] | None = None, *, train: bool = False
    ) -> dict[str, jax.Array]:
        """Computes features.

        Args:
            x: [N, H, W, 3] float32, normalised as the weights want it.
            taps: names of the wanted features; nothing behind the last one is
                computed. None means ``pool``, and ``logits`` where there are some.
            train: whether batch statistics are the batch's own.

        Returns:
            The wanted features by name.

        Raises:
            ValueError: an unknown name, or a config that makes no such network.
        """
        check_width(self.width, where="ResNet")
        if len(self.stages) != 4 or not all(1 <= n <= MAX_BLOCKS for n in self.stages):
            raise ValueError(
                f"ResNet has four stages of 1 to {MAX_BLOCKS} blocks, got "
                f"{list(self.stages)}."
            )
        wanted = self.taps[5:] if taps is None else tuple(taps)
        check_taps(wanted, self.taps, where="ResNet")
        # All parameters have to be made, whatever is wanted of them.
        last = len(self.taps) - 1
        if not self.is_initializing():
            last = max(map(self.taps.index, wanted))
        found: dict[str, jax.Array] = {}
        stem = ConvNorm(self.width, (7, 7), stride=2, padding=(3, 3), name="stem")
        x = found["stem"] = nn.relu(stem(x, train=train))
        x = max_pool(x, 3, 2, 1)
        for s, name in list(enumerate(MAPS))[1 : last + 1]:
            x = found[name] = self._stage(s, x, train)
        if last >= 5:
            x = found["pool"] = mean_pool(x)
        if last >= 6:
            fc = nn.Dense(self.num_classes, precision=PRECISION, name="fc")
            found["logits"] = fc(x)
        return {tap: found[tap] for tap in wanted}

    def _stage(self, s: int, x: jax.Array, train: bool) -> jax.Array:
        for i in range(self.stages[s - 1]):
            first = i == 0
            block = Block(
                width=self.width << (s - 1),
                stride=2 if first and s > 1 else 1,
                bottleneck=self.bottleneck,
                project=first and (s > 1 or self.bottleneck),
                name=f"layer{s}_{i}",
            )
            x = block(x, train=train)
        return x
