"""Convolutions whose derivatives are quick on every backend.

XLA differentiates a strided convolution into a dilated one, which a CPU runs through a
naive loop, some 200 times too slow. Here every strided convolution is one of the
operators in `ops.bilinear_convs`, or a plain convolution over blocks of pixels; wide
kernels from or to a picture are those of `ops.thin_convs`.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from stylegan_jax.ops import bilinear_convs, thin_convs

_NHWC = ("NHWC", "HWIO", "NHWC")


class Conv(nn.Module):
    """A square convolution with the parameters of ``flax.linen.Conv``.

    Attributes:
        features: channels of the result.
        kernel: its side.
        stride: of both axes.
        padding: zeros on each side.
        use_bias: whether a bias is added.
        kernel_init: draws a fresh kernel.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    use_bias: bool = False
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [N, H, W, I] to [N, h, w, features], in the precision of the context."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", self.kernel_init, shape)
        y = convolve(x, w, self.stride, self.padding)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros_init(), (self.features,))


def convolve(x: jax.Array, w: jax.Array, stride: int, padding: int) -> jax.Array:
    """Correlates pictures with a square kernel.

    Args:
        x: [N, H, W, I].
        w: [k, k, I, O].
        stride: of both axes.
        padding: zeros on each side.

    Returns:
        [N, h, w, O], h = (H + 2 padding - k) // stride + 1.
    """
    size = w.shape[0]
    if size == 1 and padding == 0:
        return jnp.einsum("nhwi,io->nhwo", x[:, ::stride, ::stride], w[0, 0])
    if (size, padding, stride) == (3, 1, 1):
        return bilinear_convs.same(x, w)
    if (size, padding, stride) == (3, 1, 2):
        # The operator takes odd sides, whose last row and column are used.
        sides = [(1, side % 2) for side in x.shape[1:3]]
        return bilinear_convs.down(jnp.pad(x, ((0, 0), *sides, (0, 0))), w)
    if stride > 1:
        return _by_blocks(x, w, stride, padding)
    if padding:
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return thin_convs.correlate(x, w)


def _by_blocks(x: jax.Array, w: jax.Array, stride: int, padding: int) -> jax.Array:
    """A strided convolution as a plain one over blocks of stride x stride pixels."""
    size = w.shape[0]
    taps = -(-size // stride)  # blocks that a kernel reaches over
    sides = [(side + 2 * padding - size) // stride + 1 for side in x.shape[1:3]]
    # Zeros behind the kernel meet what is beyond the last pixel that counts.
    behind = taps * stride - size
    w = jnp.pad(w, ((0, behind), (0, behind), (0, 0), (0, 0)))
    needed = [(side - 1 + taps) * stride for side in sides]
    pads = [
        (padding, max(need - length - padding, 0))
        for need, length in zip(needed, x.shape[1:3], strict=True)
    ]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))[:, : needed[0], : needed[1]]
    x = _blocks(x, stride)
    w = _blocks(w.transpose(3, 0, 1, 2), stride).transpose(1, 2, 3, 0)
    return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=_NHWC)


def _blocks(x: jax.Array, side: int) -> jax.Array:
    """[N, H, W, C] to [N, H/side, W/side, side*side*C]."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // side, side, width // side, side, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, height // side, width // side, side * side * channels)
