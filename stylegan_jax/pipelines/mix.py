"""A grid of style mixing, with the pictures that were mixed on its margins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import check_truncation
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.pictures import PNG_MODES, image_grid, save_png
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import LatentPictures, parse_layers
from stylegan_jax.latents.mix import mix
from stylegan_jax.pipelines.generate import MAX_GRID_PIXELS, check_out, parse_seeds
from stylegan_jax.pipelines.latent_files import latents_of


def mix_grid(
    model: GeneratorNetwork,
    rows: str,
    columns: str,
    layers: str,
    out: str | Path,
    *,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    noise_mode: str = "const",
    label: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Writes the grid: in row r and column c the latents of r, the layers those of c.

    The pictures of the rows and columns are on its left and upper margins; the corner
    between them is white, or transparent.

    Args:
        model: a generator.
        rows: seeds such as ``0-3``, or an ``.npz`` of latents.
        columns: likewise; they give the named layers.
        layers: such as ``0-6``: which of the model's num_ws latents.
        out: a name ending in ``.png``.
        truncation_psi: of latents from seeds.
        truncation_cutoff: how many first layers are truncated; None means all.
        noise_mode: ``const`` or ``none``.
        label: class, where the model is conditional.
        progress: called with the number of pictures done since the last call.

    Returns:
        JSON values: ``out``, ``rows`` and ``columns`` (how many), ``layers``.

    Raises:
        UserError: options are wrong, latents do not fit, or the grid is too large.
    """
    if not check_out(out):
        raise UsageError(f"a grid's name ends in .png, got {out}.")
    check_truncation(truncation_psi, truncation_cutoff, model.num_ws)
    chosen = parse_layers(layers, model.num_ws)
    pictures = LatentPictures(model, noise_mode=noise_mode)
    left, top = (
        latents_of(
            pictures,
            seeds=None if _is_file(text) else parse_seeds(text),
            file=text if _is_file(text) else None,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            label=label,
        )
        for text in (rows, columns)
    )
    height, width, channels = model.image_shape
    number = (len(left) + 1) * (len(top) + 1)
    if channels not in PNG_MODES:
        raise UserError(f"this model draws {channels} channels and a PNG holds 1 to 4.")
    if number * height * width > MAX_GRID_PIXELS:
        raise UserError(
            f"a grid of {number} pictures of {height}×{width} is too large: mix fewer."
        )
    mixed = mix(left, top, chosen)
    wanted = np.concatenate([top, left, mixed.reshape(-1, *left.shape[1:])])
    parts = []
    for part in pictures.iter_images([wanted]):
        parts.append(part)
        if progress is not None:
            progress(len(part))
    drawn = np.concatenate(parts)
    heads, sides, inner = np.split(drawn, [len(top), len(top) + len(left)])
    # The place of no picture: white, or transparent where pictures have alpha.
    blank = 0 if PNG_MODES[channels].endswith("A") else 255
    corner = np.full((1, height, width, channels), blank, np.uint8)
    lines = [corner, heads]
    for i, side in enumerate(sides):
        lines += [side[None], inner[i * len(top) : (i + 1) * len(top)]]
    save_png(out, image_grid(np.concatenate(lines), len(top) + 1))
    return {
        "out": str(out),
        "rows": len(left),
        "columns": len(top),
        "layers": chosen,
    }


def _is_file(text: str) -> bool:
    return text.lower().endswith(".npz")
