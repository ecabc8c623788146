"""One ``.pt`` as pSp's programs load it: ``state_dict``, ``opts``, ``latent_avg``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.convert_torch.converted import Converted
from stylegan_jax.convert_torch.exporting.document import ENTRY, describe
from stylegan_jax.convert_torch.rules import psp, psp_file
from stylegan_jax.convert_torch.rules.layout import to_torch
from stylegan_jax.convert_torch.sources.part import layout_of
from stylegan_jax.convert_torch.writers.torch_zip import save_torch
from stylegan_jax.errors import UserError


def tree(parts: Sequence[Converted]) -> dict[str, Any]:
    """What the file holds.

    Raises:
        UserError: there is no pSp model, or pSp's program cannot build it.
    """
    models = [part for part in parts if part.family == "psp"]
    if not models:
        raise UserError(
            "there is no pSp model to write: found "
            f"{', '.join(f'{p.name} ({p.family})' for p in parts)}."
        )
    model = models[0]
    reasons = psp_file.fits_psp(model.config)
    if reasons:
        raise UserError(
            f"pSp's program cannot build this model: it has {', '.join(reasons)}. "
            "Nothing was written."
        )
    expansion = layout_of(psp.LAYOUTS, "psp").expand(model.config)
    state, mean = psp_file.without_mean(
        to_torch(model.variables, expansion, where=model.name)
    )
    return {
        "state_dict": state,
        "opts": psp_file.opts_of(model.config),
        "latent_avg": mean,
        ENTRY: describe([model]),
    }


def export(parts: Sequence[Converted], dst: Path) -> list[Path]:
    """Writes the file; see `tree` for what it raises."""
    save_torch(dst, tree(parts))
    return [dst]


def remarks(parts: Sequence[Converted], dst: Path) -> list[str]:
    """Lines for the screen: how the original program opens the file."""
    del parts
    return [f"opens with pSp's scripts/inference.py --checkpoint_path {dst}"]
