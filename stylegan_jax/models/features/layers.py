"""Layers and checks that the feature networks share."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

# Features are compared with numbers of other programs and with each other across
# accelerators, which would otherwise round the factors to bfloat16 or TF32.
PRECISION = jax.lax.Precision.HIGHEST

# A damaged config must not make tracing slow or shapes overflow.
MAX_WIDTH = 1024


class ConvNorm(nn.Module):
    """A convolution without bias and a batch normalisation.

    Attributes:
        features: channels of the result.
        kernel: (k, l).
        stride: of both axes.
        padding: zeros on each side of (H, W).
        eps: added to the variance.
        use_scale: whether the normalisation has a factor besides its offset.
    """

    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    eps: float = 1e-5
    use_scale: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[N, H, W, I] to [N, h, w, features] float32.

        With ``train`` the batch's own statistics are used, and the collection
        ``batch_stats`` must be mutable.
        """
        vertical, horizontal = self.padding
        x = nn.Conv(
            self.features,
            self.kernel,
            (self.stride, self.stride),
            padding=((vertical, vertical), (horizontal, horizontal)),
            use_bias=False,
            precision=PRECISION,
            name="conv",
        )(x)
        return batch_norm(self.eps, train, "bn", use_scale=self.use_scale)(x)


def batch_norm(
    eps: float, train: bool, name: str, *, use_scale: bool = True
) -> nn.BatchNorm:
    """Batch normalisation whose running statistics move by a tenth, as PyTorch's."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=eps,
        use_scale=use_scale,
        name=name,
    )


def max_pool(x: jax.Array, size: int, stride: int, padding: int = 0) -> jax.Array:
    """Maxima over windows; what hangs over the border is left out."""
    return nn.max_pool(
        x, (size, size), (stride, stride), padding=((padding, padding),) * 2
    )


def mean_pool(x: jax.Array) -> jax.Array:
    """[N, H, W, C] to the means [N, C]."""
    return jnp.mean(x, (1, 2))


def check_taps(taps: Sequence[str], known: Sequence[str], *, where: str) -> None:
    """Raises `ValueError` unless every name is one of the known ones."""
    unknown = [name for name in taps if name not in known]
    if unknown or not taps:
        raise ValueError(
            f"{where} has no features {', '.join(unknown) or 'without a name'}: choose "
            f"from {', '.join(known)}."
        )


def check_width(width: int, *, where: str) -> None:
    """Raises `ValueError` unless a network can be that wide."""
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"{where} has a width from 1 to {MAX_WIDTH}, got {width}.")
