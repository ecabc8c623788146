"""Inception v3 as FID uses it (Szegedy et al. 2016; Heusel et al. 2017).

The network of 2015 that TensorFlow users downloaded differs from later ones of the same
name: means over 3x3 windows leave the padding of the border out of the count, and the
last block pools maxima instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.features.layers import (
    PRECISION,
    ConvNorm,
    check_taps,
    max_pool,
    mean_pool,
)

# Side that the network was trained with, and that below which nothing is left.
SIZE = 299
SMALLEST = 75

# Features in the order of computation, by the published names.
MAPS = (
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
    "Mixed_5b",
    "Mixed_5c",
    "Mixed_5d",
    "Mixed_6a",
    "Mixed_6b",
    "Mixed_6c",
    "Mixed_6d",
    "Mixed_6e",
    "Mixed_7a",
    "Mixed_7b",
    "Mixed_7c",
)

# TensorFlow's default.
_EPS = 1e-3


def mean3(x: jax.Array) -> jax.Array:
    """Means of 3x3 neighbourhoods, of as many pixels as the picture has there."""
    return nn.avg_pool(
        x, (3, 3), (1, 1), padding=((1, 1), (1, 1)), count_include_pad=False
    )


class Mixed(nn.Module):
    """What the blocks have in common: convolutions under a name, a pooled branch.

    Attributes:
        use_scale: whether the normalisations have factors.
    """

    use_scale: bool

    def conv(
        self,
        x: jax.Array,
        name: str,
        features: int,
        kernel: tuple[int, int] = (1, 1),
        *,
        train: bool,
        stride: int = 1,
        same: bool = True,
    ) -> jax.Array:
        """A convolution, its normalisation and a ReLU; ``same`` keeps the size."""
        padding = (kernel[0] // 2, kernel[1] // 2) if same else (0, 0)
        layer = ConvNorm(
            features, kernel, stride, padding, _EPS, self.use_scale, name=name
        )
        return nn.relu(layer(x, train=train))

    def chain(
        self,
        x: jax.Array,
        name: str,
        layers: Sequence[tuple[int, tuple[int, int]]],
        *,
        train: bool,
        reduce: bool = False,
    ) -> jax.Array:
        """Convolutions ``<name>_1``, ``<name>_2`` …; ``reduce`` halves in the last."""
        for i, (features, kernel) in enumerate(layers, 1):
            shrinks = reduce and i == len(layers)
            x = self.conv(
                x,
                f"{name}_{i}",
                features,
                kernel,
                train=train,
                stride=2 if shrinks else 1,
                same=not shrinks,
            )
        return x


class Mixed5(Mixed):
    """Blocks at 35x35: 1x1, 5x5, two 3x3, pooled.

    Attributes:
        pooled: channels of the pooled branch.
    """

    pooled: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[N, H, W, I] to [N, H, W, 224 + pooled]."""
        branches = [
            self.conv(x, "branch1x1", 64, train=train),
            self.chain(x, "branch5x5", [(48, (1, 1)), (64, (5, 5))], train=train),
            self.chain(
                x,
                "branch3x3dbl",
                [(64, (1, 1)), (96, (3, 3)), (96, (3, 3))],
                train=train,
            ),
            self.conv(mean3(x), "branch_pool", self.pooled, train=train),
        ]
        return jnp.concatenate(branches, 3)


class Reduce6(Mixed):
    """From 35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[N, H, W, I] to [N, (H-1)/2, (W-1)/2, I + 480]."""
        double = [(64, (1, 1)), (96, (3, 3)), (96, (3, 3))]
        branches = [
            self.conv(x, "branch3x3", 384, (3, 3), train=train, stride=2, same=False),
            self.chain(x, "branch3x3dbl", double, train=train, reduce=True),
            max_pool(x, 3, 2),
        ]
        return jnp.concatenate(branches, 3)


class Mixed6(Mixed):
    """Blocks at 17x17: 1x1, 7x7 as rows and columns, twice that, pooled.

    Attributes:
        inner: channels between the 7-wide convolutions.
    """

    inner: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[N, H, W, I] to [N, H, W, 768]."""
        c, row, column = self.inner, (1, 7), (7, 1)
        single = [(c, (1, 1)), (c, row), (192, column)]
        double = [(c, (1, 1)), (c, column), (c, row), (c, column), (192, row)]
        branches = [
            self.conv(x, "branch1x1", 192, train=train),
            self.chain(x, "branch7x7", single, train=train),
            self.chain(x, "branch7x7dbl", double, train=train),
            self.conv(mean3(x), "branch_pool", 192, train=train),
        ]
        return jnp.concatenate(branches, 3)


class Reduce7(Mixed):
    """From 17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[N, H, W, I] to [N, (H-1)/2, (W-1)/2, I + 512]."""
        seven = [(192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3))]
        three = [(192, (1, 1)), (320, (3, 3))]
        branches = [
            self.chain(x, "branch3x3", three, train=train, reduce=True),
            self.chain(x, "branch7x7x3", seven, train=train, reduce=True),
            max_pool(x, 3, 2),
        ]
        return jnp.concatenate(branches, 3)


class Mixed7(Mixed):
    """Blocks at 8x8, whose branches end in a row and a column side by side.

    Attributes:
        pools_maxima: whether the pooled branch takes maxima; else means.
    """

    pools_maxima: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[N, H, W, I] to [N, H, W, 2048]."""
        single = self.conv(x, "branch3x3_1", 384, train=train)
        double = self.chain(
            x, "branch3x3dbl", [(448, (1, 1)), (384, (3, 3))], train=train
        )
        pooled = max_pool(x, 3, 1, 1) if self.pools_maxima else mean3(x)
        branches = [
            self.conv(x, "branch1x1", 320, train=train),
            self.conv(single, "branch3x3_2a", 384, (1, 3), train=train),
            self.conv(single, "branch3x3_2b", 384, (3, 1), train=train),
            self.conv(double, "branch3x3dbl_3a", 384, (1, 3), train=train),
            self.conv(double, "branch3x3dbl_3b", 384, (3, 1), train=train),
            self.conv(pooled, "branch_pool", 192, train=train),
        ]
        return jnp.concatenate(branches, 3)


class InceptionV3(Mixed, kw_only=True):
    """Inception v3 of 2015-12-05, whose ``pool3`` is what FID compares.

    Features are the maps in `MAPS`, ``pool3`` [N, 2048], and ``logits`` where there are
    some.

    Attributes:
        num_classes: width of the last dense layer, 1008 in the published network; 0
            leaves it out.
        use_scale: whether the normalisations have factors; TensorFlow's have none,
            PyTorch's translation has ones.
    """

    num_classes: int = 0
    use_scale: bool = True

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all features, from the image up."""
        return (*MAPS, "pool3", *(("logits",) if self.num_classes else ()))

    @nn.compact
    def __call__(
        self, x: jax.Array, taps: Sequence[str] | None = None, *, train: bool = False
    ) -> dict[str, jax.Array]:
        """Computes features.

        Args:
            x: [N, H, W, 3] float32 in [-1, 1]; 299x299 as trained, at least 75x75.
            taps: names of the wanted features; nothing behind the last one is
                computed. None means ``pool3``, and ``logits`` where there are some.
            train: whether batch statistics are the batch's own.

        Returns:
            The wanted features by name.

        Raises:
            ValueError: an unknown name.
        """
        wanted = self.taps[len(MAPS) :] if taps is None else tuple(taps)
        check_taps(wanted, self.taps, where="InceptionV3")
        # All parameters have to be made, whatever is wanted of them.
        last = len(self.taps) - 1
        if not self.is_initializing():
            last = max(map(self.taps.index, wanted))
        found: dict[str, jax.Array] = {}
        for name in MAPS[: last + 1]:
            x = found[name] = self._map(name, x, train)
        if last >= len(MAPS):
            x = found["pool3"] = mean_pool(x)
        if last > len(MAPS):
            fc = nn.Dense(self.num_classes, precision=PRECISION, name="fc")
            found["logits"] = fc(x)
        return {tap: found[tap] for tap in wanted}

    def _map(self, name: str, x: jax.Array, train: bool) -> jax.Array:
        """One map from the one before it; poolings stand before the maps they feed."""
        if name in _STEM:
            features, kernel, stride, same, pooled = _STEM[name]
            x = max_pool(x, 3, 2) if pooled else x
            return self.conv(
                x,
                name,
                features,
                (kernel, kernel),
                train=train,
                stride=stride,
                same=same,
            )
        if name == "Mixed_5b":
            x = max_pool(x, 3, 2)
        block: nn.Module
        if name in _POOLED:
            block = Mixed5(self.use_scale, _POOLED[name], name=name)
        elif name in _INNER:
            block = Mixed6(self.use_scale, _INNER[name], name=name)
        elif name == "Mixed_6a":
            block = Reduce6(self.use_scale, name=name)
        elif name == "Mixed_7a":
            block = Reduce7(self.use_scale, name=name)
        else:
            block = Mixed7(self.use_scale, name == "Mixed_7c", name=name)
        return block(x, train=train)


# Channels, kernel, stride, whether the size is kept, whether a pooling stands before.
_STEM = {
    "Conv2d_1a_3x3": (32, 3, 2, False, False),
    "Conv2d_2a_3x3": (32, 3, 1, False, False),
    "Conv2d_2b_3x3": (64, 3, 1, True, False),
    "Conv2d_3b_1x1": (80, 1, 1, True, True),
    "Conv2d_4a_3x3": (192, 3, 1, False, False),
}
_POOLED = {"Mixed_5b": 32, "Mixed_5c": 64, "Mixed_5d": 64}
_INNER = {"Mixed_6b": 128, "Mixed_6c": 160, "Mixed_6d": 160, "Mixed_6e": 192}
