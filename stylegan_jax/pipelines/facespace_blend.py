"""Blends of a face space's faces, with bars of their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.pictures import PNG_MODES, image_grid, save_png
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.shares import parse_shares, random_shares
from stylegan_jax.pipelines.facespace_open import check_blends
from stylegan_jax.pipelines.weight_bars import Bars, draw_blends
from stylegan_jax.training.facespace.observer import l2_of

Progress = Callable[[int], Any]
MOST = 1000


@dataclasses.dataclass(frozen=True)
class Options:
    """Which blends, and how they are drawn.

    Attributes:
        weights: texts such as ``anna=.6,bela=.4``, one for each blend.
        random: how many blends are drawn from the simplex, after these.
        concentration: of these; see `latents.shares.random_shares`.
        seed: of these.
        plain: the pictures alone, at their own size and without bars.
        cell: largest side of a picture beside bars.
        noise_mode: ``none``, as faces are fitted, or ``const``.
    """

    weights: Sequence[str] = ()
    random: int = 0
    concentration: float = 1.0
    seed: int = 0
    plain: bool = False
    cell: int = 256
    noise_mode: str = "none"


def blend(
    space: FaceSpaceModel,
    out: str | Path,
    options: Options,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Draws blends and says how far they are from each face.

    Args:
        space: the face space.
        out: a name ending in ``.png``.
        options: which blends; at least one.
        progress: called with the number of pictures drawn since the last call.

    Returns:
        JSON values: ``out``; ``names``; and ``blends``, each with ``weights`` (by name,
        absolute values that add up to 1) and, by name, ``l2`` (mean squared difference
        of the picture from the face's own picture, pixels in [-1, 1]) and
        ``w_plus_distance`` (Euclidean).

    Raises:
        UserError: options are wrong, or a blend is nobody.
    """
    shares = blends_of(space, options)
    check_picture_name(space, out)
    v = check_blends(space, shares)
    faces = np.asarray(space.w_plus(space.codes))
    w_plus = np.asarray(space.w_plus(v))
    both = np.concatenate([faces, w_plus])
    drawn = collect(space.iter_draw(both, noise_mode=options.noise_mode), progress)
    own, pictures = drawn[: len(faces)], drawn[len(faces) :]
    if options.plain:
        page = pictures[0] if len(pictures) == 1 else image_grid(pictures)
    else:
        bars = Bars.of(
            space.names,
            space.photos if space.photos is not None else own,
            shares,
            cell=options.cell,
            shape=space.image_shape,
        )
        page = draw_blends(bars, list(pictures), shares)
    save_png(out, page)
    return {
        "out": str(out),
        "names": list(space.names),
        "blends": [
            {
                "weights": dict(zip(space.names, row.tolist(), strict=True)),
                "l2": _by_name(space, l2_of(own, picture)),
                "w_plus_distance": _by_name(
                    space, np.sqrt(((faces - latent) ** 2).sum((1, 2)))
                ),
            }
            for row, picture, latent in zip(shares, pictures, w_plus, strict=True)
        ],
    }


def blends_of(space: FaceSpaceModel, options: Options) -> np.ndarray:
    """The shares [M, N] that options ask for; raises `UsageError` where none."""
    if not options.weights and not options.random:
        raise UsageError("give --weights, or --random for blends by chance.")
    if options.cell < 1:
        raise UsageError(f"--cell is at least 1 pixel, got {options.cell}.")
    rows = [parse_shares(text, space.names) for text in options.weights]
    if options.random:
        rows += list(
            random_shares(
                options.random,
                len(space.names),
                seed=options.seed,
                concentration=options.concentration,
            )
        )
    if len(rows) > MOST:
        raise UsageError(f"at most {MOST} blends fit on a page, got {len(rows)}.")
    return np.stack(rows)


def check_picture_name(space: FaceSpaceModel, out: str | Path) -> None:
    """Raises `UserError` unless ``out`` is a PNG that can hold the pictures."""
    if Path(out).suffix.lower() != ".png" or Path(out).is_dir():
        raise UsageError(f"a picture's name ends in .png, got {out}.")
    if (channels := space.image_shape[2]) not in PNG_MODES:
        raise UserError(f"this space draws {channels} channels and a PNG holds 1 to 4.")


def collect(parts: Iterator[np.ndarray], progress: Progress | None) -> np.ndarray:
    """All of the parts as one array; tells how many are there."""
    found = []
    for part in parts:
        found.append(part)
        if progress is not None:
            progress(len(part))
    return np.concatenate(found)


def _by_name(space: FaceSpaceModel, values: np.ndarray) -> dict[str, float]:
    return {n: float(v) for n, v in zip(space.names, values, strict=True)}
