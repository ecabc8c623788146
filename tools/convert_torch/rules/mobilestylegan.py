"""MobileStyleGAN, as the OpenVINO files of the package random_face have it.

`state_of` puts the tensors of the two graphs together by names that say what they are;
the table then turns them as for any other file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.readers.openvino import Network
from stylegan_jax.convert_torch.rules.language import Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State, as_array
from stylegan_jax.convert_torch.rules.mobilestylegan_graph import (
    mapping_state,
    synthesis_state,
)
from stylegan_jax.convert_torch.rules.tensors import highest, need
from stylegan_jax.errors import UserError

NAME = "random_face openvino"
FAMILY = "mobilestylegan"

# The learning rate's scale that StyleGAN2's mapping has, which is in no name or shape.
LR_MULTIPLIER = 0.01

_P = "params/synthesis"


def _style(source: str, target: str, over: str = "") -> tuple[Rule, Rule]:
    return (
        Rule(f"{source}.weight", f"{_P}/{target}/affine/kernel", "OI>IO", over),
        Rule(f"{source}.bias", f"{_P}/{target}/affine/bias", "1C>C", over),
    )


def _finish(source: str, target: str, over: str = "") -> tuple[Rule, Rule]:
    noise = f"noise/synthesis/{target}/finish/noise_const"
    return (
        Rule(f"{source}.bias", f"{_P}/{target}/finish/bias", "1C11>C", over),
        Rule(f"{source}.noise", noise, "11HW>HW", over),
    )


_OURS, _THEIRS = "b{r}/conv{i}", "block{k}.conv{i}"

TABLE: Table = (
    Rule("mapping.fc{i}.weight", "params/mapping/fc{i}/weight", "OI>IO", "fc"),
    Rule("mapping.fc{i}.bias", "params/mapping/fc{i}/bias", "", "fc"),
    Rule("w_avg", "moving_stats/mapping/w_avg"),
    Rule("const", f"{_P}/const", "1CHW>HWC"),
    *_style("first.style", "b4/style"),
    Rule("first.kernel", f"{_P}/b4/kernel", "OIHW>HWIO"),
    *_finish("first", "b4"),
    *_style("block{k}.up", "b{r}/up", "block"),
    *_style(f"{_THEIRS}.style", f"{_OURS}/style", "conv"),
    Rule(f"{_THEIRS}.depthwise", f"{_P}/{_OURS}/depthwise", "C11HW>HWC", "conv"),
    Rule(f"{_THEIRS}.pointwise", f"{_P}/{_OURS}/pointwise", "OI11>IO", "conv"),
    *_finish(_THEIRS, _OURS, "conv"),
    *_style("to_wavelets.style", "to_wavelets/style"),
    Rule("to_wavelets.kernel", f"{_P}/to_wavelets/kernel", "OI11>IO"),
    Rule("to_wavelets.bias", f"{_P}/to_wavelets/bias", "1C11>C"),
)


def state_of(mapping: Network, synthesis: Network, where: object) -> State:
    """The tensors of both graphs, by names that say what they are.

    The mapping's weights have the gain of equalised learning rates multiplied into
    them; it is taken out again, so that they are StyleGAN2's.

    Args:
        mapping: the graph from z to w.
        synthesis: the graph from w to the picture.
        where: what to name in errors, e.g. the files' folder.

    Raises:
        UserError: a graph is another network's.
    """
    found: dict[str, Any] = {}
    for name, tensor in mapping_state(mapping, where).items():
        array = as_array(tensor)
        found[f"mapping.{name}"] = array
        # What is no float is refused later, with all the others.
        if np.issubdtype(array.dtype, np.floating):
            inputs = array.shape[1] if name.endswith(".weight") else 1
            gain = LR_MULTIPLIER / max(1, inputs) ** 0.5
            divided = array.astype(np.float64) / gain
            found[f"mapping.{name}"] = divided.astype(np.float32)
    return found | dict(synthesis_state(synthesis, where))


def scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks: ``k`` counts blocks from 1, ``r`` is a block's resolution."""
    blocks = range(1, config["num_blocks"] - 1)
    return {
        "": [{}],
        "fc": [{"i": i} for i in range(config["mapping_layers"])],
        "block": [{"k": k, "r": 4 << k} for k in blocks],
        "conv": [{"k": k, "r": 4 << k, "i": i} for k in blocks for i in range(2)],
    }


def config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a network, from its tensors alone.

    Args:
        state: tensors by the names that `state_of` gives.
        hints: ``where``: what to name in errors.

    Raises:
        UserError: a tensor that says so much is missing or has other axes.
    """
    where = hints.get("where", "the file")
    layers = highest(state, r"mapping\.fc(\d+)\.weight") + 1
    top = highest(state, r"block(\d+)\.conv1\.pointwise")
    kernels = {
        "first.kernel": 4,
        **{f"block{k}.conv1.pointwise": 4 for k in range(1, top + 1)},
    }
    last = f"mapping.fc{max(0, layers - 1)}.weight"
    needed = {"const": 4, "mapping.fc0.weight": 2, last: 2, "to_wavelets.kernel": 4}
    need(state, kernels | needed, where=where)
    channels = [int(state[name].shape[0]) for name in kernels]
    grid = tuple(int(n) for n in state["const"].shape[2:])
    made = {
        "num_blocks": top + 2,
        "z_dim": int(state["mapping.fc0.weight"].shape[1]),
        "w_dim": int(state[last].shape[0]),
        "base_grid": grid,
        "img_channels": int(state["to_wavelets.kernel"].shape[0]) // 4,
        "mapping_layers": layers,
        "mapping_lr_multiplier": LR_MULTIPLIER,
        # Where no map is narrower than the widest, this is the smallest that says so.
        "channel_base": channels[-1] * (4 << top),
        "channel_max": max(channels),
    }
    lawful = [
        min(made["channel_base"] // (4 << k), made["channel_max"])
        for k in range(len(channels))
    ]
    if lawful != channels:
        raise UserError(
            f"{where} has maps of {', '.join(map(str, channels))} channels, which "
            "follow from no channel_base and channel_max: it cannot be converted."
        )
    return made


LAYOUTS = (Layout(NAME, FAMILY, TABLE, scopes, config),)
