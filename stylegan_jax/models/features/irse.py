"""Identity networks: residual networks "IR" with squeeze and excitation.

The body is that of ArcFace (Deng et al. 2019, arXiv:1801.07698, section 3.1) with the
gates of Hu et al. 2018 (arXiv:1709.01507). pSp's encoders have the same body.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models.features.convs import Conv
from stylegan_jax.types import check_shape

# Residual units in each of the four stages, by the number in the network's name.
STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    152: (3, 8, 36, 3),
}
MODES = ("ir_se", "ir")
# The gates look at the channels through a layer narrower by this.
SE_REDUCTION = 16
# The four stages halve the picture four times.
TOTAL_STRIDE = 16

# A field may come from a damaged file: shapes must not overflow.
MAX_WIDTH, MAX_INPUT, MAX_EMBEDDING = 1024, 4096, 16384

# What a face aligned as FFHQ shows of the person, of 256 rows and columns.
ALIGNED_SIZE = 256
ALIGNED_ROWS = (35, 223)
ALIGNED_COLUMNS = (32, 220)

_HIGHEST = jax.lax.Precision.HIGHEST
# torch's BatchNorm: eps 1e-5, and momentum 0.1 of the new value is 0.9 of the old.
_batch_norm = partial(nn.BatchNorm, epsilon=1e-5, momentum=0.9)


class UnitPlan(NamedTuple):
    """One residual unit: its channels and its stride.

    Attributes:
        inputs: channels that come in.
        features: channels that go out.
        stride: 2 in the first unit of a stage, else 1.
    """

    inputs: int
    features: int
    stride: int


def plan_units(num_layers: int, width: int) -> list[UnitPlan]:
    """The residual units of a network, in order.

    Args:
        num_layers: one of `STAGES`.
        width: channels of the first stage; each further stage has twice as many.

    Raises:
        ValueError: no such number of layers or channels.
    """
    if num_layers not in STAGES:
        raise ValueError(
            f"No IR network has num_layers={num_layers}, choose from "
            f"{', '.join(map(str, STAGES))}."
        )
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"width={width} is not from 1 to {MAX_WIDTH}.")
    plans, inputs = [], width
    for stage, number in enumerate(STAGES[num_layers]):
        for k in range(number):
            plans.append(UnitPlan(inputs, width << stage, 2 if k == 0 else 1))
            inputs = width << stage
    return plans


def stage_ends(num_layers: int) -> list[int]:
    """The numbers of the last units of the four stages."""
    return [sum(STAGES[num_layers][: k + 1]) - 1 for k in range(4)]


class PReLU(nn.Module):
    """max(x, 0) + slope * min(x, 0) with a learned slope for every channel."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., C] to [..., C]."""
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return jnp.maximum(x, 0) + slope * jnp.minimum(x, 0)


class Gate(nn.Module):
    """Squeeze and excitation: channels scaled by what the whole picture says."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, C] to [N, H, W, C]."""
        channels = x.shape[-1]
        dense = partial(nn.Dense, use_bias=False)
        y = dense(max(1, channels // SE_REDUCTION), name="reduce")(x.mean((1, 2)))
        y = dense(channels, name="expand")(nn.relu(y))
        return x * nn.sigmoid(y)[:, None, None, :]


class Unit(nn.Module):
    """A residual unit.

    Attributes:
        features: channels that go out.
        stride: 1 or 2.
        gated: whether the residual goes through a gate.
    """

    features: int
    stride: int
    gated: bool

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> jax.Array:
        """Maps [N, H, W, I] to [N, ceil(H/stride), ceil(W/stride), features]."""
        norm = partial(_batch_norm, use_running_average=not train, axis_name=axis_name)
        y = norm(name="bn0")(x)
        y = Conv(self.features, name="conv0")(y)
        y = PReLU(name="prelu")(y)
        y = Conv(self.features, stride=self.stride, name="conv1")(y)
        y = norm(name="bn1")(y)
        if self.gated:
            y = Gate(name="se")(y)
        if x.shape[-1] == self.features:
            return y + x[:, :: self.stride, :: self.stride]
        x = Conv(self.features, 1, self.stride, 0, name="shortcut_conv")(x)
        return y + norm(name="shortcut_bn")(x)


class Backbone(nn.Module):
    """The convolutional body: an input layer and four stages.

    Attributes:
        num_layers: one of `STAGES`.
        mode: ``ir_se`` with gates, ``ir`` without.
        width: channels of the first stage.
    """

    num_layers: int = 50
    mode: str = "ir_se"
    width: int = 64

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Runs the body.

        Args:
            x: [N, H, W, I] float32 in [-1, 1].
            train: whether batch norm takes the batch's own statistics and collects
                them in ``batch_stats``.
            axis_name: the mapped axis (of ``shard_map`` or ``pmap``) over whose devices
                these statistics are taken; None for this device's pictures alone.

        Returns:
            The features after each stage: [N, H/2, W/2, width], [N, H/4, W/4, 2*width],
            [N, H/8, W/8, 4*width] and [N, H/16, W/16, 8*width], sides rounded up.

        Raises:
            ValueError: no such network.
        """
        plans = plan_units(self.num_layers, self.width)
        if self.mode not in MODES:
            raise ValueError(
                f"Unknown mode '{self.mode}', choose from {', '.join(MODES)}."
            )
        x = Conv(self.width, name="input_conv")(x)
        norm = partial(_batch_norm, use_running_average=not train, axis_name=axis_name)
        x = norm(name="input_bn")(x)
        x = PReLU(name="input_prelu")(x)
        ends = []
        for i, plan in enumerate(plans):
            gated = self.mode == "ir_se"
            unit = Unit(plan.features, plan.stride, gated, name=f"unit{i}")
            x = unit(x, train=train, axis_name=axis_name)
            if i in stage_ends(self.num_layers):
                ends.append(x)
        first, second, third, fourth = ends
        return first, second, third, fourth


class IRSE(nn.Module):
    """The identity network of the file ``model_ir_se50.pth`` and its relatives.

    Two pictures of one person have embeddings of a large scalar product. The dropout
    that its training had before the dense layer is left out.

    Attributes:
        num_layers: 18, 34, 50, 100 or 152.
        mode: ``ir_se`` with gates, ``ir`` without.
        width: channels of the first stage; 64 in the published networks.
        input_size: side of the pictures: 112, or 224.
        embedding_dim: width of the embedding; 512 in the published networks.
        affine: whether the last batch norm has a scale and a bias.
    """

    num_layers: int = 50
    mode: str = "ir_se"
    width: int = 64
    input_size: int = 112
    embedding_dim: int = 512
    affine: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Embeds faces.

        Args:
            x: [N, input_size, input_size, 3] float32 in [-1, 1].
            train: whether batch norm takes the batch's own statistics.

        Returns:
            [N, embedding_dim] float32 of length 1.

        Raises:
            ValueError: pictures of another size, or no such network.
        """
        in_range = TOTAL_STRIDE <= self.input_size <= MAX_INPUT
        if not in_range or self.input_size % TOTAL_STRIDE:
            raise ValueError(
                f"input_size={self.input_size} is no multiple of {TOTAL_STRIDE} up to "
                f"{MAX_INPUT}."
            )
        if not 1 <= self.embedding_dim <= MAX_EMBEDDING:
            raise ValueError(
                f"embedding_dim={self.embedding_dim} is not from 1 to {MAX_EMBEDDING}."
            )
        shape = (None, self.input_size, self.input_size, 3)
        check_shape(x, "x", shape, where="IRSE")
        norm = partial(_batch_norm, use_running_average=not train)
        backbone = Backbone(self.num_layers, self.mode, self.width, name="backbone")
        # Embeddings are compared across machines: no accelerator may round factors.
        with jax.default_matmul_precision("highest"):
            x = backbone(x, train=train)[-1]
        x = norm(name="bn0")(x)
        x = x.reshape(len(x), -1)  # [N,(H W C)]
        x = nn.Dense(self.embedding_dim, precision=_HIGHEST, name="dense")(x)
        x = norm(use_scale=self.affine, use_bias=self.affine, name="bn1")(x)
        return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def adaptive_average_pool(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Averages a picture down (or repeats it up) to any size.

    Cell i of n covers the input from floor(i*H/n) to ceil((i+1)*H/n), so cells overlap
    where the sizes do not divide; this is PyTorch's adaptive average pooling.

    Args:
        x: [N, H, W, C] float32.
        size: (h, w) of the result.

    Returns:
        [N, h, w, C] float32.
    """
    rows = jnp.asarray(_cells(x.shape[1], size[0]))
    columns = jnp.asarray(_cells(x.shape[2], size[1]))
    return jnp.einsum("hH,wW,NHWC->NhwC", rows, columns, x, precision=_HIGHEST)


def _cells(length: int, cells: int) -> np.ndarray:
    """The averaging matrix [cells, length] of one axis, float32."""
    matrix = np.zeros((cells, length), np.float32)
    for i in range(cells):
        start, stop = i * length // cells, math.ceil((i + 1) * length / cells)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def crop_aligned(x: jax.Array, size: int = 112) -> jax.Array:
    """Cuts the face out of pictures aligned as FFHQ, as pSp's identity loss does.

    Args:
        x: [N, H, W, C] float32, H and W of any size.
        size: side of the result.

    Returns:
        [N, size, size, C] float32.
    """
    if x.shape[1:3] != (ALIGNED_SIZE, ALIGNED_SIZE):
        x = adaptive_average_pool(x, (ALIGNED_SIZE, ALIGNED_SIZE))
    x = x[:, slice(*ALIGNED_ROWS), slice(*ALIGNED_COLUMNS)]
    return adaptive_average_pool(x, (size, size))
