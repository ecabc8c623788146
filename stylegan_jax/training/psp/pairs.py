"""Pairs to train pSp on: a set of pairs, or pictures that are their own source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from stylegan_jax.data.dataset import Samples
from stylegan_jax.data.mixture import Weighted, open_mixture
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.pictures import parse_path, parse_resolution
from stylegan_jax.training.psp.presets import LARGEST_COMPARED


def compared_side(config: ConfigDict, decoder_side: int) -> int:
    """The side that outputs and targets are compared at.

    Args:
        config: data.resolution is the side; None derives it.
        decoder_side: of the decoder's pictures.

    Raises:
        UsageError: it is larger than what the decoder draws, or no square.
    """
    wanted = parse_resolution(config.data.resolution)
    if wanted is None:
        return min(decoder_side, LARGEST_COMPARED)
    if not isinstance(wanted, int):
        raise UsageError(
            f"data.resolution={config.data.resolution} is no square, and pSp's encoder "
            "takes square pictures: give one side."
        )
    if wanted > decoder_side:
        raise UsageError(
            f"data.resolution={wanted} and the decoder draws {decoder_side}x"
            f"{decoder_side}: pairs are compared at no more than the decoder's size."
        )
    return wanted


class OwnSources:
    """Pictures that are source and target in one, for ``data.reconstruct``.

    Attributes:
        pictures: the data set.
    """

    def __init__(self, pictures: Samples, key: str = "image"):
        """Args: pictures of one shape, and what a sample calls its picture."""
        self.pictures, self._key = pictures, key
        self.name, self.label_dim = pictures.name, 0
        self.num_images = pictures.num_images
        self.image_shape = pictures.image_shape
        self.fingerprint = pictures.fingerprint

    def part(self, places: np.ndarray) -> OwnSources:
        """Some of the pictures, as a set of its own."""
        return OwnSources(self.pictures.part(places), self._key)

    def __len__(self) -> int:
        """Number of pictures."""
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """``target`` uint8 [H, W, 3]; there is no source of its own."""
        return {"target": self.pictures[index][self._key]}


def open_pairs(
    config: ConfigDict, workdir: Path, *, size: int, decoder_side: int, progress: bool
) -> Weighted:
    """Opens what a run trains on.

    Args:
        config: resolved.
        workdir: the run's folder; converted pictures are kept in its ``data/``.
        size: side that outputs and targets are compared at.
        decoder_side: of the decoder's pictures.
        progress: show a bar while pictures are read.

    Raises:
        UserError: unusable pairs, see `open_training_pairs`, or a decoder of another
            size than the targets while data.resolution does not say so.
        UsageError: no path.
    """
    section = config.data
    if section.path is None:
        raise UsageError(
            "There are no pairs to train on: say where they are with "
            "--config.data.path=FOLDER (a set that `stylegan-jax pairs` or "
            "`stylegan-jax data pairs` made; pictures, with "
            "--config.data.reconstruct=true)."
        )
    path = parse_path(section.path)
    if section.reconstruct and not is_pair_set(path):
        opened = open_mixture(
            path,
            resolution=size,
            cache_dir=workdir / "data",
            skip_broken=section.skip_broken,
            progress=progress,
        )
        return [(OwnSources(pictures), weight) for pictures, weight in opened]
    if not isinstance(path, str | Path) or (
        "," in str(path) and not Path(path).exists()
    ):
        raise UsageError(
            f"data.path={path} is a list, and a run takes one set of pairs: make one "
            "set of them."
        )
    pairs = open_training_pairs(
        path,
        target_size=size,
        source_size=config.model.input_size,
        source_channels=section.source_channels,
        source_labels=section.source_labels,
        reconstruct=section.reconstruct,
        progress=progress,
    )
    if section.resolution is None:
        _check_sizes(path, pairs.stored_side, decoder_side)
    if section.reconstruct:
        return [(OwnSources(pairs, "target"), 1.0)]
    return [(pairs, 1.0)]


def is_pair_set(path: Any) -> bool:
    """Whether a path is the folder of a set of pairs."""
    return isinstance(path, str | Path) and Path(path, "manifest.json").is_file()


def _check_sizes(path: Any, stored: int, decoder: int) -> None:
    """Refuses a decoder that was not made for these targets."""
    if stored == decoder or min(stored, decoder) >= LARGEST_COMPARED:
        return
    smaller = min(stored, decoder)
    raise UserError(
        f"the decoder draws {decoder}x{decoder} and the targets in {path} are {stored}x"
        f"{stored}: give the generator that the targets were drawn with, or say "
        f"--config.data.resolution={smaller} to compare them at {smaller} pixels."
    )
