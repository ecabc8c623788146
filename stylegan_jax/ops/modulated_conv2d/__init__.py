"""Style-modulated convolution with everything that follows it in a synthesis layer."""

from __future__ import annotations

from typing import Literal

import jax

from stylegan_jax.ops.modulated_conv2d import implementations
from stylegan_jax.ops.modulated_conv2d.implementations import explain
from stylegan_jax.types import Filter, check_shape

__all__ = ["explain", "modulated_conv2d"]


def modulated_conv2d(
    x: jax.Array,
    w: jax.Array,
    styles: jax.Array,
    *,
    demodulate: bool = True,
    up: int = 1,
    resample_filter: Filter = (),
    noise: jax.Array | None = None,
    bias: jax.Array | None = None,
    act: str = "linear",
    gain: float = 1.0,
    clamp: float | None = None,
    implementation: Literal["xla", "pallas_tpu", "pallas_gpu"] | None = None,
) -> jax.Array:
    """Modulated convolution (Karras et al. 2020, Eq. 1 and 3) and its epilogue.

    Equivalent to convolving image n with its own kernel
    ``w'[k,l,i,o] = w[k,l,i,o] * styles[n,i]``, divided by its norm over (k,l,i) where
    ``demodulate``, followed by ``clip(act(y + noise + bias) * gain)``. Computed as
    scale, shared convolution, scale back: no kernel per image is ever formed. Gradients
    of any order in reverse mode.

    Args:
        x: [N, H, W, I], float32, bfloat16 or float16; the result has the same dtype.
        w: [k, k, I, O] float32, k 1 or 3.
        styles: [N, I] float32.
        demodulate: divide by the norm of the modulated kernel.
        up: 1 or 2.
        resample_filter: taps with sum 1, needed where ``up`` is 2.
        noise: broadcastable to [N, H', W', 1], added before the bias; None for none.
        bias: [O] or None.
        act: see ``bias_act``.
        gain: factor behind the activation.
        clamp: bound of the absolute value of the result, None for none.
        implementation: None takes for each platform what ``table`` says for the shape
            (``explain`` tells). A kernel that is named here and lowered for another
            platform is interpreted: the same numbers, slowly.

    Returns:
        [N, H*up, W*up, O].

    Raises:
        ValueError: for shapes that do not fit together, or an unknown implementation.
        NotImplementedError: with the reason, when the named kernel cannot serve.
    """
    check_shape(x, "x", (None, None, None, None), where="modulated_conv2d")
    n, inputs = x.shape[0], x.shape[3]
    check_shape(w, "w", (None, None, inputs, None), where="modulated_conv2d")
    check_shape(styles, "styles", (n, inputs), where="modulated_conv2d")
    if bias is not None:
        check_shape(bias, "bias", (w.shape[3],), where="modulated_conv2d")
    options = implementations.Options(
        demodulate, up, tuple(resample_filter), act, gain, clamp
    )
    return implementations.call(x, w, styles, noise, bias, options, implementation)
