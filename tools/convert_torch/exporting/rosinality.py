"""One ``.pt`` as rosinality's programs load it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.converted import Converted
from stylegan_jax.convert_torch.exporting.document import ENTRY, by_name, describe
from stylegan_jax.convert_torch.rules import rosinality
from stylegan_jax.convert_torch.rules.layout import to_torch
from stylegan_jax.convert_torch.rules.rosinality import DEFAULT_MULTIPLIER
from stylegan_jax.convert_torch.sources.part import layout_of
from stylegan_jax.convert_torch.writers.torch_zip import save_torch
from stylegan_jax.errors import UserError

NAMES = {
    "g_ema": "stylegan2.generator",
    "g": "stylegan2.generator",
    "d": "stylegan2.discriminator",
}


def tree(parts: Sequence[Converted]) -> dict[str, Any]:
    """What the file holds.

    Raises:
        UserError: there is no StyleGAN2 network, or rosinality's program cannot build
            one of them; every reason is listed.
    """
    chosen = by_name(parts, NAMES)
    if not chosen:
        raise UserError(
            "there is no StyleGAN2 network (g_ema, g or d) to write for rosinality: "
            f"found {', '.join(f'{p.name} ({p.family})' for p in parts)}."
        )
    reasons = [
        f"{name} has {reason}"
        for name, part in chosen.items()
        for reason in rosinality.fits_rosinality(part.config, part.family)
    ]
    if reasons:
        raise UserError(
            f"rosinality's program cannot build these networks: {'; '.join(reasons)}. "
            "Nothing was written; --to nvlabs can hold them."
        )
    content: dict[str, Any] = {}
    for name, part in chosen.items():
        state = state_of(fitted(part))
        average = state.pop("latent_avg", None)
        content[name] = state
        if average is not None and ("latent_avg" not in content or name == "g_ema"):
            content["latent_avg"] = average
    return {**content, ENTRY: describe(list(chosen.values()))}


def fitted(part: Converted) -> Converted:
    """The same function with rosinality's default multiplier in its mapping network.

    Weights and biases are stored divided by the multiplier and used times it, so
    another one is another scale of the tensors. Its constructor's default is what
    everyone opens the file with.
    """
    multiplier = part.config.get("mapping_lr_multiplier", DEFAULT_MULTIPLIER)
    if multiplier == DEFAULT_MULTIPLIER:
        return part
    scale = np.float32(multiplier / DEFAULT_MULTIPLIER)
    params = part.variables["params"]
    mapping = {
        layer: {name: np.asarray(value) * scale for name, value in tensors.items()}
        for layer, tensors in params["mapping"].items()
    }
    variables = {**part.variables, "params": {**params, "mapping": mapping}}
    config = {**part.config, "mapping_lr_multiplier": DEFAULT_MULTIPLIER}
    return dataclasses.replace(part, variables=variables, config=config)


def state_of(part: Converted) -> dict[str, np.ndarray]:
    """A network's state dict; ``latent_avg`` among the tensors of a generator."""
    expansion = layout_of(rosinality.LAYOUTS, part.family).expand(part.config)
    return to_torch(part.variables, expansion, where=part.name)


def export(parts: Sequence[Converted], dst: Path) -> list[Path]:
    """Writes the file; see `tree` for what it raises."""
    content = tree(parts)
    save_torch(dst, content)
    return [dst]


def remarks(parts: Sequence[Converted], dst: Path) -> list[str]:
    """Lines for the screen: what is lost, how the original program opens the file."""
    chosen = by_name(parts, NAMES)
    lost = [
        f"{name}: {what}"
        for name, part in chosen.items()
        for what in rosinality.lost_in_rosinality(part.config)
    ]
    lost += [
        f"{name}: its mapping network was scaled to the multiplier 0.01, which is the "
        "same function"
        for name, part in chosen.items()
        if fitted(part) is not part
    ]
    config = parts[0].config
    size = rosinality.size_of(config)
    multiplier = rosinality.multiplier_of(config)
    return [
        *lost,
        f"opens with generate.py --ckpt {dst} --size {size} --channel_multiplier "
        f"{multiplier}, that is Generator({size}, {config.get('w_dim', 512)}, "
        f"{config.get('mapping_layers', 8)}, channel_multiplier={multiplier})",
    ]
