"""A folder as pix2pixHD's program loads it: ``latest_net_{G,D,E}.pth``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.convert_torch.converted import Converted
from stylegan_jax.convert_torch.exporting.document import describe
from stylegan_jax.convert_torch.rules import pix2pixhd
from stylegan_jax.convert_torch.rules.layout import to_torch
from stylegan_jax.convert_torch.sources.part import layout_of
from stylegan_jax.convert_torch.writers.torch_zip import save_torch
from stylegan_jax.errors import UserError

LETTERS = {
    "pix2pixhd.global": "G",
    "pix2pixhd.local": "G",
    "pix2pixhd.discriminator": "D",
    "pix2pixhd.encoder": "E",
}


def states(parts: Sequence[Converted]) -> dict[str, dict[str, np.ndarray]]:
    """State dicts by their letters.

    Raises:
        UserError: there is no pix2pixHD network, or its program cannot build one.
    """
    chosen = [part for part in parts if part.family in LETTERS]
    if not chosen:
        raise UserError(
            "there is no pix2pixHD network to write: found "
            f"{', '.join(f'{p.name} ({p.family})' for p in parts)}."
        )
    reasons = [
        f"{part.name} has {reason}"
        for part in chosen
        for reason in pix2pixhd.fits_pix2pixhd(part.config, part.family)
    ]
    if reasons:
        raise UserError(
            f"pix2pixHD's program cannot build these networks: {'; '.join(reasons)}. "
            "Nothing was written."
        )
    return {
        LETTERS[part.family]: to_torch(
            part.variables,
            layout_of(pix2pixhd.LAYOUTS, part.family).expand(part.config),
            where=part.name,
        )
        for part in chosen
    }


def export(parts: Sequence[Converted], dst: Path) -> list[Path]:
    """Writes the file (a ``.pth`` for a single network) or the folder.

    A state dict has no room for our document, so it lies beside the files as
    ``<file>.stylegan_jax.json``.

    Raises:
        UserError: see `states`; or several networks for a single file.
    """
    found = states(parts)
    single = dst.suffix in (".pth", ".pt")
    if single and len(found) > 1:
        raise UserError(
            f"{dst} is one file and there are {len(found)} networks: give a folder."
        )
    written = []
    for letter, state in found.items():
        path = dst if single else dst / f"latest_net_{letter}.pth"
        save_torch(path, state)
        written.append(path)
    document = Path(str(dst) + ".stylegan_jax.json") if single else None
    document = document or dst / "stylegan_jax.json"
    write_text(document, describe(parts) + "\n")
    return [*written, document]


def remarks(parts: Sequence[Converted], dst: Path) -> list[str]:
    """Lines for the screen: the options that build the networks again."""
    options = []
    for part in parts:
        config = part.config
        if part.family == "pix2pixhd.global":
            options.append(
                f"--netG global --ngf {config['width']} --n_downsample_global "
                f"{config['downsamplings']} --n_blocks_global "
                f"{config['residual_blocks']}"
            )
        elif part.family == "pix2pixhd.local":
            options.append(
                f"--netG local --ngf {config['width']} --n_downsample_global "
                f"{config['downsamplings']} --n_blocks_global "
                f"{config['residual_blocks']} --n_local_enhancers "
                f"{config['enhancers']} --n_blocks_local {config['enhancer_blocks']}"
            )
        elif part.family == "pix2pixhd.discriminator":
            options.append(
                f"--num_D {config['scales']} --n_layers_D {config['layers']} --ndf "
                f"{config['width']} (with feature matching, its default)"
            )
    return [f"opens in pix2pixHD with {' '.join(options)}"] if options else []
