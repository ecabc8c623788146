"""Convolution with optional resampling by 2 (Karras et al. 2020, section 2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from stylegan_jax.ops import bilinear_convs
from stylegan_jax.ops.upfirdn2d import downsample2d, upfirdn2d, upsample2d
from stylegan_jax.types import Filter, check_shape


def conv2d(
    x: jax.Array,
    w: jax.Array,
    *,
    up: int = 1,
    down: int = 1,
    resample_filter: Filter = (),
) -> jax.Array:
    """Convolves with zero padding; halves or doubles the size through a filter.

    ``up=2`` is a transposed convolution, then the filter; ``down=2`` the filter, then a
    strided convolution; a 1x1 kernel runs at the smaller of the two sizes. Kernels are
    correlated, not flipped. Reverse-mode gradients of any order.

    Args:
        x: [N, H, W, I].
        w: [1, 1, I, O] or [3, 3, I, O], of x's dtype.
        up: 1 or 2.
        down: 1 or 2.
        resample_filter: taps with sum 1, needed where up or down is 2.

    Returns:
        [N, H*up/down, W*up/down, O], x's dtype.

    Raises:
        ValueError: for any other kernel size or factor, or an odd size with ``down=2``.
    """
    check_shape(x, "x", (None, None, None, w.shape[2]), where="conv2d")
    size = w.shape[0]
    if w.shape[:2] not in ((1, 1), (3, 3)) or (up, down) not in (
        (1, 1),
        (2, 1),
        (1, 2),
    ):
        raise ValueError(
            f"conv2d takes 1x1 and 3x3 kernels at up=2, down=2 or neither, got a "
            f"kernel of {w.shape[0]}x{w.shape[1]} with up={up}, down={down}."
        )
    if (up > 1 or down > 1) and not resample_filter:
        raise ValueError("conv2d with up=2 or down=2 needs a resample_filter.")
    if down == 2 and (x.shape[1] % 2 or x.shape[2] % 2):
        raise ValueError(f"conv2d with down=2 needs even sizes, got {x.shape[1:3]}.")
    if size == 1:
        return _pointwise(x, w, up, down, resample_filter)
    if up == 2:
        return upsample_after(bilinear_convs.up(x, w), resample_filter)
    if down == 2:
        before, after = 1 + (len(resample_filter) - 1) // 2, len(resample_filter) // 2
        padding = (before, after, before, after)
        return bilinear_convs.down(upfirdn2d(x, resample_filter, padding=padding), w)
    return bilinear_convs.same(x, w)


def upsample_after(y: jax.Array, resample_filter: Filter) -> jax.Array:
    """Low-pass filter behind a transposed 3x3 convolution: 2h+1 x 2w+1 to 2h x 2w."""
    length = len(resample_filter)
    before, after = (length + 1) // 2 - 1, (length - 2) // 2
    padding = (before, after, before, after)
    return upfirdn2d(y, resample_filter, padding=padding, gain=4.0)


def _pointwise(x, w, up, down, resample_filter):
    if down == 2:
        x = downsample2d(x, resample_filter)
    y = jnp.einsum("nhwi,io->nhwo", x, w[0, 0])
    return upsample2d(y, resample_filter) if up == 2 else y
