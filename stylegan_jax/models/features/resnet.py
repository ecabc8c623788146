"""Residual networks (He et al. 2016, table 1), as torchvision builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from stylegan_jax.models.features.convs import Conv
from stylegan_jax.models.features.layers import (
    PRECISION,
    check_taps,
    check_width,
    max_pool,
    mean_pool,
)

# A damaged config must not make tracing slow; the largest published stage has 36.
MAX_BLOCKS = 64

MAPS = ("stem", "layer1", "layer2", "layer3", "layer4")

# Blocks of each stage, and whether they are bottlenecks, by the number of layers (table
# 1; the smallest one is not in it).
PLANS: dict[int, tuple[tuple[int, ...], bool]] = {
    10: ((1, 1, 1, 1), False),
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
}


class ConvNorm(nn.Module):
    """A square convolution without bias and a batch normalisation.

    Attributes:
        features: channels of the result.
        kernel: side of the kernel, odd; there are half as many zeros on each side.
        stride: of both axes.
    """

    features: int
    kernel: int = 1
    stride: int = 1

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> jax.Array:
        """[N, H, W, I] to [N, H/stride, W/stride, features] float32, rounded up."""
        padding = self.kernel // 2
        # These convolutions take the precision of their context (see PRECISION).
        with jax.default_matmul_precision("highest"):
            x = Conv(self.features, self.kernel, self.stride, padding, name="conv")(x)
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            epsilon=1e-5,
            axis_name=axis_name if train else None,
            name="bn",
        )(x)


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
    def __call__(
        self, x: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> jax.Array:
        """[N, H, W, I] to [N, H/stride, W/stride, O] float32, rounded up."""
        how: dict[str, Any] = {"train": train, "axis_name": axis_name}
        if self.bottleneck:
            # DIFF(paper): the 3x3 convolution strides, not the first 1x1, as in all
            # published PyTorch weights ("ResNet v1.5").
            layers = [
                ConvNorm(self.width, name="conv1"),
                ConvNorm(self.width, 3, self.stride, name="conv2"),
                ConvNorm(4 * self.width, name="conv3"),
            ]
        else:
            layers = [
                ConvNorm(self.width, 3, self.stride, name="conv1"),
                ConvNorm(self.width, 3, name="conv2"),
            ]
        y = x
        for layer in layers[:-1]:
            y = nn.relu(layer(y, **how))
        y = layers[-1](y, **how)
        if self.project:
            channels = layers[-1].features
            around = ConvNorm(channels, stride=self.stride, name="downsample")
            x = around(x, **how)
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
        self,
        x: jax.Array,
        taps: Sequence[str] | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> dict[str, jax.Array]:
        """Computes features.

        Args:
            x: [N, H, W, 3] float32, normalised as the weights want it.
            taps: names of the wanted features; nothing behind the last one is
                computed. None means ``pool``, and ``logits`` where there are some.
            train: whether batch norm takes the batch's own statistics and collects
                them in ``batch_stats``.
            axis_name: the mapped axis over whose devices these statistics are taken;
                None for this device's pictures alone.

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
        how: dict[str, Any] = {"train": train, "axis_name": axis_name}
        x = found["stem"] = nn.relu(ConvNorm(self.width, 7, 2, name="stem")(x, **how))
        x = max_pool(x, 3, 2, 1)
        for s, name in list(enumerate(MAPS))[1 : last + 1]:
            x = found[name] = self._stage(s, x, how)
        if last >= 5:
            x = found["pool"] = mean_pool(x)
        if last >= 6:
            fc = nn.Dense(self.num_classes, precision=PRECISION, name="fc")
            found["logits"] = fc(x)
        return {tap: found[tap] for tap in wanted}

    def _stage(self, s: int, x: jax.Array, how: dict[str, Any]) -> jax.Array:
        for i in range(self.stages[s - 1]):
            first = i == 0
            block = Block(
                width=self.width << (s - 1),
                stride=2 if first and s > 1 else 1,
                bottleneck=self.bottleneck,
                project=first and (s > 1 or self.bottleneck),
                name=f"layer{s}_{i}",
            )
            x = block(x, **how)
        return x
