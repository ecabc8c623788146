"""NVIDIA's PyTorch snapshots, and the state dicts that this program writes for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.readers import Stub, attributes, state_dict
from stylegan_jax.convert_torch.rules import nvlabs
from stylegan_jax.convert_torch.rules.layout import State
from stylegan_jax.convert_torch.sources.part import (
    Source,
    SourcePart,
    is_state,
    layout_of,
    unwrapped,
)
from stylegan_jax.errors import UserError

PARTS = {"G_ema": "g_ema", "G": "g", "D": "d"}
LICENCE = (
    "not stated in the file; NVIDIA's StyleGAN programs, pretrained networks and what "
    "is derived from them are for non-commercial use (NVIDIA Source Code License-NC)"
)
# Entries of a snapshot that are no networks.
OTHER = ("training_set_kwargs", "augment_pipe", "progress", "cur_nimg", "args")
ACTIVATION = "lrelu"


def find(root: Any, where: object) -> Source | None:
    """The networks of a snapshot; None where the file is something else.

    Raises:
        UserError: they are networks that this program has no counterpart of.
    """
    if isinstance(root, Stub) and _modules(root):  # a network on its own
        root = {"G_ema" if "synthesis" in _modules(root) else "D": root}
    if not isinstance(root, Mapping) or not any(name in root for name in PARTS):
        return None
    parts = []
    for theirs, ours in PARTS.items():
        network = root.get(theirs)
        if network is None:
            continue
        if isinstance(network, Stub):
            state, hints = state_dict(network), hints_of(network, where)
        elif isinstance(network, Mapping) and is_state(network.get("state_dict")):
            state = unwrapped(network["state_dict"])
            hints = hints_from_kwargs(network.get("init_kwargs"))
        elif is_state(network):
            state, hints = unwrapped(network), {}
        else:
            raise UserError(
                f"{where} has an entry {theirs} that is no network and no state dict: "
                "it cannot be converted."
            )
        parts.append(_part(ours, state, {**hints, "where": f"{where} ({theirs})"}))
    return Source(
        program="NVIDIA's PyTorch StyleGAN2",
        parts=_with_base_grid(parts),
        licence=LICENCE,
        notes=_notes(root),
    )


def _modules(stub: Stub) -> Mapping[str, Any]:
    """The submodules of a network object; empty where it is none."""
    modules = stub.state.get("_modules") if isinstance(stub.state, Mapping) else None
    return modules if isinstance(modules, Mapping) else {}


def _part(name: str, state: State, hints: Mapping[str, Any]) -> SourcePart:
    where = hints["where"]
    if any(key.startswith("synthesis.L0_") for key in state):
        raise UserError(
            f"{where} is a StyleGAN3 network (its layers are alias-free): this program "
            "has StyleGAN2 and StyleGAN only, so it cannot be converted."
        )
    if nvlabs.is_generator(state):
        family = "stylegan2.generator"
    elif nvlabs.is_discriminator(state):
        family = "stylegan2.discriminator"
    else:
        some = ", ".join(sorted(state)[:4]) or "none"
        raise UserError(
            f"{where} is no StyleGAN2 network: its tensors begin with {some}."
        )
    return SourcePart(name, layout_of(nvlabs.LAYOUTS, family), state, hints)


def _with_base_grid(parts: list[SourcePart]) -> tuple[SourcePart, ...]:
    """Tells discriminators of the same file the generator's base grid."""
    grids = [
        tuple(part.state["synthesis.b4.const"].shape[1:])
        for part in parts
        if "synthesis.b4.const" in part.state
    ]
    if not grids:
        return tuple(parts)
    return tuple(
        SourcePart(p.name, p.layout, p.state, {**p.hints, "base_grid": grids[0]})
        for p in parts
    )


def _notes(root: Mapping[str, Any]) -> tuple[str, ...]:
    others = [name for name in root if name not in PARTS and name != "stylegan_jax"]
    if not others:
        return ()
    return (f"left out, because they are no networks: {', '.join(map(str, others))}",)


def hints_of(network: Stub, where: object) -> dict[str, Any]:
    """What a network object says beside its tensors: clamps, groups, multipliers.

    Raises:
        UserError: it computes with another activation than leaky ReLU.
    """
    hints: dict[str, Any] = {}
    for name in ("synthesis.b4.conv1", "b4.conv"):
        layer = _at(network, name)
        if layer is not None:
            values = attributes(layer)
            hints["conv_clamp"] = values.get("conv_clamp")
            _check_activation(values.get("activation", ACTIVATION), where)
    mbstd = _at(network, "b4.mbstd")
    if mbstd is not None:
        hints["mbstd_group_size"] = attributes(mbstd).get("group_size")
    first = _at(network, "mapping.fc0")
    if first is not None:
        values = attributes(first)
        _check_activation(values.get("activation", ACTIVATION), where)
        # The bias is used times this, so it is the multiplier itself.
        if isinstance(values.get("bias_gain"), float | int):
            hints["mapping_lr_multiplier"] = float(values["bias_gain"])
    hints["stated_resolution"] = attributes(network).get("img_resolution")
    return hints


def _at(network: Stub, path: str) -> Stub | None:
    """The module at a dotted path; None where there is none."""
    for name in path.split("."):
        child = _modules(network).get(name)
        if not isinstance(child, Stub):
            return None
        network = child
    return network


def hints_from_kwargs(kwargs: Any) -> dict[str, Any]:
    """The same from the constructor's arguments."""
    if not isinstance(kwargs, Mapping):
        return {}
    nested = dict(kwargs)
    for name in ("synthesis_kwargs", "block_kwargs"):
        if isinstance(kwargs.get(name), Mapping):
            nested.update(kwargs[name])
    hints: dict[str, Any] = {
        "conv_clamp": nested.get("conv_clamp"),
        "stated_resolution": kwargs.get("img_resolution"),
    }
    epilogue = kwargs.get("epilogue_kwargs")
    if isinstance(epilogue, Mapping) and "mbstd_group_size" in epilogue:
        hints["mbstd_group_size"] = epilogue["mbstd_group_size"]
    mapping = kwargs.get("mapping_kwargs")
    if isinstance(mapping, Mapping) and "lr_multiplier" in mapping:
        hints["mapping_lr_multiplier"] = float(mapping["lr_multiplier"])
    return hints


def _check_activation(name: Any, where: object) -> None:
    if name not in (ACTIVATION, "linear"):
        raise UserError(
            f"{where} uses the activation {name!r}, and this program has leaky ReLU "
            "only: it cannot be converted."
        )
