"""VGG16 and VGG19, their convolutions (Simonyan and Zisserman 2015, table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax

from stylegan_jax.models.features.layers import (
    PRECISION,
    check_taps,
    check_width,
    max_pool,
)

# Convolutions before each halving, by the network's depth: columns D and E.
STAGES = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

# Side below which nothing is left for the last stage, in pixels.
SMALLEST = 16


class VGGConv(NamedTuple):
    """One convolution of a VGG.

    Attributes:
        stage: from 1, one more behind every halving.
        number: from 1 within the stage.
        place: its number in torchvision's list, where ReLUs and poolings count too.
    """

    stage: int
    number: int
    place: int

    @property
    def tag(self) -> str:
        """Stage and number, e.g. ``1_2``."""
        return f"{self.stage}_{self.number}"


def vgg_convs(depth: int) -> tuple[VGGConv, ...]:
    """The convolutions of a VGG of a depth that `STAGES` has, from the image up."""
    found, place = [], 0
    for stage, convs in enumerate(STAGES[depth], 1):
        for number in range(1, convs + 1):
            found.append(VGGConv(stage, number, place))
            place += 2
        place += 1
    return tuple(found)


class VGG(nn.Module):
    """The convolutions of VGG16 or VGG19; the three dense layers are left out.

    Features are ``conv<stage>_<number>`` before and ``relu<stage>_<number>`` behind the
    ReLU, e.g. ``relu5_1``.

    Attributes:
        depth: 16 or 19, the published network's layers with weights.
        width: channels of the first stage; stage s has min(2^(s-1), 8) times as many.
    """

    depth: int
    width: int = 64

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all features, from the image up."""
        convs = vgg_convs(self.depth)
        return tuple(f"{kind}{c.tag}" for c in convs for kind in ("conv", "relu"))

    @nn.compact
    def __call__(
        self, x: jax.Array, taps: Sequence[str] | None = None
    ) -> dict[str, jax.Array]:
        """Computes features.

        Args:
            x: [N, H, W, 3] float32, normalised as the weights want it; H and W at
                least 16.
            taps: names of the wanted features; nothing behind the last one is
                computed. None means the last one.

        Returns:
            The wanted features by name, stage s as [N, H/2^(s-1), W/2^(s-1), C],
            rounded down.

        Raises:
            ValueError: an unknown depth or name, or an impossible width.
        """
        if self.depth not in STAGES:
            raise ValueError(f"VGG has a depth of 16 or 19, got {self.depth}.")
        check_width(self.width, where="VGG")
        wanted = self.taps[-1:] if taps is None else tuple(taps)
        check_taps(wanted, self.taps, where="VGG")
        found: dict[str, jax.Array] = {}
        for conv in vgg_convs(self.depth):
            if conv.number == 1 and conv.stage > 1:
                x = max_pool(x, 2, 2)
            name = f"conv{conv.tag}"
            channels = self.width * min(2 ** (conv.stage - 1), 8)
            x = nn.Conv(
                channels,
                (3, 3),
                padding=((1, 1), (1, 1)),
                precision=PRECISION,
                name=name,
            )(x)
            found[name] = x
            x = nn.relu(x)
            found[f"relu{conv.tag}"] = x
            # All parameters have to be made, whatever is wanted of them.
            if not self.is_initializing() and all(tap in found for tap in wanted):
                break
        return {tap: found[tap] for tap in wanted}
