"""Pure array operators: NHWC in, NHWC out, differentiable at least twice."""

from stylegan_jax.ops.bias_act import bias_act
from stylegan_jax.ops.conv2d import conv2d
from stylegan_jax.ops.filters import make_filter
from stylegan_jax.ops.modulated_conv2d import modulated_conv2d
from stylegan_jax.ops.upfirdn2d import downsample2d, filter2d, upfirdn2d, upsample2d

__all__ = [
    "bias_act",
    "conv2d",
    "downsample2d",
    "filter2d",
    "make_filter",
    "modulated_conv2d",
    "upfirdn2d",
    "upsample2d",
]
