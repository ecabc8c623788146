"""State dicts in NVIDIA's names, with the arguments that build their networks.

NVIDIA's own ``.pkl`` embeds the source text of its classes, which is not ours to copy.
So the file holds ``{"G_ema": {"init_kwargs": …, "state_dict": …}, "D": …}``, and
docs/convert.md shows the five lines that load it into NVIDIA's classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.converted import Converted
from stylegan_jax.convert_torch.exporting.document import ENTRY, by_name, describe
from stylegan_jax.convert_torch.rules import nvlabs
from stylegan_jax.convert_torch.rules.layout import to_torch
from stylegan_jax.convert_torch.sources.part import layout_of
from stylegan_jax.convert_torch.writers.torch_zip import save_torch
from stylegan_jax.errors import UserError

NAMES = {
    "g_ema": "stylegan2.generator",
    "g": "stylegan2.generator",
    "d": "stylegan2.discriminator",
}
THEIRS = {"g_ema": "G_ema", "g": "G", "d": "D"}


def tree(parts: Sequence[Converted]) -> dict[str, Any]:
    """What the file holds.

    Raises:
        UserError: there is no StyleGAN2 network, or NVIDIA's classes cannot build it.
    """
    chosen = by_name(parts, NAMES)
    if not chosen:
        raise UserError(
            "there is no StyleGAN2 network (g_ema, g or d) to write in NVIDIA's "
            f"layout: found {', '.join(f'{p.name} ({p.family})' for p in parts)}."
        )
    odd = [n for n, p in chosen.items() if tuple(p.config["base_grid"]) != (4, 4)]
    if odd:
        raise UserError(
            f"NVIDIA's classes draw square pictures only, and {', '.join(odd)} has "
            "another base grid: nothing was written."
        )
    content: dict[str, Any] = {}
    for name, part in chosen.items():
        expansion = layout_of(nvlabs.LAYOUTS, part.family).expand(part.config)
        kwargs = (
            generator_kwargs if part.family.endswith("generator") else critic_kwargs
        )
        content[THEIRS[name]] = {
            "class_name": part.family.rpartition(".")[2].capitalize(),
            "init_kwargs": kwargs(part.config),
            "state_dict": to_torch(part.variables, expansion, where=name),
        }
    return {**content, ENTRY: describe(list(chosen.values()))}


def export(parts: Sequence[Converted], dst: Path) -> list[Path]:
    """Writes the file; see `tree` for what it raises."""
    save_torch(dst, tree(parts))
    return [dst]


def remarks(parts: Sequence[Converted], dst: Path) -> list[str]:
    """Lines for the screen: where the loader is."""
    del parts
    return [
        f"{dst} holds state dicts and init_kwargs, because NVIDIA's own format embeds "
        "source text that is not ours; docs/convert.md has the lines that load it"
    ]


def generator_kwargs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of stylegan2-ada-pytorch's ``Generator``."""
    synthesis = {
        "channel_base": config["channel_base"],
        "channel_max": config["channel_max"],
        "conv_clamp": config["conv_clamp"],
        "architecture": config["architecture"],
        "resample_filter": kernel(config),
        "use_noise": config["use_noise"],
    }
    mapping = {
        "num_layers": config["mapping_layers"],
        "lr_multiplier": config["mapping_lr_multiplier"],
        "layer_features": config.get("mapping_features") or None,
        "embed_features": config.get("embed_features") or None,
    }
    return {
        "z_dim": config["z_dim"],
        "c_dim": config["c_dim"],
        "w_dim": config["w_dim"],
        "img_resolution": 4 << (config["num_blocks"] - 1),
        "img_channels": config["img_channels"],
        "mapping_kwargs": mapping,
        "synthesis_kwargs": synthesis,
    }


def critic_kwargs(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of stylegan2-ada-pytorch's ``Discriminator``."""
    group = config["mbstd_group_size"]
    return {
        "c_dim": config["c_dim"],
        "img_resolution": 4 << (config["num_blocks"] - 1),
        "img_channels": config["img_channels"],
        "architecture": config["architecture"],
        "channel_base": config["channel_base"],
        "channel_max": config["channel_max"],
        "conv_clamp": config["conv_clamp"],
        "block_kwargs": {"resample_filter": kernel(config)},
        "cmap_dim": config.get("cmap_dim") or None,
        "mapping_kwargs": {
            "num_layers": config["mapping_layers"],
            "layer_features": config.get("mapping_features") or None,
            "embed_features": config.get("embed_features") or None,
        },
        "epilogue_kwargs": {
            "mbstd_group_size": None if group == nvlabs.WHOLE_BATCH else group,
            "mbstd_num_channels": config["mbstd_num_channels"],
        },
    }


def kernel(config: Mapping[str, Any]) -> list[float]:
    """The filter's taps; NVIDIA's program brings their sum to 1 itself."""
    taps = np.asarray(config["resample_filter"], np.float64)
    whole = taps / np.abs(taps[taps != 0]).min()
    return [float(t) for t in (np.round(whole) if _near(whole) else taps)]


def _near(values: np.ndarray) -> bool:
    return bool(np.allclose(values, np.round(values), atol=1e-4))
