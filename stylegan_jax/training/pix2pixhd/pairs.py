"""Pairs to train pix2pixHD on."""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from stylegan_jax.data.mixture import Weighted
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.pictures import parse_path, parse_resolution


def open_pairs(config: ConfigDict, *, progress: bool) -> Weighted:
    """Opens what a run trains on.

    Args:
        config: resolved; ``data.resolution`` is the side, None takes what is stored.
        progress: show a bar while pictures are read.

    Raises:
        UserError: unusable pairs, see `open_training_pairs`; pictures that are smaller
            than wanted.
        UsageError: no path, several, or pictures that are no squares.
    """
    section = config.data
    if section.path is None:
        raise UsageError(
            "There are no pairs to train on: say where they are with "
            "--config.data.path=FOLDER (a set that `stylegan-jax pairs` or "
            "`stylegan-jax data pairs` made)."
        )
    path = parse_path(section.path)
    if not isinstance(path, str | Path) or (
        "," in str(path) and not Path(path).exists()
    ):
        raise UsageError(
            f"data.path={path} is a list, and a run takes one set of pairs: make one "
            "set of them."
        )
    side = parse_resolution(section.resolution)
    if side is not None and not isinstance(side, int):
        raise UsageError(
            f"data.resolution={section.resolution} is no square, and pairs are trained "
            "on as squares: give one side."
        )
    pairs = open_training_pairs(
        path,
        target_size=side,
        source_size=side,
        source_labels=section.source_labels,
        source=section.source,
        target=section.target,
        second=section.second,
        instances=section.instances,
        progress=progress,
    )
    if side is not None and pairs.stored_side < side:
        raise UserError(
            f"the pairs in {path} are of {pairs.stored_side}x{pairs.stored_side} "
            f"pixels and data.resolution={side}, which would teach blur: make larger "
            f"pairs, or say --config.data.resolution={pairs.stored_side}."
        )
    return [(pairs, 1.0)]
