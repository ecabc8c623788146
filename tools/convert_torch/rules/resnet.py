"""torchvision's residual networks, and those of MoCo, which keep their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.feature_tensors import norm_rules, width_of
from stylegan_jax.convert_torch.rules.language import Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.errors import UserError

NAME = "torchvision"
# He et al. 2020 (arXiv:1911.05722): checkpoints of training hold the network that is
# used (``encoder_q``), the one it is compared with (``encoder_k``) and a queue.
MOCO = "moco"
_USED, _HEAD = "encoder_q.", "encoder_q.fc."

TABLE: Table = (
    Rule("conv1.weight", "params/stem/conv/kernel", "OIHW>HWIO"),
    *norm_rules("bn1", "stem/bn"),
    Rule(
        "layer{s}.{i}.conv{c}.weight",
        "params/layer{s}_{i}/conv{c}/conv/kernel",
        "OIHW>HWIO",
        "conv",
    ),
    *norm_rules("layer{s}.{i}.bn{c}", "layer{s}_{i}/conv{c}/bn", "conv"),
    Rule(
        "layer{s}.{i}.downsample.0.weight",
        "params/layer{s}_{i}/downsample/conv/kernel",
        "OIHW>HWIO",
        "around",
    ),
    *norm_rules("layer{s}.{i}.downsample.1", "layer{s}_{i}/downsample/bn", "around"),
    Rule("fc.weight", "params/fc/kernel", "OI>IO", "fc"),
    Rule("fc.bias", "params/fc/bias", "", "fc"),
)


def is_resnet(state: State) -> bool:
    """Whether these are the names of a residual network of torchvision's."""
    return "layer1.0.conv1.weight" in state and "layer4.0.conv1.weight" in state


def scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks: ``s`` counts stages from 1, ``i`` blocks, ``c`` convolutions."""
    blocks = [
        {"s": s, "i": i}
        for s, number in enumerate(config["stages"], 1)
        for i in range(number)
    ]
    convs = 3 if config["bottleneck"] else 2
    return {
        "": [{}],
        "conv": [{**b, "c": c} for b in blocks for c in range(1, convs + 1)],
        "around": [
            b for b in blocks if b["i"] == 0 and (b["s"] > 1 or config["bottleneck"])
        ],
        "fc": [{}] if config["num_classes"] else [],
    }


def config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a network, from its tensors alone."""
    where = hints.get("where", "the file")
    stages = tuple(
        len({m[1] for name in state if (m := re.match(rf"layer{s}\.(\d+)\.", name))})
        for s in range(1, 5)
    )
    bottleneck = any(re.match(r"layer1\.\d+\.conv3\.", name) for name in state)
    width = width_of(state, {"conv1.weight": 0, "bn1.weight": 0}, where, "a ResNet")
    if bottleneck:
        narrow = width_of(
            state, {"layer1.0.conv2.weight": 0, "layer1.0.bn2.weight": 0}, where, "one"
        )
        inputs = width_of(
            state,
            {"layer1.0.conv2.weight": 1, "layer1.0.conv1.weight": 0},
            where,
            "one",
        )
        if narrow != inputs or narrow != width:
            raise UserError(
                f"{where} is a wide or grouped residual network (ResNeXt, Wide "
                "ResNet), which this program cannot build: give a ResNet of 18, 34, "
                "50, 101 or 152 layers."
            )
    ends = {"fc.weight": 0, "fc.bias": 0}
    has_fc = any(name in state for name in ends)
    return {
        "stages": stages,
        "bottleneck": bottleneck,
        "num_classes": width_of(state, ends, where, "a ResNet") if has_fc else 0,
        "width": width,
    }


def moco_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the network that a checkpoint of MoCo is used for."""
    return config(_used(state), hints)


def layout_of(state: State) -> Layout | None:
    """The layout of these names; None where they are another network's."""
    if is_resnet(state):
        return LAYOUTS[0]
    return LAYOUTS[1] if is_resnet(_used(state)) else None


def ignored(state: State) -> tuple[str, ...]:
    """Names that the finished network does not use.

    Of MoCo's checkpoints those are the layers that only its training compares with.
    """
    if is_resnet(state):
        return ()
    return tuple(n for n in state if not n.startswith(_USED) or n.startswith(_HEAD))


def _used(state: State) -> dict[str, Any]:
    """The tensors of the network that is used, by torchvision's names."""
    return {
        name.removeprefix(_USED): tensor
        for name, tensor in state.items()
        if name.startswith(_USED) and not name.startswith(_HEAD)
    }


_MOCO_TABLE: Table = tuple(
    rule._replace(source=_USED + rule.source)
    for rule in TABLE
    if not rule.source.startswith("fc.")
)

LAYOUTS = (
    Layout(NAME, "features.resnet", TABLE, scopes, config),
    Layout(MOCO, "features.resnet", _MOCO_TABLE, scopes, moco_config),
)
