"""Fits directions in a generator's w to attributes of its pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import MAX_SEED, check_truncation
from stylegan_jax.checkpoints.load import find_model, load_generator
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.direction_fit import (
    FOLDS,
    check_options,
    class_distance,
    classes_of,
    fit_plane,
    held_out,
    scale_of,
)
from stylegan_jax.latents.directions import project_out, without_span
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.pipelines.attribute_readers import (
    check_attributes,
    open_reader,
    reader_document,
)
from stylegan_jax.pipelines.direction_files import (
    Direction,
    check_out,
    direction_from,
    find_direction,
    load_direction,
    write_direction,
)
from stylegan_jax.pipelines.direction_labels import read_labels
from stylegan_jax.pipelines.direction_samples import (
    DrawOptions,
    Readings,
    draw_w,
    latents_document,
    model_document,
    read_pictures,
    read_samples,
    read_w,
    samples_name,
    take_latents,
    write_samples,
)

# Every part of the held-out accuracy has both classes in fitting and in judging.
LEAST = 2 * FOLDS


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How a direction is fitted.

    Attributes:
        attribute: a column of the labels, or what the reader reads.
        method: ``logistic`` or ``svm``.
        l2: weight of the squared length, see `latents.direction_fit.fit_plane`.
        threshold: above it a reading is positive; None means 0.5, or the median.
        tails: share of numbers at either end that is used.
        keep_confident: least probability of the rows that are used.
        conditions: files of directions that the result has no part in.
    """

    attribute: str
    method: str = "logistic"
    l2: float = 100.0
    threshold: float | None = None
    tails: float = 0.5
    keep_confident: float | None = None
    conditions: Sequence[str | Path] = ()


def fit(
    model: str | Path,
    out: str | Path,
    options: FitOptions,
    draws: DrawOptions | None = None,
    *,
    labels: str | Path | None = None,
    reader: str | None = None,
    samples: str | Path | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Fits a direction to an attribute and writes it.

    Args:
        model: a generator's file or a run's folder.
        out: a name ending in ``.npz``.
        options: how to fit.
        draws: what to draw; None means the defaults.
        labels: a table, see `direction_labels.read_labels`; latent ``index`` i is
            seed + i, or row i of the file of latents.
        reader: instead of labels, see `attribute_readers.open_reader`.
        samples: the file that keeps latents and readings; None means one beside
            ``out`` whose name stands for all that they depend on.
        progress: called with the number of pictures read since the last call.

    Returns:
        The provenance, with ``out``, ``norm`` and ``accuracy``.

    Raises:
        UserError: something is wrong with a file, an option, or the labels.
    """
    draws = draws or DrawOptions()
    check_out(out)
    check_options(options.method, options.l2)
    if (labels is None) == (reader is None):
        raise UsageError("give either --labels FILE.csv or --reader MODEL.")
    if samples is not None and (reader is None or Path(samples).suffix != ".npz"):
        raise UsageError("--samples FILE.npz keeps what a --reader reads.")
    file = find_model(model)
    pictures = LatentPictures(load_generator(file), noise_mode=draws.noise_mode)
    check_truncation(draws.truncation_psi, None, pictures.model.num_ws)
    others = _others(options.conditions, file, pictures.model.module.w_dim)
    if labels is not None:
        w, values, binary, source = _labelled(pictures, labels, options, draws)
    else:
        assert reader is not None
        source = _reading_document(reader, options.attribute, draws)
        document = {"model": sha256_of(file), **source}
        beside = Path(out).parent / samples_name(document)
        path = Path(samples or beside)
        w, read = _readings(pictures, reader, draws, path, document, progress)
        source["samples"] = path.name
        values = read.values[options.attribute]
        binary = read.kinds[options.attribute] == "binary"
    direction = _fitted(w, values, binary, options, others)
    provenance = {
        **direction.provenance,
        "model": model_document(file),
        **source,
        "licence": pictures.model.metadata.get("licence", "not stated"),
    }
    write_direction(out, dataclasses.replace(direction, provenance=provenance))
    return {
        "out": str(out),
        "norm": direction.norm,
        "accuracy": direction.accuracy,
        **provenance,
    }


def _fitted(
    w: np.ndarray,
    values: np.ndarray,
    binary: bool,
    options: FitOptions,
    others: dict[str, np.ndarray],
) -> Direction:
    used, positive = classes_of(
        values,
        binary=binary,
        threshold=options.threshold,
        tails=options.tails,
        keep_confident=options.keep_confident,
    )
    w, values, positive = w[used], values[used], positive[used]
    counts = int(positive.sum()), int((~positive).sum())
    if min(counts) < LEAST:
        raise UserError(
            f"{options.attribute} has {counts[0]} positive and {counts[1]} negative "
            f"latents and needs {LEAST} of either: draw more, or choose another "
            "threshold."
        )
    spans = np.array(list(others.values()))
    kept = without_span(w, spans) if others else w
    plane = fit_plane(kept, positive, method=options.method, l2=options.l2)
    unit = plane.unit
    if others:
        unit = project_out(unit, list(spans))
        unit /= np.linalg.norm(unit)
    measured = held_out(kept, positive, values, method=options.method, l2=options.l2)
    accuracy = measured.pop("accuracy")
    return direction_from(
        unit * class_distance(kept, positive, unit),
        {
            "how": "fit",
            "attribute": options.attribute,
            "kind": "binary" if binary else "number",
            "method": options.method,
            "l2": options.l2,
            "scale": scale_of(kept),
            "threshold": options.threshold,
            "tails": options.tails,
            "keep_confident": options.keep_confident,
            "conditions": list(others),
            "num": len(used),
            "used": len(w),
            "positive": counts[0],
            "measured": measured,
        },
        accuracy=accuracy,
    )


def _others(
    conditions: Sequence[str | Path], model: Path, w_dim: int
) -> dict[str, np.ndarray]:
    """The directions to be left out, by their files' names."""
    found = {}
    for condition in conditions:
        path = find_direction(condition, model)
        array = load_direction(path).unit
        if array.shape != (w_dim,):
            raise UserError(
                f"{path} is {list(array.shape)} and a direction is fitted to one w of "
                f"[{w_dim}] for all layers: use stylegan-jax directions condition."
            )
        found[path.name] = array.astype(np.float64)
    return found


def _labelled(
    pictures: LatentPictures,
    table: str | Path,
    options: FitOptions,
    draws: DrawOptions,
) -> tuple[np.ndarray, np.ndarray, bool, dict[str, Any]]:
    """w, values, whether they are binary, and where they are from."""
    labels = read_labels(table, options.attribute)
    source = {
        **latents_document(dataclasses.replace(draws, num=len(labels.numbers))),
        "labels": {"file": Path(table).name, "sha256": sha256_of(table)},
    }
    if draws.w_file is None:
        if labels.key == "seed":
            source["latents"] = {"num": len(labels.numbers)}
        seeds = labels.numbers + (draws.seed if labels.key == "index" else 0)
        if int(seeds.max()) > MAX_SEED:
            raise UserError(f"{table} has rows beyond seed {MAX_SEED}.")
        w = draw_w(
            pictures,
            seeds.tolist(),
            truncation_psi=draws.truncation_psi,
            label=draws.label,
        )
        return w, labels.values, labels.binary, source
    latents = read_w(pictures, draws.w_file)
    numbers = np.arange(len(latents.w))
    if labels.key == "seed":
        if latents.seeds is None:
            raise UserError(
                f"{table} has labels by seed and {draws.w_file} has no seeds: give a "
                "column index."
            )
        numbers = latents.seeds
    rows = {int(number): row for row, number in enumerate(numbers)}
    unknown = [str(n) for n in labels.numbers.tolist() if n not in rows]
    if unknown:
        raise UserError(
            f"{draws.w_file} has no latents of {labels.key} {', '.join(unknown)}: "
            f"delete those rows of {table}."
        )
    chosen = [rows[n] for n in labels.numbers.tolist()]
    return latents.w[chosen], labels.values, labels.binary, source


def _reading_document(text: str, attribute: str, draws: DrawOptions) -> dict[str, Any]:
    """What readings depend on besides the generator, as JSON values."""
    reader = open_reader(text)
    check_attributes(reader, [attribute], text)
    return {
        **latents_document(draws),
        "noise": draws.noise_mode,
        "reader": reader_document(text, reader),
    }


def _readings(
    pictures: LatentPictures,
    text: str,
    draws: DrawOptions,
    path: Path,
    document: dict[str, Any],
    progress: Callable[[int], Any] | None,
) -> tuple[np.ndarray, Readings]:
    """W and what a reader reads, from the samples' file, which is made if absent."""
    if path.exists():
        return read_samples(path, document)
    latents = take_latents(pictures, draws)
    readings = read_pictures(pictures, latents, open_reader(text), progress=progress)
    write_samples(path, latents, readings, document)
    return latents.w, readings
