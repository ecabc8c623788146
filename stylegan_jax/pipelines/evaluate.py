"""Metrics of a model against a data set, with what they were measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.load import find_model, model_from
from stylegan_jax.checkpoints.model_file import read_model, sha256_of
from stylegan_jax.data.dataset import ImageDataset, open_dataset
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.metrics.swd import swd
from stylegan_jax.pipelines import evaluate_pairs as pairs

# Of a generator. Metric: what compares [N, H, W, C] uint8 real and fake pictures.
METRICS: dict[str, Callable[..., dict[str, float]]] = {"swd": swd}
# Pictures of each kind, where nobody says how many.
MOST = 2048


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    metrics: Sequence[str] | None = None,
    num: int | None = None,
    seed: int = 0,
    truncation_psi: float = 1.0,
    batch: int | None = None,
    skip_broken: bool = False,
    pair_options: Mapping[str, Any] | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Measures a generator on pictures, or a pSp or a student on pairs.

    Of a generator as many pictures are drawn as real ones are taken: ``num``, or all
    there are where they are fewer. A conditional model draws the labels of the real
    pictures. For pairs see `evaluate_pairs.evaluate_pairs`.

    Args:
        model: a model file or a run's folder.
        data: any data set that training takes.
        metrics: names, of `METRICS` or `evaluate_pairs.METRICS`; None means the usual
            ones.
        num: how many pictures of each kind, at most; None means `MOST` of a generator
            and all pairs.
        seed: of the choice of pictures, of the latents and of the metrics; a pSp is
            measured on its pairs in order.
        truncation_psi: of the generator.
        batch: about how many pictures are computed at a time.
        skip_broken: leave broken real pictures out instead of refusing.
        pair_options: for `evaluate_pairs.evaluate_pairs`: ``networks``, ``held_out``,
            ``reconstruct``, ``factor``, ``size``, ``classes``, ``attributes`` and
            ``per_pair``.
        progress: called with the number of pictures drawn since the last call.

    Returns:
        JSON values: ``metrics`` (name → figure) and their provenance: ``model``,
        ``model_sha256``, ``model_provenance``, ``data``, ``data_fingerprint``, and of a
        generator ``num_real``, ``num_fake``, ``seed``, ``truncation_psi``,
        ``noise_mode``.

    Raises:
        UserError: an unknown metric, a model of another family, options of another
            family, or data that do not fit the model.
    """
    if num is not None and num < 1:
        raise UsageError(f"a metric needs at least 1 picture, got {num}.")
    file = find_model(model)
    opened = model_from(read_model(file), where=file)
    about = {
        "model": str(file),
        "model_sha256": sha256_of(file),
        "model_provenance": opened.metadata.get("provenance", {}),
    }
    given = dict(pair_options or {})
    if isinstance(opened, pairs.MODELS):
        _check_for_pairs(file, seed, truncation_psi, skip_broken)
        found = pairs.evaluate_pairs(
            opened,
            data,
            metrics=metrics,
            num=num,
            batch=batch,
            progress=progress,
            **given,
        )
        return {"metrics": found.pop("metrics"), **about, **found}
    if not isinstance(opened, GeneratorNetwork):
        raise UserError(
            f"{file} is no generator, pSp or pix2pixHD model: give another one."
        )
    if any(given.values()):
        raise UsageError(
            f"{file} is a generator, and {', '.join(k for k, v in given.items() if v)} "
            "are for models of pairs: leave them out."
        )
    figures, measured = _evaluate_generator(
        opened,
        data,
        metrics=list(METRICS)[:1] if metrics is None else metrics,
        num=MOST if num is None else num,
        seed=seed,
        truncation_psi=truncation_psi,
        batch=batch,
        skip_broken=skip_broken,
        progress=progress,
    )
    return {"metrics": figures, **about, **measured}


def _check_for_pairs(
    file: Path, seed: int, truncation_psi: float, skip_broken: bool
) -> None:
    """Refuses options that have no meaning for a model of pairs."""
    given = [
        name
        for name, value in (
            ("seed", seed != 0),
            ("psi", truncation_psi != 1.0),
            ("skip-broken", skip_broken),
        )
        if value
    ]
    if given:
        raise UsageError(
            f"{file} is measured on pairs, and {', '.join(given)} are for a generator: "
            "leave them out."
        )


def _evaluate_generator(
    generator: GeneratorNetwork,
    data: str | Path,
    *,
    metrics: Sequence[str],
    num: int,
    seed: int,
    truncation_psi: float,
    batch: int | None,
    skip_broken: bool,
    progress: Callable[[int], Any] | None,
) -> tuple[dict[str, float], dict[str, Any]]:
    """The figures, and on what they were measured."""
    unknown = [name for name in metrics if name not in METRICS]
    if not metrics:
        raise UsageError(f"no metric was named: choose from {', '.join(METRICS)}.")
    if unknown:
        raise UsageError(
            f"unknown metrics '{', '.join(unknown)}': choose from {', '.join(METRICS)}."
        )
    dataset = _open(data, generator, skip_broken)
    real, labels = _choose(dataset, num, seed)
    # Not 0 … N-1: those are the seeds that people have looked at.
    seeds = np.random.default_rng((seed, 1)).integers(0, 2**32, len(real)).tolist()
    parts = []
    for part in generator.iter_images(
        seeds, truncation_psi=truncation_psi, labels=labels, batch=batch
    ):
        parts.append(part)
        if progress is not None:
            progress(len(part))
    fake = np.concatenate(parts)
    figures: dict[str, float] = {}
    for name in metrics:
        figures.update(METRICS[name](real, fake, seed=seed))
    return figures, {
        "data": str(data),
        "data_fingerprint": dataset.fingerprint,
        "num_real": len(real),
        "num_fake": len(fake),
        "seed": seed,
        "truncation_psi": truncation_psi,
        "noise_mode": "const",
    }


def _open(
    data: str | Path, generator: GeneratorNetwork, skip_broken: bool
) -> ImageDataset:
    height, width, channels = generator.image_shape
    dataset = open_dataset(
        data,
        resolution=(height, width),
        channels=channels,
        use_labels=generator.module.c_dim > 0,
        skip_broken=skip_broken,
    )
    if generator.module.c_dim not in (0, dataset.label_dim):
        raise UserError(
            f"the model knows {generator.module.c_dim} classes and {data} has "
            f"{dataset.label_dim}: give the data it was trained on."
        )
    return dataset


def _choose(
    dataset: ImageDataset, num: int, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Up to ``num`` pictures without repetition, and their labels if there are any."""
    order = np.random.default_rng((seed, 0)).permutation(len(dataset))[:num]
    items = [dataset[int(index)] for index in order]
    images = np.stack([item["image"] for item in items])
    labels = np.stack([item["label"] for item in items]) if dataset.label_dim else None
    return images, labels
