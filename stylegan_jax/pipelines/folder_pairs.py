"""A set of pairs from two folders whose pictures have the same names.

The set is written aside and takes its name when it is complete. Pictures are matched by
their path without ending, never by their place in a sorted list: one picture that is
missing on one side would shift all that follow.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stylegan_jax.data import images, prepare, sources
from stylegan_jax.data.pairs import PairDataset
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.data.records import write_arrayrecord
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines import pair_manifest as manifest
from stylegan_jax.pipelines.pair_scores import pixel_scores

# What `manifest.json` says of where the pairs are from; drawn pairs have a seed.
MADE_FROM = "folders"
# Sides of a pair may differ in size but not in shape: crops of another aspect would
# not show the same. Rounding of a resize stays below 1 % for sides of 64 pixels on.
ASPECT_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Options:
    """How two folders become pairs.

    Attributes:
        resolution: side, or (height, width), in pixels; None keeps the pictures' size,
            which must be one.
        storage: ``folder`` or ``arrayrecord``.
        resize: filter, as in `data.prepare`.
        channels: 1, 3 or 4.
        skip_unmatched: leave pictures without a partner out instead of refusing.
        reconstruct: pair every picture with itself; both folders are one.
        overwrite: replace a set that this function wrote.
    """

    resolution: int | tuple[int, int] | None = None
    storage: str = "folder"
    resize: images.Resize = "lanczos"
    channels: int = 3
    skip_unmatched: bool = False
    reconstruct: bool = False
    overwrite: bool = False

    def check(self) -> None:
        """Raises `UserError` where a value makes no sense."""
        for option, value, choices in (
            ("format", self.storage, manifest.STORAGES),
            ("resize", self.resize, images.FILTERS),
        ):
            if value not in choices:
                raise UsageError(
                    f"{option} is {value!r}, choose from {', '.join(choices)}."
                )
        images.check_channels(self.channels)


class _Match(NamedTuple):
    """One stem, and its place in both sources."""

    stem: str
    a: int
    b: int


class _Made(NamedTuple):
    """Both pictures of a pair as PNG, and the pair's scores."""

    a: bytes
    b: bytes
    scores: dict[str, float]


def pair_folders(
    src_a: str | os.PathLike,
    src_b: str | os.PathLike,
    dst: str | os.PathLike,
    options: Options | None = None,
    *,
    workers: int | None = None,
    progress: Progress = False,
) -> dict[str, Any]:
    """Writes a set of pairs; docs/pairs.md describes its files.

    Args:
        src_a: pictures of side A, whatever `data.sources.open_source` takes.
        src_b: pictures of side B.
        dst: the folder to write.
        options: see `Options`.
        workers: threads; None means one per core.
        progress: False, True (bar on a terminal), or called with (done, total).

    Returns:
        JSON values: ``out``, ``pairs``, ``image_shape``, and ``unmatched_a`` and
        ``unmatched_b``, the names that were left out.

    Raises:
        UserError: pictures without a partner, names that come twice, damaged pictures
            or sizes that do not agree (all are listed); one folder given twice; an
            existing ``dst``.
    """
    options = options or Options()
    options.check()
    wanted = options.resolution
    shape = None if wanted is None else prepare.parse_resolution(wanted)
    _check_reconstruct(src_a, src_b, options.reconstruct)
    ours = sources.open_source(src_a)
    theirs = ours if options.reconstruct else sources.open_source(src_b)
    _check_destination(dst, (src_a, src_b), options.overwrite)
    matches, unmatched = _match(ours, theirs, skip=options.skip_unmatched)
    shape = _check_pictures(ours, theirs, matches, shape, workers, progress)
    document = {
        "kind": manifest.KIND,
        "format": manifest.FORMAT,
        "made_from": MADE_FROM,
        "a": {"source": ours.name, "fingerprint": ours.fingerprint()},
        "b": {"source": theirs.name, "fingerprint": theirs.fingerprint()},
        "reconstruct": options.reconstruct,
        "resize": options.resize,
        "unmatched": unmatched,
        "storage": options.storage,
        "image_shape": [*shape, options.channels],
        "num": len(matches),
        "complete": True,
    }
    made = ordered_map(
        lambda i: _make(ours, theirs, matches[i], shape, options),
        len(matches),
        workers=workers,
        progress=progress,
        label="writing pairs",
    )
    with prepare.write_aside(dst) as temporary:
        _write(temporary, made, matches, options.storage)
        manifest.write_document(temporary, document)
    return {
        "out": str(dst),
        "pairs": len(matches),
        "image_shape": document["image_shape"],
        "unmatched_a": unmatched["a"],
        "unmatched_b": unmatched["b"],
    }


def open_pairs(
    path: str | os.PathLike,
    *,
    kept: bool = True,
    channels: int = 3,
    progress: Progress = False,
) -> PairDataset:
    """Opens a set of pairs, drawn or from folders.

    Args:
        path: its folder.
        kept: leave out pairs whose ``keep`` is false.
        channels: 1, 3 or 4.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: no complete set of pairs, or pictures that are missing, damaged or of
            another size (all are listed).
    """
    folder = Path(path)
    document = manifest.read_document(folder)
    if document is None or not document.get("complete"):
        raise UserError(
            f"{folder} is no complete set of pairs: make it with `stylegan-jax pairs` "
            "or `stylegan-jax data pairs`."
        )
    entries = manifest.read_pairs(folder, kept=kept)
    return PairDataset(folder, entries, channels=channels, progress=progress)


def _check_reconstruct(
    src_a: str | os.PathLike, src_b: str | os.PathLike, reconstruct: bool
) -> None:
    same = os.path.realpath(src_a) == os.path.realpath(src_b)
    if same and not reconstruct:
        raise UsageError(
            f"both sides are {src_a}: give two folders, or --reconstruct to pair every "
            "picture with itself."
        )
    if reconstruct and not same:
        raise UsageError(
            f"--reconstruct pairs every picture with itself, and {src_a} and {src_b} "
            "are two places: give one of them twice."
        )


def _check_destination(
    dst: str | os.PathLike, origins: Sequence[str | os.PathLike], overwrite: bool
) -> None:
    target = Path(dst)
    for origin in map(Path, origins):
        place, source = target.resolve(), origin.resolve()
        # Neither among the pictures, nor around them: the old set would go with them.
        if place.is_relative_to(source) or source.is_relative_to(place):
            raise UserError(
                f"{dst} and {origin}, a source, lie in each other: choose another "
                "destination."
            )
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise UserError(
            f"{dst} exists already: choose another name, or replace it with overwrite "
            "(--overwrite)."
        )
    try:
        found = manifest.read_document(target)
    except UserError:
        found = None
    # Only what this module wrote is ever deleted; drawn pairs took hours.
    if found is None or found.get("made_from") != MADE_FROM:
        raise UserError(
            f"{dst} is not a set of pairs that was made from folders, so it is not "
            "overwritten: move it away yourself."
        )


def _stems(source: sources.Source) -> dict[str, list[int]]:
    """Returns the places of every name without ending; one each is wanted."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(source.names):
        found[os.path.splitext(name)[0]].append(place)
    return found


def _match(
    ours: sources.Source, theirs: sources.Source, *, skip: bool
) -> tuple[list[_Match], dict[str, list[str]]]:
    """Pairs equal stems, in their sorted order; names of leftovers by side."""
    a, b = _stems(ours), _stems(theirs)
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
    matches = [_Match(s, a[s][0], b[s][0]) for s in sorted(a.keys() & b.keys())]
    if not matches:
        raise UserError(
            f"{ours.path} and {theirs.path} have no two pictures of the same name: "
            "pairs are matched by their path without ending."
        )
    return matches, unmatched


def _check_pictures(
    ours: sources.Source,
    theirs: sources.Source,
    matches: Sequence[_Match],
    shape: tuple[int, int] | None,
    workers: int | None,
    progress: Progress,
) -> tuple[int, int]:
    """Reads every header; the (height, width) that all pictures get."""
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
        if shape is not None and len(sizes) == 2 and not _alike(*sizes):
            said = f"{_said(sizes[0])} and {_said(sizes[1])}"
            problems.append(f"  {names[0]} and {names[1]}: differ in aspect, {said}")
    if problems:
        raise _refusal(problems, "" if shape else ", or make sizes one with --size")
    assert expected is not None  # there are matches, and none has a problem
    return expected


def _refusal(problems: Sequence[str], advice: str) -> UserError:
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


def _alike(one: tuple[int, int], two: tuple[int, int]) -> bool:
    left, right = one[0] * two[1], two[0] * one[1]
    return abs(left - right) <= ASPECT_TOLERANCE * max(left, right)


def _make(
    ours: sources.Source,
    theirs: sources.Source,
    match: _Match,
    shape: tuple[int, int],
    options: Options,
) -> _Made | list[str]:
    """Reads and fits both pictures; else what is wrong with them."""
    pictures, problems = [], []
    for source, place in ((ours, match.a), (theirs, match.b)):
        name = source.names[place]
        try:
            image = images.decode(source.read(place), name, channels=options.channels)
        except images.BrokenPicture as error:
            problems.append(f"  {source.path}: {name}: {error.reason}")
            continue
        pictures.append(images.fit(image, shape, options.resize))
    if problems:
        return problems
    a, b = pictures
    scores = pixel_scores(images.to_array(a), images.to_array(b))
    return _Made(images.encode_png(a), images.encode_png(b), scores)


def _write(
    out: Path,
    made: Iterator[_Made | list[str]],
    matches: Sequence[_Match],
    storage: str,
) -> None:
    """Writes pictures and ``manifest.jsonl``."""
    for side in manifest.SIDES:
        (out / side).mkdir(parents=True)
    lines, problems = [], []
    for index, (pair, match) in enumerate(zip(made, matches, strict=True)):
        if isinstance(pair, list):
            problems += pair
            continue
        line = manifest.line_of(index, 0, storage, pair.scores)
        del line["seed"], line["w"]  # only drawn pairs have them
        lines.append({**line, "stem": match.stem})
        for side, data in zip(manifest.SIDES, (pair.a, pair.b), strict=True):
            (out / side / f"{manifest.picture_name(index)}.png").write_bytes(data)
    if problems:
        raise _refusal(problems, "")
    manifest.write_lines(out, lines)
    if storage == "arrayrecord":
        for side in manifest.SIDES:
            files = sorted((out / side).iterdir())
            names = {"names": [file.name for file in files]}
            pictures = (file.read_bytes() for file in files)
            write_arrayrecord(str(out / f"{side}.arrayrecord"), pictures, names.copy)
            shutil.rmtree(out / side)
