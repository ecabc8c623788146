"""A small identity network: MobileFaceNet with ArcFace's loss.

Chen et al. 2018, "MobileFaceNets" (arXiv:1804.07573), table 1, in the wider variant
that InsightFace publishes (``w600k_mbf.onnx``): twice the channels, grouped instead of
depthwise at the beginning, and a dense layer over the last map instead of a global
depthwise convolution. Its file has the normalisations inside the convolutions, which
therefore have biases; only the last normalisation is left.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.features.irse import PReLU
from stylegan_jax.models.features.layers import PRECISION, batch_norm, check_width
from stylegan_jax.types import check_shape

# Where ArcFace's square lies in a picture aligned as FFHQ, as shares of its side: the
# first column, the first row, and the length. It is the similarity without rotation
# that takes FFHQ's mean face to ArcFace's template, by least squares over five points:
# the centres of the eyes, the tip of the nose and the corners of the mouth.
# - Mean face, in pixels of 256 whose centres are whole numbers: (96.5, 121.5),
#   (159.0, 121.5), (127.4, 155.7), (98.7, 186.1), (157.0, 186.0), over 796 photos of
#   FFHQ; of dlib's 68 landmarks the means of 36-41 and 42-47, and 30, 48, 54.
# - Template, in pixels of 112: (38.29, 51.70), (73.53, 51.50), (56.03, 71.74),
#   (41.55, 92.37), (70.73, 92.20), as in ArcFace's program (Deng et al. 2019).
# - Result: factor 0.58531, shift (-18.727, -18.318). The best rotation would be 0.3
#   degrees, which moves no pixel of 112 by more than 0.5.
# A person's own landmarks would move the corners by 4 pixels of 112 in the median.
ALIGNED_LEFT, ALIGNED_TOP, ALIGNED_SIDE = 0.1236, 0.1209, 0.7475

# A damaged config must not make tracing slow or shapes overflow.
MAX_STAGES, MAX_UNITS, MAX_INPUT, MAX_EMBEDDING = 6, 64, 4096, 16384


class Unit(nn.Module):
    """An inverted residual unit (Sandler et al. 2018, figure 3d) with PReLUs.

    Attributes:
        features: channels that go out.
        inner: channels of the depthwise convolution.
        stride: 1 or 2.
        residual: whether the input is added.
    """

    features: int
    inner: int
    stride: int
    residual: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, H/stride, W/stride, features]."""
        y = _conv(self.inner, 1, name="expand")(x)
        y = PReLU(name="expand_prelu")(y)
        y = _conv(self.inner, 3, self.stride, groups=self.inner, name="depth")(y)
        y = PReLU(name="depth_prelu")(y)
        y = _conv(self.features, 1, name="project")(y)
        return x + y if self.residual else y


class MobileFaceNet(nn.Module):
    """The network of the file ``w600k_mbf.onnx`` and its relatives.

    Two pictures of one person have embeddings of a large scalar product.

    Attributes:
        input_size: side of the pictures.
        width: channels of the first two convolutions.
        stem_groups: groups of channels in the second one.
        stages: channels of each stage; a stage halves the picture.
        blocks: residual units of each stage, behind the unit that halves.
        halving: inner channels of the units that halve, by stage.
        inner: inner channels of the residual units, by stage.
        last: channels of the two convolutions behind the stages.
        embedding_dim: width of the embedding.
    """

    input_size: int = 112
    width: int = 128
    stem_groups: int = 64
    stages: tuple[int, ...] = (128, 256, 256)
    blocks: tuple[int, ...] = (4, 6, 2)
    halving: tuple[int, ...] = (128, 256, 512)
    inner: tuple[int, ...] = (128, 256, 256)
    last: tuple[int, ...] = (512, 64)
    embedding_dim: int = 512

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Embeds faces.

        Args:
            x: [N, input_size, input_size, 3] float32 in [-1, 1], cut out as ArcFace's
                pictures are; see `crop_aligned`.

        Returns:
            [N, embedding_dim] float32 of length 1.

        Raises:
            ValueError: pictures of another size, or no such network.
        """
        self._check()
        shape = (None, self.input_size, self.input_size, 3)
        check_shape(x, "x", shape, where="MobileFaceNet")
        x = PReLU(name="stem0_prelu")(_conv(self.width, 3, 2, name="stem0")(x))
        x = _conv(self.width, 3, groups=self.stem_groups, name="stem1")(x)
        x = PReLU(name="stem1_prelu")(x)
        plans = zip(self.stages, self.blocks, self.halving, self.inner, strict=True)
        for s, (features, blocks, halving, inner) in enumerate(plans):
            x = Unit(features, halving, 2, False, name=f"stage{s}_0")(x)
            for i in range(1, blocks + 1):
                x = Unit(features, inner, 1, True, name=f"stage{s}_{i}")(x)
        for i, features in enumerate(self.last):
            x = _conv(features, 1, name=f"last{i}")(x)
            x = PReLU(name=f"last{i}_prelu")(x)
        x = x.reshape(len(x), -1)  # [N,(H W C)]
        x = nn.Dense(self.embedding_dim, precision=PRECISION, name="dense")(x)
        x = batch_norm(1e-5, False, "bn")(x)
        return x / jnp.linalg.norm(x, axis=1, keepdims=True)

    def _check(self) -> None:
        """Raises `ValueError` unless the fields make a network."""
        for width in (*self.stages, *self.halving, *self.inner, *self.last, self.width):
            check_width(width, where="MobileFaceNet")
        number = len(self.stages)
        lengths = {len(self.blocks), len(self.halving), len(self.inner)}
        if not 1 <= number <= MAX_STAGES or lengths != {number} or len(self.last) != 2:
            raise ValueError(
                f"MobileFaceNet has 1 to {MAX_STAGES} stages, each with its blocks, "
                "halving and inner, and two last convolutions."
            )
        if max(self.blocks) > MAX_UNITS:
            raise ValueError(f"A stage of MobileFaceNet has up to {MAX_UNITS} blocks.")
        stride = 2 << number
        if not stride <= self.input_size <= MAX_INPUT or self.input_size % stride:
            raise ValueError(
                f"input_size={self.input_size} is no multiple of {stride} up to "
                f"{MAX_INPUT}."
            )
        if self.stem_groups < 1 or self.width % self.stem_groups:
            raise ValueError(
                f"stem_groups={self.stem_groups} does not divide width={self.width}."
            )
        if not 1 <= self.embedding_dim <= MAX_EMBEDDING:
            raise ValueError(
                f"embedding_dim={self.embedding_dim} is not from 1 to {MAX_EMBEDDING}."
            )


def crop_aligned(x: jax.Array, size: int = 112) -> jax.Array:
    """Cuts the face out of pictures aligned as FFHQ, as ArcFace's networks see it.

    The square is the same in every picture (`ALIGNED_LEFT` and so on say how it was
    found); its pixels are resampled with antialiasing.

    Args:
        x: [N, H, W, C] float32, H and W of any size.
        size: side of the result.

    Returns:
        [N, size, size, C] float32.
    """
    count, height, width, channels = x.shape
    scale = size / (ALIGNED_SIDE * jnp.asarray([height, width], jnp.float32))
    first = jnp.asarray([ALIGNED_TOP, ALIGNED_LEFT], jnp.float32)
    return jax.image.scale_and_translate(
        x.astype(jnp.float32),
        (count, size, size, channels),
        (1, 2),
        scale,
        -first * (size / ALIGNED_SIDE),
        method="linear",
        antialias=True,
        precision=PRECISION,
    )


def _conv(
    features: int, kernel: int, stride: int = 1, *, groups: int = 1, name: str
) -> nn.Conv:
    """A convolution with a bias that keeps the size, or halves it (rounded up)."""
    return nn.Conv(
        features,
        (kernel, kernel),
        (stride, stride),
        padding=kernel // 2,
        feature_group_count=groups,
        precision=PRECISION,
        name=name,
    )
