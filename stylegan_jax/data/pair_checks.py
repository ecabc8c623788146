"""What sets of pairs are refused for before training on them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from stylegan_jax.data import images
from stylegan_jax.data.pairs import PairDataset
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.errors import UserError

# Pairs that are looked at to tell whether sources are targets.
COMPARED = 64


def check_kind(path: str | os.PathLike, labels: bool, source_labels: int) -> None:
    """Refuses label maps where pictures are expected, and the other way round.

    Args:
        path: folder of the set, for what is said.
        labels: whether its sources are label maps.
        source_labels: the number of classes that were asked for; 0 for pictures.

    Raises:
        UserError: one without the other.
    """
    if labels and not source_labels:
        raise UserError(
            f"the sources in {path} are label maps, whose values are classes and no "
            "colours: say how many classes there are (--config.data.source_labels=19)."
        )
    if source_labels and not labels:
        raise UserError(
            f"the sources in {path} are pictures, and label maps of {source_labels} "
            "classes are expected: make the set of label maps (`stylegan-jax data "
            "pairs MAPS PICTURES OUT --labels-a`), or say "
            "--config.data.source_labels=0."
        )


def check_labels(pairs: PairDataset, labels: int, progress: Progress) -> None:
    """Refuses class numbers beyond the last; the manifest has each map's largest.

    Args:
        pairs: their first side is the label maps.
        labels: the number of classes.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: numbers beyond (all are listed), or damaged maps.
    """

    def largest(place: int) -> int | images.BrokenPicture:
        said = pairs.entries[place].get("largest_label")
        if type(said) is int:
            return said
        try:
            return int(pairs.get(place)[0].max())
        except images.BrokenPicture as error:
            return error

    found = list(
        ordered_map(largest, len(pairs), progress=progress, label="checking label maps")
    )
    _refuse_damaged(pairs, [x for x in found if isinstance(x, images.BrokenPicture)])
    beyond = [
        (entry, number)
        for entry, number in zip(pairs.entries, found, strict=True)
        if isinstance(number, int) and number >= labels
    ]
    if beyond:
        raise labels_beyond(pairs.path, labels, beyond)


def labels_beyond(path: str, labels: int, beyond: Sequence[tuple]) -> UserError:
    """Makes the error that lists maps with classes beyond the last.

    Args:
        path: folder of the set.
        labels: the number of classes.
        beyond: an entry of the manifest and the largest number, for every such map.
    """
    listed = "\n".join(
        f"  {entry['a']} (pair {entry['index']}): {number}" for entry, number in beyond
    )
    return UserError(
        f"{path}: {len(beyond)} label maps have classes beyond {labels - 1}, the last "
        f"of {labels}: mend them, or say how many classes there are (train "
        f"--config.data.source_labels=…, eval --classes …):\n{listed}"
    )


def check_apart(pairs: PairDataset) -> None:
    """Refuses a set most of whose sources are its targets.

    Args:
        pairs: their first side is the source, the second the target.

    Raises:
        UserError: more than half of those that were compared are equal.
    """
    most = min(COMPARED, len(pairs))
    places = np.linspace(0, len(pairs) - 1, most).round().astype(int)

    def equal(i: int) -> bool | images.BrokenPicture:
        try:
            source, target, _ = pairs.get(int(places[i]))
        except images.BrokenPicture as error:
            return error
        return bool(np.array_equal(source, target))

    found = list(ordered_map(equal, most))
    _refuse_damaged(pairs, [x for x in found if isinstance(x, images.BrokenPicture)])
    count = sum(x is True for x in found)
    if 2 * count > most:
        compared = "" if most == len(pairs) else " that were compared"
        raise UserError(
            f"the sources in {pairs.path} are its targets ({count} of {most} pairs"
            f"{compared} are equal, pixel for pixel), and an encoder would learn to "
            "copy: make pairs whose sides differ (`stylegan-jax data pairs SOURCES "
            "TARGETS OUT`), or, if that is meant, say so (train "
            "--config.data.reconstruct=true, eval --reconstruct)."
        )


def _refuse_damaged(
    pairs: PairDataset, problems: Sequence[images.BrokenPicture]
) -> None:
    if problems:
        listed = "\n".join(f"  {error.name}: {error.reason}" for error in problems)
        raise UserError(
            f"{pairs.path}: {len(problems)} pictures of pairs are damaged; mend them, "
            f"or set keep to false in manifest.jsonl:\n{listed}"
        )
