"""Which pictures of two sources make pairs: by name, never by sort order."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from stylegan_jax.data import images, sources
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.errors import UserError

# Sides of a pair may differ in size but not in shape: crops of another aspect would
# not show the same. Rounding of a resize stays below 1 % for sides of 64 pixels on.
ASPECT_TOLERANCE = 0.01


class Match(NamedTuple):
    """Two pictures of one name.

    Attributes:
        stem: their path without ending.
        a: the place of side A's in its source.
        b: the place of side B's.
    """

    stem: str
    a: int
    b: int


def stems(source: sources.Source) -> dict[str, list[int]]:
    """The places in a source of every name without ending; one each is wanted."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(source.names):
        found[os.path.splitext(name)[0]].append(place)
    return found


def match_pictures(
    ours: sources.Source, theirs: sources.Source, *, skip: bool
) -> tuple[list[Match], dict[str, list[str]]]:
    """Matches the pictures of two sources by their path without ending.

    Args:
        ours: pictures of side A.
        theirs: pictures of side B.
        skip: leave pictures without a partner out instead of refusing.

    Returns:
        The matches, sorted by stem, and the names of leftovers by side (``a``, ``b``).

    Raises:
        UserError: names that come twice, pictures without a partner (all are listed),
            or no match.
    """
    a, b = stems(ours), stems(theirs)
    twice = [
        f"  {source.path}: {', '.join(source.names[i] for i in places)}"
        for source, stems in ((ours, a), (theirs, b))
        for places in stems.values()
        if len(places) > 1
    ]
    if twice:
        listed = "\n".join(dict.fromkeys(twice))
        raise UserError(
            "pairs are matched by name without ending, and these pictures have one "
            f"name: rename or remove all but one of each:\n{listed}"
        )
    unmatched = {
        "a": [ours.names[a[stem][0]] for stem in sorted(a.keys() - b.keys())],
        "b": [theirs.names[b[stem][0]] for stem in sorted(b.keys() - a.keys())],
    }
    left = [
        f"  {source.path}: {name}"
        for source, side in ((ours, "a"), (theirs, "b"))
        for name in unmatched[side]
    ]
    if left and not skip:
        listed = "\n".join(left)
        raise UserError(
            f"{len(left)} pictures have no partner of the same name on the other side: "
            f"add or remove them, or leave them out with --skip-unmatched:\n{listed}"
        )
    matches = [Match(s, a[s][0], b[s][0]) for s in sorted(a.keys() & b.keys())]
    if not matches:
        raise UserError(
            f"{ours.path} and {theirs.path} have no two pictures of the same name: "
            "pairs are matched by their path without ending."
        )
    return matches, unmatched


def common_shape(
    ours: sources.Source,
    theirs: sources.Source,
    matches: Sequence[Match],
    shape: tuple[int, int] | None,
    workers: int | None,
    progress: Progress,
) -> tuple[int, int]:
    """Reads every header.

    Args:
        ours: pictures of side A.
        theirs: pictures of side B.
        matches: the pairs.
        shape: (height, width) that is asked for; None asks for one that all have.
        workers: threads; None means one per core.
        progress: see `data.parallel.ordered_map`.

    Returns:
        The (height, width) that all pictures get.

    Raises:
        UserError: pictures that are damaged or do not fit (all are listed).
    """
    headers = ordered_map(
        lambda i: (_size(ours, matches[i].a), _size(theirs, matches[i].b)),
        len(matches),
        workers=workers,
        progress=progress,
        label="checking pairs",
    )
    problems: list[str] = []
    expected = shape
    for match, found in zip(matches, headers, strict=True):
        names = (ours.names[match.a], theirs.names[match.b])
        sizes: list[tuple[int, int]] = []
        for source, name, item in zip((ours, theirs), names, found, strict=True):
            if isinstance(item, str):
                problems.append(f"  {source.path}: {name}: {item}")
                continue
            sizes.append(item)
            if shape is None:
                expected = expected or item
                if item != expected:
                    said = f"is {_said(item)} where {_said(expected)} is expected"
                    problems.append(f"  {source.path}: {name}: {said}")
        if shape is not None and len(sizes) == 2 and not alike(*sizes):
            said = f"{_said(sizes[0])} and {_said(sizes[1])}"
            problems.append(f"  {names[0]} and {names[1]}: differ in aspect, {said}")
    if problems:
        raise refusal(problems, "" if shape else ", or make sizes one with --size")
    assert expected is not None  # there are matches, and none has a problem
    return expected


def refusal(problems: Sequence[str], advice: str) -> UserError:
    """The error that lists what is wrong with pictures."""
    listed = "\n".join(problems)
    return UserError(
        f"{len(problems)} pictures make no pairs: mend them, or remove them on both "
        f"sides{advice}:\n{listed}"
    )


def _size(source: sources.Source, place: int) -> str | tuple[int, int]:
    """A picture's (height, width), or what is wrong with it."""
    try:
        header = images.read_header(source.read(place), source.names[place])
    except images.BrokenPicture as error:
        return error.reason
    return header.height, header.width


def _said(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def alike(one: tuple[int, int], two: tuple[int, int]) -> bool:
    """Whether two (height, width) have nearly one aspect."""
    left, right = one[0] * two[1], two[0] * one[1]
    return abs(left - right) <= ASPECT_TOLERANCE * max(left, right)
