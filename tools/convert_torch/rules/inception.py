"""Inception v3 of FID, in pytorch-fid's names and in NVIDIA's TorchScript's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.feature_tensors import norm_rules, width_of
from stylegan_jax.convert_torch.rules.language import Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.errors import UserError

# The published network's classes: TensorFlow's labels of ImageNet with a few spare.
CLASSES = 1008

# Each block's convolutions: the name in our files (pytorch-fid's), and the one of
# TensorFlow's graph, which NVIDIA's network keeps.
_AT_35 = {
    "branch1x1": "conv",
    "branch5x5_1": "tower.conv",
    "branch5x5_2": "tower.conv_1",
    "branch3x3dbl_1": "tower_1.conv",
    "branch3x3dbl_2": "tower_1.conv_1",
    "branch3x3dbl_3": "tower_1.conv_2",
    "branch_pool": "tower_2.conv",
}
_TO_17 = {
    "branch3x3": "conv",
    "branch3x3dbl_1": "tower.conv",
    "branch3x3dbl_2": "tower.conv_1",
    "branch3x3dbl_3": "tower.conv_2",
}
_AT_17 = {
    "branch1x1": "conv",
    "branch7x7_1": "tower.conv",
    "branch7x7_2": "tower.conv_1",
    "branch7x7_3": "tower.conv_2",
    "branch7x7dbl_1": "tower_1.conv",
    "branch7x7dbl_2": "tower_1.conv_1",
    "branch7x7dbl_3": "tower_1.conv_2",
    "branch7x7dbl_4": "tower_1.conv_3",
    "branch7x7dbl_5": "tower_1.conv_4",
    "branch_pool": "tower_2.conv",
}
_TO_8 = {
    "branch3x3_1": "tower.conv",
    "branch3x3_2": "tower.conv_1",
    "branch7x7x3_1": "tower_1.conv",
    "branch7x7x3_2": "tower_1.conv_1",
    "branch7x7x3_3": "tower_1.conv_2",
    "branch7x7x3_4": "tower_1.conv_3",
}
_AT_8 = {
    "branch1x1": "conv",
    "branch3x3_1": "tower_conv",
    "branch3x3_2a": "tower_mixed_conv",
    "branch3x3_2b": "tower_mixed_conv_1",
    "branch3x3dbl_1": "tower_1_conv",
    "branch3x3dbl_2": "tower_1_conv_1",
    "branch3x3dbl_3a": "tower_1_mixed_conv",
    "branch3x3dbl_3b": "tower_1_mixed_conv_1",
    "branch_pool": "tower_2_conv",
}
_STEM = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
}
_BLOCKS = (
    ("Mixed_5b", "mixed", _AT_35),
    ("Mixed_5c", "mixed_1", _AT_35),
    ("Mixed_5d", "mixed_2", _AT_35),
    ("Mixed_6a", "mixed_3", _TO_17),
    ("Mixed_6b", "mixed_4", _AT_17),
    ("Mixed_6c", "mixed_5", _AT_17),
    ("Mixed_6d", "mixed_6", _AT_17),
    ("Mixed_6e", "mixed_7", _AT_17),
    ("Mixed_7a", "mixed_8", _TO_8),
    ("Mixed_7b", "mixed_9", _AT_8),
    ("Mixed_7c", "mixed_10", _AT_8),
)
# One mapping per convolution: its dotted name, our path, and NVIDIA's name.
_CONVS = [
    *({"p": ours, "ours": ours, "theirs": theirs} for ours, theirs in _STEM.items()),
    *(
        {"p": f"{block}.{ours}", "ours": f"{block}/{ours}", "theirs": f"{tf}.{theirs}"}
        for block, tf, names in _BLOCKS
        for ours, theirs in names.items()
    ),
]

PYTORCH_FID: Table = (
    Rule("{p}.conv.weight", "params/{ours}/conv/kernel", "OIHW>HWIO", "conv"),
    *norm_rules("{p}.bn", "{ours}/bn", "conv", scaled="scaled"),
    Rule("fc.weight", "params/fc/kernel", "OI>IO", "fc"),
    Rule("fc.bias", "params/fc/bias", "", "fc"),
)


def _nvidia(prefix: str) -> Table:
    return (
        Rule(
            f"{prefix}{{theirs}}.weight",
            "params/{ours}/conv/kernel",
            "OIHW>HWIO",
            "conv",
        ),
        Rule(f"{prefix}{{theirs}}.beta", "params/{ours}/bn/bias", "", "conv"),
        Rule(f"{prefix}{{theirs}}.mean", "batch_stats/{ours}/bn/mean", "", "conv"),
        Rule(f"{prefix}{{theirs}}.var", "batch_stats/{ours}/bn/var", "", "conv"),
    )


def is_pytorch_fid(state: State) -> bool:
    """Whether these are pytorch-fid's (and torchvision's) names of Inception."""
    return "Conv2d_1a_3x3.conv.weight" in state and any(
        name.startswith("Mixed_7c.branch_pool.") for name in state
    )


def is_nvidia(state: State, prefix: str) -> bool:
    """Whether these are the names of NVIDIA's TorchScript, under a prefix."""
    return f"{prefix}conv.beta" in state and any(
        name.startswith(f"{prefix}mixed_10.") for name in state
    )


def scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks: ``p`` and ``theirs`` are a convolution's names, ``ours`` its path."""
    return {
        "": [{}],
        "conv": _CONVS,
        "scaled": _CONVS if config["use_scale"] else [],
        "fc": [{}] if config["num_classes"] else [],
    }


def pytorch_fid_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a network in pytorch-fid's names.

    Raises:
        UserError: it is torchvision's own Inception, which pools otherwise.
    """
    where = hints.get("where", "the file")
    ends = {"fc.weight": 0, "fc.bias": 0}
    has_fc = any(name in state for name in ends)
    classes = width_of(state, ends, where, "an Inception") if has_fc else 0
    if any(name.startswith("AuxLogits.") for name in state) or (
        has_fc and classes != CLASSES
    ):
        raise UserError(
            f"{where} is an Inception v3 with {classes} classes, as torchvision trains "
            f"it; FID is defined with the network of 2015 ({CLASSES} classes), which "
            "pools otherwise: give pt_inception-2015-12-05-6726825d.pth."
        )
    return {
        "num_classes": classes,
        "use_scale": any(name.endswith(".bn.weight") for name in state),
    }


def nvidia_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of NVIDIA's network: no factors, no logits."""
    del state, hints  # every such file has the same network
    return {"num_classes": 0, "use_scale": False}


def layout_of(state: State) -> Layout | None:
    """The layout of these names; None where they are another network's."""
    if is_pytorch_fid(state):
        return LAYOUTS[0]
    for layout, prefix in zip(LAYOUTS[1:], PREFIXES, strict=True):
        if is_nvidia(state, prefix):
            return layout
    return None


def ignored(_: State) -> tuple[str, ...]:
    """Names that the finished network does not use: none."""
    return ()


PREFIXES = ("net.layers.", "layers.")
LAYOUTS = (
    Layout(
        "pytorch-fid",
        "features.inception_v3",
        PYTORCH_FID,
        scopes,
        pytorch_fid_config,
    ),
    *(
        Layout("nvidia", "features.inception_v3", _nvidia(p), scopes, nvidia_config)
        for p in PREFIXES
    ),
)
