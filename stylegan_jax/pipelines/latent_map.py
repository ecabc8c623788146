"""Maps of latents as pictures: of a face space, of a generator, or of a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.contact_sheet import cell_size, thumbnail
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.load import load, load_generator
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.latents.maps import lay_out
from stylegan_jax.latents.shares import labels
from stylegan_jax.pipelines.latent_files import latents_of, read_latents
from stylegan_jax.pipelines.map_picture import (
    LARGEST_BOX,
    MAX_POINTS,
    Panel,
    draw_map,
)

Progress = Callable[[int], Any]


@dataclasses.dataclass(frozen=True)
class Options:
    """How a map is made.

    Attributes:
        method: one of `latents.maps.METHODS`.
        seed: of the method; see `latents.maps.lay_out`.
        perplexity: of tsne; None chooses it.
        neighbours: of lle; None chooses them.
        num: of a generator: the seeds 0 … num - 1 are drawn.
        truncation_psi: of these.
        label: class, where the generator is conditional.
        model: of a file: what draws its latents; None for no pictures.
    """

    method: str = "pca"
    seed: int = 0
    perplexity: float | None = None
    neighbours: int | None = None
    num: int = 200
    truncation_psi: float = 1.0
    label: int | None = None
    model: str | Path | None = None


@dataclasses.dataclass(frozen=True)
class _Points:
    """What is mapped: sets of points for the same things.

    Attributes:
        sets: title → [N, …] float32.
        names: N of them.
        pictures: [N, h, w, C] uint8, or None.
    """

    sets: dict[str, np.ndarray]
    names: list[str]
    pictures: np.ndarray | None


def map_latents(
    source: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes a map with a thumbnail and a name at every point.

    Args:
        source: a face space (its photos' codes and W+ side by side), a generator or
            its run's folder (z and w of seeds), or an ``.npz`` of latents, whose array
            ``names`` is used where it has one.
        out: a name ending in ``.png``.
        options: how.
        progress: called with the number of pictures drawn since the last call.

    Returns:
        JSON values: ``out``, ``method``, ``seed``, ``names``, and ``panels``, each with
        ``title``, ``points`` [N, 2], ``axes``, ``notes`` and ``figures``.

    Raises:
        UserError: options are wrong, or the source cannot be mapped.
        MissingExtra: tsne and lle without scikit-learn.
    """
    options = options or Options()
    if Path(out).suffix.lower() != ".png" or Path(out).is_dir():
        raise UsageError(f"a map's name ends in .png, got {out}.")
    points = _points(source, options, progress)
    if len(points.names) > MAX_POINTS:
        raise UserError(
            f"{len(points.names)} points are too many for a picture: {MAX_POINTS} at "
            "most."
        )
    panels = [
        Panel(
            title,
            lay_out(
                array.reshape(len(array), -1),
                options.method,
                seed=options.seed,
                perplexity=options.perplexity,
                neighbours=options.neighbours,
            ),
        )
        for title, array in points.sets.items()
    ]
    save_png(out, draw_map(panels, points.names, points.pictures))
    return {
        "out": str(out),
        "method": options.method,
        "seed": options.seed,
        "names": points.names,
        "panels": [
            {
                "title": panel.title,
                "points": panel.map.points.tolist(),
                "axes": list(panel.map.axes),
                "notes": list(panel.map.notes),
                "figures": dict(panel.map.figures),
            }
            for panel in panels
        ],
    }


def _points(source: str | Path, options: Options, progress: Progress | None) -> _Points:
    if Path(source).suffix.lower() == ".npz":
        return _of_file(source, options, progress)
    model = load(source)
    if isinstance(model, FaceSpaceModel):
        return _of_space(model, progress)
    if isinstance(model, GeneratorNetwork):
        return _of_generator(model, options, progress)
    raise UserError(
        f"{source} is a {model.metadata['family']}: give a face space, a generator, or "
        "an .npz of latents."
    )


def _of_space(space: FaceSpaceModel, progress: Progress | None) -> _Points:
    if len(space.names) < 2:
        raise UserError(
            f"a map needs at least two faces, and this face space keeps "
            f"{len(space.names)}."
        )
    w_plus = np.asarray(space.w_plus(space.codes))
    pictures = space.photos
    if pictures is None:
        pictures = _small(space.iter_draw(w_plus), progress)
    names = labels(space.names)
    if space.space == "w":  # every layer has the same
        return _Points({"codes": space.codes, "W": w_plus[:, 0]}, names, pictures)
    return _Points({"codes": space.codes, "W+": w_plus}, names, pictures)


def _of_generator(
    model: GeneratorNetwork, options: Options, progress: Progress | None
) -> _Points:
    if not 2 <= options.num <= MAX_POINTS:
        raise UsageError(
            f"a map shows 2 to {MAX_POINTS} seeds, got --num {options.num}."
        )
    seeds = list(range(options.num))
    drawing = LatentPictures(model)
    z = model.latents(seeds)
    w_plus = drawing.w_plus(
        z, truncation_psi=options.truncation_psi, label=options.label
    )
    pictures = _small(drawing.iter_images([w_plus]), progress)
    # Without a cutoff all layers have the same w.
    return _Points({"z": z, "w": w_plus[:, 0]}, [str(s) for s in seeds], pictures)


def _of_file(
    source: str | Path, options: Options, progress: Progress | None
) -> _Points:
    space, array = read_latents(source)
    pictures = None
    if options.model is not None:
        drawing = LatentPictures(load_generator(options.model))
        w_plus = latents_of(
            drawing,
            seeds=None,
            file=source,
            truncation_psi=options.truncation_psi,
            label=options.label,
        )
        pictures = _small(drawing.iter_images([w_plus]), progress)
    title = {"w_plus": "W+"}.get(space, space)
    return _Points({title: array}, _names(source, len(array)), pictures)


def _names(source: str | Path, number: int) -> list[str]:
    """The file's own names, or its rows' numbers from 0."""
    with np.load(source, allow_pickle=False) as file:
        found = file["names"] if "names" in file.files else np.zeros(0, str)
    if found.dtype.kind == "U" and found.shape == (number,):
        return [f"{i} {Path(name).stem}" for i, name in enumerate(found.tolist())]
    return [str(i) for i in range(number)]


def _small(parts: Iterator[np.ndarray], progress: Progress | None) -> np.ndarray:
    """Pictures no larger than a map shows them: memory stays small at any size."""
    found = []
    for part in parts:
        size = cell_size(part.shape[1:3], LARGEST_BOX)
        large = max(part.shape[1:3]) > LARGEST_BOX
        found += [np.asarray(thumbnail(p, size)) for p in part] if large else [*part]
        if progress is not None:
            progress(len(part))
    return np.stack(found)
