"""Identity networks of InsightFace_Pytorch, e.g. ``model_ir_se50.pth``.

pSp's encoders begin with the same backbone, under the same names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.feature_tensors import norm_rules
from stylegan_jax.convert_torch.rules.language import Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.convert_torch.rules.tensors import highest, need
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.irse import STAGES, TOTAL_STRIDE, plan_units

NAME = "insightface"

# Channels of the last stage, in widths of the first.
LAST_STAGE = 8


# In the file a unit is a list: 0 and 4 are batch norms, 2 is a PReLU, 5 the gate.
_UNIT, _OURS = "body.{i}.res_layer", "backbone/unit{i}"

BACKBONE: Table = (
    Rule("input_layer.0.weight", "params/backbone/input_conv/kernel", "OIHW>HWIO"),
    *norm_rules("input_layer.1", "backbone/input_bn"),
    Rule("input_layer.2.weight", "params/backbone/input_prelu/slope"),
    *norm_rules(f"{_UNIT}.0", f"{_OURS}/bn0", "unit"),
    Rule(f"{_UNIT}.1.weight", f"params/{_OURS}/conv0/kernel", "OIHW>HWIO", "unit"),
    Rule(f"{_UNIT}.2.weight", f"params/{_OURS}/prelu/slope", "", "unit"),
    Rule(f"{_UNIT}.3.weight", f"params/{_OURS}/conv1/kernel", "OIHW>HWIO", "unit"),
    *norm_rules(f"{_UNIT}.4", f"{_OURS}/bn1", "unit"),
    Rule(f"{_UNIT}.5.fc1.weight", f"params/{_OURS}/se/reduce/kernel", "OI11>IO", "se"),
    Rule(f"{_UNIT}.5.fc2.weight", f"params/{_OURS}/se/expand/kernel", "OI11>IO", "se"),
    Rule(
        "body.{i}.shortcut_layer.0.weight",
        f"params/{_OURS}/shortcut_conv/kernel",
        "OIHW>HWIO",
        "shortcut",
    ),
    *norm_rules("body.{i}.shortcut_layer.1", f"{_OURS}/shortcut_bn", "shortcut"),
)

NETWORK: Table = (
    *BACKBONE,
    *norm_rules("output_layer.0", "bn0"),
    # 1 is the dropout, 2 the flattening.
    Rule("output_layer.3.weight", "params/dense/kernel", "O(CHW)>(HWC)O", "flat"),
    Rule("output_layer.3.bias", "params/dense/bias"),
    *norm_rules("output_layer.4", "bn1", "affine"),
    # The last normalisation of some of these networks has no factor and no offset.
    *(
        rule
        for rule in norm_rules("output_layer.4", "bn1", "plain")
        if not (isinstance(rule, Rule) and rule.target.startswith("params/"))
    ),
)


def backbone_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of a backbone's table: ``i`` is a unit's number."""
    plans = plan_units(config["num_layers"], config["width"])
    units = [{"i": i} for i in range(len(plans))]
    return {
        "": [{}],
        "unit": units,
        "se": units if config["mode"] == "ir_se" else [],
        "shortcut": [
            {"i": i} for i, plan in enumerate(plans) if plan.inputs != plan.features
        ],
    }


def network_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of a whole identity network's table."""
    side = config["input_size"] // TOTAL_STRIDE
    return {
        **backbone_scopes(config),
        "flat": [{"H": side, "W": side}],
        "affine": [{}] if config["affine"] else [],
        "plain": [] if config["affine"] else [{}],
    }


def is_irse(state: State) -> bool:
    """Whether these are the names of an identity network."""
    return "output_layer.3.weight" in state and is_backbone(state)


def is_backbone(state: State) -> bool:
    """Whether a backbone of this kind is among these names."""
    return "input_layer.0.weight" in state and any(
        name.startswith("body.0.res_layer.") for name in state
    )


def backbone_config(state: State, where: object) -> dict[str, Any]:
    """The fields ``num_layers``, ``mode`` and ``width``.

    Raises:
        UserError: the number of units is that of no network.
    """
    need(state, {"input_layer.0.weight": 4}, where=where)
    units = highest(state, r"body\.(\d+)\..*") + 1
    depths = {sum(stages): depth for depth, stages in STAGES.items()}
    if units not in depths:
        raise UserError(
            f"the backbone of {where} has {units} residual units, and the networks of "
            f"this kind have {', '.join(map(str, depths))}: this program cannot build "
            "it."
        )
    gated = any(re.fullmatch(r"body\.\d+\.res_layer\.5\..*", name) for name in state)
    return {
        "num_layers": depths[units],
        "mode": "ir_se" if gated else "ir",
        "width": int(state["input_layer.0.weight"].shape[0]),
    }


def network_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an identity network, from its tensors alone."""
    where = hints.get("where", "the file")
    need(state, {"input_layer.0.weight": 4, "output_layer.3.weight": 2}, where=where)
    backbone = backbone_config(state, where)
    embedding, inputs = state["output_layer.3.weight"].shape
    cells, rest = divmod(int(inputs), LAST_STAGE * backbone["width"])
    side = math.isqrt(cells)
    if rest or side * side != cells:
        raise UserError(
            f"the dense layer output_layer.3.weight of {where} takes {inputs} values, "
            f"which are no square of cells with {LAST_STAGE * backbone['width']} "
            "channels: this program cannot build that network."
        )
    return {
        **backbone,
        "input_size": side * TOTAL_STRIDE,
        "embedding_dim": int(embedding),
        "affine": "output_layer.4.weight" in state or "output_layer.4.bias" in state,
    }


LAYOUTS = (Layout(NAME, "features.irse", NETWORK, network_scopes, network_config),)
