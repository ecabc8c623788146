"""Layers with equalised learning rate (Karras et al. 2018, section 4.1)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.ops import bias_act, conv2d
from stylegan_jax.ops.bias_act import activation_gain
from stylegan_jax.types import Filter

# Names what goes from block to block, for `jax.checkpoint`'s policies.
BLOCK_OUTPUT = "block_output"
DTYPES = {
    "float32": jnp.float32,
    "bfloat16": jnp.bfloat16,
    "float16": jnp.float16,
}


def channels_at(resolution: int, channel_base: int, channel_max: int) -> int:
    """Feature channels at a nominal resolution (4, 8, ...)."""
    return max(1, min(channel_base // resolution, channel_max))


def block_dtype(index: int, num_blocks: int, dtype: str, low_blocks: int):
    """Compute dtype of block ``index`` (0 is 4x4): ``dtype`` in the topmost blocks.

    The 4x4 block always computes in float32, as in NVIDIA's networks.
    """
    if dtype not in DTYPES:
        raise ValueError(f"Unknown dtype '{dtype}', choose from {', '.join(DTYPES)}.")
    low = index >= max(num_blocks - low_blocks, 1)
    return DTYPES[dtype] if low else jnp.float32


def normalize_second_moment(x: jax.Array) -> jax.Array:
    """Scales each row of [N, D] to unit mean square ("pixel norm"), in float32."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), 1, keepdims=True) + 1e-8)


def normal_init(scale: float = 1.0):
    """Normal initialiser; the equalised gain is applied at run time."""

    def init(key, shape, dtype=jnp.float32):
        return jax.random.normal(key, shape, dtype) * scale

    return init


class Dense(nn.Module):
    """Fully connected layer with equalised learning rate.

    Attributes:
        features: width of the output.
        act: activation, see ``ops.bias_act``.
        lr_multiplier: scale of the learning rate of weight and bias.
        bias_init: initial value of the bias.
    """

    features: int
    act: str = "linear"
    lr_multiplier: float = 1.0
    bias_init: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, in] to [N, features], float32."""
        shape = (x.shape[1], self.features)
        weight = self.param("weight", normal_init(1.0 / self.lr_multiplier), shape)
        bias = self.param(
            "bias", nn.initializers.constant(self.bias_init), (self.features,)
        )
        gain = self.lr_multiplier / x.shape[1] ** 0.5
        y = x.astype(jnp.float32) @ (weight * gain)
        return bias_act(y, bias * self.lr_multiplier, act=self.act)


class Conv(nn.Module):
    """Convolution with equalised learning rate, optional resampling, bias, activation.

    Attributes:
        features: output channels.
        kernel: 1 or 3.
        act: activation, see ``ops.bias_act``.
        use_bias: whether there is a bias.
        up: 1 or 2.
        down: 1 or 2.
        resample_filter: low-pass filter, needed where up or down is 2.
        conv_clamp: bound of the result's absolute value; None leaves it unbounded.
    """

    features: int
    kernel: int
    act: str = "lrelu"
    use_bias: bool = True
    up: int = 1
    down: int = 1
    resample_filter: Filter = ()
    conv_clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, gain: float = 1.0) -> jax.Array:
        """Maps [N, H, W, I] to [N, H*up/down, W*up/down, features], x's dtype."""
        inputs = x.shape[3]
        shape = (self.kernel, self.kernel, inputs, self.features)
        weight = self.param("weight", normal_init(), shape)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
        weight_gain = 1.0 / (inputs * self.kernel**2) ** 0.5
        y = conv2d(
            x,
            (weight * weight_gain).astype(x.dtype),
            up=self.up,
            down=self.down,
            resample_filter=self.resample_filter,
        )
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        gain = activation_gain(self.act) * gain
        return bias_act(y, bias, act=self.act, gain=gain, clamp=clamp)
