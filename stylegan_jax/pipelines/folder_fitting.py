"""The two pictures of a pair, read from two sources and made one size."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from stylegan_jax.data import images, label_maps, sources
from stylegan_jax.pipelines.folder_matching import Match
from stylegan_jax.pipelines.pair_scores import pixel_scores, rounded, sharpness


@dataclasses.dataclass(frozen=True)
class Fitting:
    """What pictures become.

    Attributes:
        shape: (height, width) of both.
        resize: filter, as in `data.prepare`.
        channels: side A's and side B's; 1, 3 or 4.
        labels: side A's are label maps, whose numbers are kept.
    """

    shape: tuple[int, int]
    resize: images.Resize
    channels: tuple[int, int]
    labels: bool


class Made(NamedTuple):
    """A pair, ready to be written.

    Attributes:
        a: PNG.
        b: PNG.
        scores: what can be told without a network.
        more: what else its line in the manifest says.
    """

    a: bytes
    b: bytes
    scores: dict[str, float]
    more: dict[str, Any]


def fit_pair(
    ours: sources.Source, theirs: sources.Source, match: Match, how: Fitting
) -> Made | list[str]:
    """Reads and fits both pictures.

    Args:
        ours: pictures of side A.
        theirs: pictures of side B.
        match: the pair.
        how: see `Fitting`.

    Returns:
        The pair; else what is wrong with its pictures, a line for each.
    """
    read, problems = [], []
    for source, place, labels, channels in (
        (ours, match.a, how.labels, how.channels[0]),
        (theirs, match.b, False, how.channels[1]),
    ):
        name = source.names[place]
        try:
            data = source.read(place)
            if labels:
                image = label_maps.fit(label_maps.decode(data, name), how.shape)
            else:
                image = images.decode(data, name, channels=channels)
                image = images.fit(image, how.shape, how.resize)
        except images.BrokenPicture as error:
            problems.append(f"  {source.path}: {name}: {error.reason}")
            continue
        read.append(image)
    if problems:
        return problems
    a, b = (images.to_array(image) for image in read)
    one, two = (images.encode_png(image) for image in read)
    return Made(one, two, *_told(a, b, how.labels))


def _told(
    a: np.ndarray, b: np.ndarray, labels: bool
) -> tuple[dict[str, float], dict[str, Any]]:
    if labels:
        # Numbers of classes are neither near a picture nor sharp.
        return {"sharpness_b": rounded(sharpness(b))}, {"largest_label": int(a.max())}
    return pixel_scores(a, b), {}
