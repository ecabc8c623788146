"""Weighted lists of datasets: the style set and a few pictures of what it lacks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from stylegan_jax.data.dataset import ImageDataset, Samples, open_dataset
from stylegan_jax.errors import UserError

Weighted = list[tuple[Samples, float]]
# Of the choice of pictures that are held out.
_SPLIT_SEED = 0


def parse_paths(
    path: str | os.PathLike | Sequence[Any],
) -> list[tuple[str, float]]:
    """Reads one path, ``"a/:3,b/:1"``, or ``[(path, weight), ...]``.

    Text that names something on disk is one path, whatever commas and colons it has.
    In a list, a bare path counts with weight 1.

    Raises:
        UserError: nothing, or a weight that is not positive and finite.
    """
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        if os.path.exists(text) or not text.strip():
            items: list[tuple[str, Any]] = [(text, 1.0)] if text.strip() else []
        else:
            items = [_split(part) for part in text.split(",") if part.strip()]
    else:
        items = [
            (os.fspath(item), 1.0)
            if isinstance(item, str | os.PathLike)
            else (os.fspath(item[0]), item[1])
            for item in path
        ]
    if not items:
        raise UserError("no path of pictures was given (data.path is empty).")
    for name, weight in items:
        if not (
            isinstance(weight, int | float)
            and not isinstance(weight, bool)
            and weight > 0
            and math.isfinite(weight)
        ):
            raise UserError(
                f"the weight of {name} is {weight!r}, expected a positive number; leave"
                " the dataset out if it should not be used."
            )
    return [(name, float(weight)) for name, weight in items]


def open_mixture(path: str | os.PathLike | Sequence[Any], **options: Any) -> Weighted:
    """Opens every dataset of a weighted list.

    Args:
        path: see `parse_paths`.
        **options: for `dataset.open_dataset`.

    Returns:
        (dataset, weight) pairs, all of one image shape and one label dimension.

    Raises:
        UserError: as `open_dataset`, or the datasets do not fit together.
    """
    opened: Weighted = [
        (open_dataset(name, **options), weight) for name, weight in parse_paths(path)
    ]
    first = opened[0][0]
    for other, _ in opened[1:]:
        if other.image_shape != first.image_shape:
            raise UserError(
                f"{first.name} has pictures of {first.image_shape} and {other.name} of "
                f"{other.image_shape}: say which resolution to use "
                "(--config.data.resolution=256)."
            )
        if other.label_dim != first.label_dim:
            raise UserError(
                f"{first.name} has labels of {first.label_dim} classes or numbers and "
                f"{other.name} of {other.label_dim}: label them alike, or train "
                "without labels (data.labels=False)."
            )
    return opened


def hold_out(data: Weighted, share: float) -> tuple[Weighted, Weighted]:
    """Keeps a share of every dataset's pictures from training.

    Which ones depends on their number alone, so that a run goes on with the same after
    any restart, and runs with other seeds can be compared.

    Args:
        data: as `open_mixture` returns it.
        share: from 0 to 1; 0 keeps none back.

    Returns:
        What is trained on, and what is held out ([] for a share of 0).

    Raises:
        UserError: a dataset would have nothing on one of the sides.
    """
    if share <= 0:
        return data, []
    kept: Weighted = []
    held: Weighted = []
    for dataset, weight in data:
        count = round(dataset.num_images * share)
        if not 0 < count < dataset.num_images:
            raise UserError(
                f"holding out {share:g} of the {dataset.num_images} pictures of "
                f"{dataset.name} leaves nothing on one side: set "
                "--config.data.held_out=0, or another share."
            )
        order = np.random.default_rng(_SPLIT_SEED).permutation(dataset.num_images)
        held.append((dataset.part(np.sort(order[:count])), weight))
        kept.append((dataset.part(np.sort(order[count:])), weight))
    return kept, held


def reduced(data: Weighted, halvings: int) -> Weighted:
    """The same pictures at a lower resolution, see `ImageDataset.reduced`."""
    smaller: Weighted = []
    for dataset, weight in data if halvings else ():
        assert isinstance(dataset, ImageDataset)  # what `open_mixture` opens
        smaller.append((dataset.reduced(halvings), weight))
    return smaller or data


def _split(part: str) -> tuple[str, float]:
    part = part.strip()
    head, colon, tail = part.rpartition(":")
    if colon and head and head != "tfds" and not os.path.exists(part):
        try:
            return head, float(tail)
        except ValueError:
            pass
    return part, 1.0
