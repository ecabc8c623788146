"""What a kernel is asked to do, in shapes and static values alone."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import lax

from stylegan_jax.types import Filter


@dataclasses.dataclass(frozen=True)
class Epilogue:
    """What follows the sum over taps: ``clip(act(y) * gain, -clamp, clamp)``."""

    act: str = "linear"
    gain: float = 1.0
    clamp: float | None = None

    def __call__(self, y: jax.Array) -> jax.Array:
        """Applies it to any array; only "linear" and "lrelu" get here."""
        if self.act == "lrelu":
            y = jnp.maximum(y, 0.2 * y)
        if self.gain != 1.0:
            y = y * self.gain
        if self.clamp is not None:
            y = jnp.clip(y, -self.clamp, self.clamp)
        return y


@dataclasses.dataclass(frozen=True)
class Problem:
    """One call of a fused kernel.

    The kernel computes ``epilogue(conv(x * s) * d + noise + bias)`` with s [N, I] and
    d [N, O] given, whatever they come from.

    Attributes:
        x: (N, H, W, I).
        w: (k, k, I, O).
        dtype: of x, of the products and of the result; sums are float32.
        up: 1 or 2.
        taps: low-pass taps where ``up`` is 2, else empty.
        epilogue: activation, gain and clamp.
        noise: whether noise is added.
    """

    x: tuple[int, ...]
    w: tuple[int, ...]
    dtype: str
    up: int
    taps: Filter
    epilogue: Epilogue
    noise: bool

    @property
    def y(self) -> tuple[int, int, int, int]:
        """(N, H*up, W*up, O)."""
        n, height, width, _ = self.x
        return n, height * self.up, width * self.up, self.w[3]

    @property
    def itemsize(self) -> int:
        """Bytes of one activation."""
        return jnp.dtype(self.dtype).itemsize

    @property
    def flops(self) -> int:
        """2 N H W k k I O, counted at the smaller size where ``up`` is 2."""
        n, height, width, _ = self.x
        return 2 * n * height * width * math.prod(self.w)

    @property
    def floor_bytes(self) -> int:
        """Bytes of x, of the result and of the weights as the kernel takes them."""
        return self.itemsize * (
            math.prod(self.x) + math.prod(self.y) + math.prod(self.w)
        )

    def refuse(self) -> None:
        """Raises ``NotImplementedError`` for what no fused kernel computes."""
        if self.epilogue.act not in ("linear", "lrelu"):
            raise NotImplementedError(f"activation {self.epilogue.act}")
        if not self.epilogue.gain > 0:
            raise NotImplementedError(f"gain {self.epilogue.gain}")
        if self.w[:2] not in ((1, 1), (3, 3)):
            raise NotImplementedError(f"a kernel of {self.w[0]}x{self.w[1]}")
        if max(math.prod(self.x), math.prod(self.y)) >= 2**31:
            raise NotImplementedError("2^31 elements or more")
        if self.w[0] == 1 and self.up == 2:
            raise NotImplementedError("1x1 kernels that upsample")
        if self.up == 2 and len(self.taps) != 4:
            raise NotImplementedError(f"{len(self.taps)} filter taps instead of 4")


def phase_taps(taps: Filter) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """A transposed convolution and its filter along one axis: [phase, shift, tap].

    Sample 2i + q of the result is the sum over shifts a of x[i+a-1], times the sum over
    the kernel's taps k of w[k] times entry (q, a, k). The transposed convolution gives
    x[i] w0 + x[i-1] w2 at 2i and x[i] w1 at 2i+1; the filter sums four of these.
    """
    f0, f1, f2, f3 = correlated(taps)
    even = ((0.0, f0, f1), (f1, f2, f3), (f3, 0.0, 0.0))
    odd = ((0.0, 0.0, f0), (f0, f1, f2), (f2, f3, 0.0))
    return even, odd


def correlated(taps: Filter) -> tuple[float, ...]:
    """The filter along one axis as it is correlated, with the gain of 2 for zeros."""
    return tuple(2.0 * t for t in reversed(taps))


def precision(dtype: str) -> lax.Precision:
    """Of a kernel's products: what XLA's convolutions have on the backend.

    ``jax_default_matmul_precision`` decides for both where the operands are float32.
    Unset, that is one bfloat16 pass on a TPU and TF32 on a GPU; "highest" is float32
    (six passes on a TPU). Kernels' compilers know these two.
    """
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    quick = (None, "default", "fastest", "bfloat16", "BF16_BF16_F32")
    exact = dtype == "float32" and asked not in quick
    return lax.Precision.HIGHEST if exact else lax.Precision.DEFAULT


def like(x: jax.Array, shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    """A result of x's dtype, varying over the same mesh axes, as shard_map asks."""
    varies = jax.typeof(x).manual_axis_type
    return jax.ShapeDtypeStruct(shape, x.dtype, manual_axis_type=varies)
