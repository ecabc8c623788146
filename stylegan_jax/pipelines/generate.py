"""Pictures of seeds, as PNG files or one grid."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import MAX_SEED
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.pictures import PNG_MODES, image_grid, save_png
from stylegan_jax.errors import UsageError, UserError

MAX_SEEDS = 1_000_000
# Pixels of the largest grid: 768 MiB of RGB.
MAX_GRID_PIXELS = 2**28


def parse_seeds(text: str) -> list[int]:
    """Reads seeds such as ``0-31,40``; ranges include both ends.

    Args:
        text: numbers and ranges, apart by commas.

    Returns:
        The seeds, in the order written.

    Raises:
        UsageError: it is written otherwise, a range runs backwards, a seed is above
            2^32 - 1, or there are more than a million.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        if match is None:
            raise UsageError(
                f"'{part.strip()}' in the seeds '{text}' is no number or range: write "
                "them like 0-31,40."
            )
        # A number of a million digits takes int() minutes.
        if max(len(n or "") for n in match.groups()) > 12:
            raise UsageError(f"seeds go up to {MAX_SEED}: choose smaller ones.")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise UsageError(f"the seeds {first}-{last} run backwards: swap the two.")
        if last > MAX_SEED:
            raise UsageError(f"seeds go up to {MAX_SEED}, got {last}.")
        if len(seeds) + last - first + 1 > MAX_SEEDS:
            raise UsageError(
                f"the seeds '{text}' are more than {MAX_SEEDS}: do it in several runs."
            )
        seeds.extend(range(first, last + 1))
    return seeds


def generate(
    model: GeneratorNetwork,
    seeds: Sequence[int],
    out: str | Path,
    *,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    noise_mode: str = "const",
    label: int | None = None,
    z_source: str = "jax",
    batch: int | None = None,
    columns: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> list[Path]:
    """Writes the pictures of seeds.

    Args:
        model: a generator.
        seeds: integers from 0 to 2^32 - 1.
        out: a path ending in ``.png`` for one grid, else a folder, which gets a
            ``seed0000.png`` per seed.
        truncation_psi: 1 leaves the latents as they are, 0 gives the mean picture.
        truncation_cutoff: how many first layers are truncated; None means all.
        noise_mode: ``const``, ``random`` (drawn from the seed) or ``none``.
        label: class, where the model is conditional.
        z_source: ``jax``, or ``numpy`` as NVIDIA's programs draw z.
        batch: about how many pictures are computed at a time.
        columns: of the grid; None means the nearest to a square.
        progress: called with the number of pictures done since the last call.

    Returns:
        The paths written.

    Raises:
        UserError: what the model refuses, a place that cannot be written, pictures
            that PNG cannot hold, or a grid too large.
    """
    out = Path(out)
    is_grid = check_out(out)
    _check_shape(model.image_shape, len(seeds), is_grid)
    parts = model.iter_images(
        seeds,
        truncation_psi=truncation_psi,
        truncation_cutoff=truncation_cutoff,
        noise_mode=noise_mode,
        labels=label,
        batch=batch,
        z_source=z_source,
    )
    watched = _watch(parts, progress)
    if is_grid:
        save_png(out, image_grid(np.concatenate(list(watched)), columns))
        return [out]
    paths = []
    numbers = iter(seeds)
    for part in watched:
        for image in part:
            paths.append(out / f"seed{next(numbers):04d}.png")
            save_png(paths[-1], image)
    return paths


def check_out(out: str | Path) -> bool:
    """Whether ``out`` means a grid (True) or a folder (False).

    Raises:
        UsageError: it ends like a file that is no PNG, is a folder that ends in
            ``.png``, or is a file where a folder is meant.
    """
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix == ".png":
        if out.is_dir():
            raise UsageError(f"{out} is a folder: choose another name for the grid.")
        return True
    if out.is_file() or suffix in {".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif"}:
        raise UsageError(
            f"cannot write pictures to {out}: give a folder, or a file ending in .png "
            "for a grid."
        )
    return False


def _check_shape(shape: tuple[int, int, int], number: int, is_grid: bool) -> None:
    height, width, channels = shape
    if channels not in PNG_MODES:
        raise UserError(
            f"this model draws {channels} channels and a PNG holds 1 to 4: use "
            "images() from Python."
        )
    if is_grid and number * height * width > MAX_GRID_PIXELS:
        raise UserError(
            f"a grid of {number} pictures of {height}×{width} is too large: write them "
            "into a folder, or draw fewer."
        )


def _watch(
    parts: Iterator[np.ndarray], progress: Callable[[int], Any] | None
) -> Iterator[np.ndarray]:
    for part in parts:
        yield part
        if progress is not None:
            progress(len(part))
