"""FaceSpace's encoders, from weight vectors or from landmarks to w_plus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.language import Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.convert_torch.rules.tensors import depth_of, shape_of
from stylegan_jax.errors import UserError

NAME = "facespace"
# The program's generator: no tensor tells how wide one latent is.
W_DIM = 512

ENCODER: Table = (
    Rule("dense{i}.weight", "params/fc{i}/weight", "OI>IO", "fc"),
    Rule("dense{i}.bias", "params/fc{i}/bias", "", "fc"),
)


def encoder_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of an encoder's table: ``i`` counts the layers."""
    layers = len(config["features"]) + 1
    return {"": [{}], "fc": [{"i": i} for i in range(layers)]}


def named(state: State) -> tuple[dict[str, Any], list[str]]:
    """The encoder of a whole FaceSpace model, whose names carry ``g_decompress.``.

    Args:
        state: an encoder alone, or ``g_all.g_decompress.*`` beside the frozen
            generator's ``g_all.g_synthesis.*``.

    Returns:
        The encoder's tensors, and the names of the generator's, which was not trained
        and lacks its mapping network.
    """
    plain = {name.removeprefix("g_all."): name for name in state}
    inner = "g_decompress."
    if not any(name.startswith(inner) for name in plain):
        return dict(state), []
    kept = {
        n.removeprefix(inner): state[full]
        for n, full in plain.items()
        if not n.startswith("g_synthesis.")
    }
    return kept, [full for n, full in plain.items() if n.startswith("g_synthesis.")]


def is_encoder(state: State) -> bool:
    """Whether these are the names of an encoder, once `named`."""
    return bool(state) and all(
        re.fullmatch(r"dense\d+\.(?:weight|bias)", name) for name in state
    )


def encoder_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an encoder, from its tensors alone; w is taken as 512 wide."""
    where = hints.get("where", "the file")
    depth = depth_of(state, r"dense(\d+)\.(?:weight|bias)", where=where)
    shapes = [shape_of(state, f"dense{i}.weight", 2, where=where) for i in range(depth)]
    num_ws, rest = divmod(shapes[-1][0], W_DIM)
    if rest:
        raise UserError(
            f"the encoder of {where} gives {shapes[-1][0]} numbers, which are no whole "
            f"latents of {W_DIM}: it is no encoder of FaceSpace's."
        )
    return {
        "input_dim": shapes[0][1],
        "features": tuple(shape[0] for shape in shapes[:-1]),
        "num_ws": num_ws,
        "w_dim": W_DIM,
    }


LAYOUTS = (Layout(NAME, "facespace.encoder", ENCODER, encoder_scopes, encoder_config),)
