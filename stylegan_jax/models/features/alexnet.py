"""AlexNet's convolutions in the one-tower form (Krizhevsky 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax

from stylegan_jax.models.features.convs import Conv
from stylegan_jax.models.features.layers import (
    PRECISION,
    check_taps,
    check_width,
    max_pool,
)

# Side below which nothing is left for the last convolutions, in pixels.
SMALLEST = 31


class AlexConv(NamedTuple):
    """One convolution of AlexNet.

    Attributes:
        number: from 1.
        place: its number in torchvision's list, where ReLUs and poolings count too.
        multiple: channels, as a multiple of the first convolution's.
        kernel: side of the kernel.
        stride: of both axes.
        padding: zeros on each side.
        pooled: whether a pooling stands before it.
    """

    number: int
    place: int
    multiple: int
    kernel: int
    stride: int
    padding: int
    pooled: bool


CONVS = (
    AlexConv(1, 0, 1, 11, 4, 2, False),
    AlexConv(2, 3, 3, 5, 1, 2, True),
    AlexConv(3, 6, 6, 3, 1, 1, True),
    AlexConv(4, 8, 4, 3, 1, 1, False),
    AlexConv(5, 10, 4, 3, 1, 1, False),
)


class AlexNet(nn.Module):
    """The five convolutions of AlexNet; the dense layers are left out.

    Features are ``conv1`` … ``conv5`` before and ``relu1`` … ``relu5`` behind the ReLU.

    Attributes:
        width: channels of the first convolution.
    """

    width: int = 64

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all features, from the image up."""
        return tuple(f"{kind}{c.number}" for c in CONVS for kind in ("conv", "relu"))

    @nn.compact
    def __call__(
        self, x: jax.Array, taps: Sequence[str] | None = None
    ) -> dict[str, jax.Array]:
        """Computes features.

        Args:
            x: [N, H, W, 3] float32, normalised as the weights want it; H and W at
                least 31.
            taps: names of the wanted features; nothing behind the last one is
                computed. None means the last one.

        Returns:
            The wanted features by name, [N, h, w, C].

        Raises:
            ValueError: an unknown name or an impossible width.
        """
        check_width(self.width, where="AlexNet")
        wanted = self.taps[-1:] if taps is None else tuple(taps)
        check_taps(wanted, self.taps, where="AlexNet")
        found: dict[str, jax.Array] = {}
        for conv in CONVS:
            if conv.pooled:
                x = max_pool(x, 3, 2)
            with jax.default_matmul_precision(PRECISION.name.lower()):
                x = Conv(
                    self.width * conv.multiple,
                    conv.kernel,
                    conv.stride,
                    conv.padding,
                    use_bias=True,
                    name=f"conv{conv.number}",
                )(x)
            found[f"conv{conv.number}"] = x
            x = nn.relu(x)
            found[f"relu{conv.number}"] = x
            # All parameters have to be made, whatever is wanted of them.
            if not self.is_initializing() and all(tap in found for tap in wanted):
                break
        return {tap: found[tap] for tap in wanted}
