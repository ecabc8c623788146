"""A set of pairs from two folders whose pictures have the same names.

The set is written aside and takes its name when it is complete. Pictures are matched by
their path without ending, never by their place in a sorted list: one picture that is
missing on one side would shift all that follow.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.data import images, prepare, sources
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.data.records import write_arrayrecord
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.folder_fitting import Fitting, Made, fit_pair
from stylegan_jax.pipelines.folder_instances import match_instances, write_instances
from stylegan_jax.pipelines.folder_matching import (
    Match,
    common_shape,
    match_pictures,
    refusal,
)
from stylegan_jax.pipelines.pair_curation import curate
from stylegan_jax.pipelines.pair_manifest import (
    check_same,
    line_of,
    write_document,
    write_lines,
)
from stylegan_jax.pipelines.pair_scores import Curation, Networks

# What `manifest.json` says of where the pairs are from; drawn pairs have a seed.
MADE_FROM = "folders"


@dataclasses.dataclass(frozen=True)
class Options:
    """How two folders become pairs.

    Attributes:
        resolution: side, or (height, width), in pixels; None keeps the pictures' size,
            which must be one.
        storage: ``folder`` or ``arrayrecord``.
        resize: filter, as in `data.prepare`.
        channels: 1, 3 or 4.
        channels_a: side A's, where they are other than side B's.
        labels_a: side A holds label maps: pictures of one channel whose values are
            class numbers. They are resized with nearest and keep their numbers.
        skip_unmatched: leave pictures without a partner out instead of refusing.
        reconstruct: pair every picture with itself; both folders are one.
        overwrite: replace a set that this function wrote.
    """

    resolution: int | tuple[int, int] | None = None
    storage: str = "folder"
    resize: images.Resize = "lanczos"
    channels: int = 3
    channels_a: int | None = None
    labels_a: bool = False
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
        if self.channels_a is not None:
            images.check_channels(self.channels_a)
        if self.labels_a and (self.reconstruct or self.channels_a is not None):
            other = "--reconstruct" if self.reconstruct else "--channels-a"
            raise UsageError(
                f"--labels-a and {other} exclude each other: label maps have one "
                "channel and are not the pictures that they describe."
            )

    def fitting(self, shape: tuple[int, int]) -> Fitting:
        """How pictures are made (height, width) ``shape``."""
        channels = (self.channels_a or self.channels, self.channels)
        return Fitting(shape, self.resize, channels, self.labels_a)

    def side_a(self) -> dict[str, Any]:
        """What ``manifest.json`` says of side A where it is presented otherwise."""
        if self.labels_a:
            return {"kind": manifest.LABELS, "channels": 1}
        other = self.channels_a not in (None, self.channels)
        return {"channels": self.channels_a} if other else {}


def pair_folders(
    src_a: str | os.PathLike,
    src_b: str | os.PathLike,
    dst: str | os.PathLike,
    options: Options | None = None,
    *,
    instances: str | os.PathLike | None = None,
    curation: Curation | None = None,
    workers: int | None = None,
    progress: Progress = False,
) -> dict[str, Any]:
    """Writes a set of pairs; docs/pairs.md describes its files.

    With ``curation``, a set that this call would write again the same is only judged
    anew, and what was scored is not scored again. Its sources are compared with what
    they were where they can be read; they need not be there any more.

    Args:
        src_a: pictures of side A, whatever `data.sources.open_source` takes.
        src_b: pictures of side B.
        dst: the folder to write.
        options: see `Options`.
        instances: maps of instances, one for every pair, by name; see
            `folder_instances`. None for none.
        curation: which pairs are kept; None keeps all. See `pair_curation.curate`.
        workers: threads; None means one per core.
        progress: False, True (bar on a terminal), or called with (done, total).

    Returns:
        JSON values: ``out``, ``pairs``, ``image_shape``, ``unmatched_a`` and
        ``unmatched_b`` (the names that were left out), ``written`` (whether the set is
        new), ``notes`` (sentences on what could not be compared), and with ``curation``
        ``kept`` and ``not_scored`` (sentences on scores that cannot be had).

    Raises:
        UserError: pictures without a partner, names that come twice, damaged pictures
            or sizes that do not agree (all are listed); one folder given twice; an
            existing ``dst``, or one of other sources.
    """
    options = options or Options()
    options.check()
    if curation is not None:
        curation.check()
    wanted = options.resolution
    shape = None if wanted is None else prepare.parse_resolution(wanted)
    _check_reconstruct(src_a, src_b, options.reconstruct)
    _check_apart(dst, [p for p in (src_a, src_b, instances) if p is not None])
    there = None if curation is None or options.overwrite else _complete(Path(dst))
    if there is not None and curation is not None:
        notes = _check_there(Path(dst), there, (src_a, src_b, instances), options)
        found = _told(Path(dst), there, notes)
        return found | _curate(Path(dst), curation)
    _check_destination(dst, options.overwrite)
    ours = sources.open_source(src_a)
    theirs = ours if options.reconstruct else sources.open_source(src_b)
    matches, unmatched = match_pictures(ours, theirs, skip=options.skip_unmatched)
    shape = common_shape(ours, theirs, matches, shape, workers, progress)
    maps, places = None, []
    if instances is not None:
        maps = sources.open_source(instances)
        places = match_instances(maps, theirs, matches)
    document = _document(ours, theirs, options, maps) | {
        "unmatched": unmatched,
        "image_shape": [*shape, options.channels],
        "num": len(matches),
    }
    how = options.fitting(shape)
    made = ordered_map(
        lambda i: fit_pair(ours, theirs, matches[i], how),
        len(matches),
        workers=workers,
        progress=progress,
        label="writing pairs",
    )
    with prepare.write_aside(dst) as temporary:
        lines = _write(temporary, made, matches, options.storage)
        if maps is not None:
            write_instances(temporary, maps, places, shape, lines, options.storage)
        write_lines(temporary, lines)
        write_document(temporary, document)
        found = _told(Path(dst), document, None)
        if curation is not None:
            found |= _curate(temporary, curation)
    return found


def _told(
    dst: Path, document: Mapping[str, Any], notes: list[str] | None
) -> dict[str, Any]:
    """What `pair_folders` returns of a set; notes are of one that was there."""
    return {
        "out": str(dst),
        "pairs": document["num"],
        "image_shape": document["image_shape"],
        "unmatched_a": document["unmatched"]["a"],
        "unmatched_b": document["unmatched"]["b"],
        "written": notes is None,
        "notes": notes or [],
    }


def _check_there(
    dst: Path,
    there: Mapping[str, Any],
    origins: Sequence[str | os.PathLike | None],
    options: Options,
) -> list[str]:
    """Refuses to judge a set of other sources or options than those that are given.

    Equal fingerprints mean the same names and pictures, so that nothing is matched or
    decoded again.

    Returns:
        A sentence for every source that cannot be read.
    """
    notes: dict[str, None] = {}
    wanted = {**there, **_settings(options)}
    for side, origin in zip(("a", "b", manifest.INSTANCES), origins, strict=True):
        if origin is None:
            wanted.pop(side, None)
            continue
        try:
            source = sources.open_source(origin)
            if not len(source):
                raise UserError("it holds no pictures any more")
            wanted[side] = _identity(source)
        except UserError as error:
            said = str(error).rstrip(".")
            notes[f"the set was not compared with {origin} ({said})"] = None
    wanted["a"] = {
        name: value
        for name, value in wanted["a"].items()
        if name not in ("kind", "channels")
    } | options.side_a()
    height, width, _ = there["image_shape"]
    if options.resolution is not None:
        height, width = prepare.parse_resolution(options.resolution)
    wanted["image_shape"] = [height, width, options.channels]
    check_same(dst, there, wanted)
    return list(notes)


def _document(
    ours: sources.Source,
    theirs: sources.Source,
    options: Options,
    maps: sources.Source | None,
) -> dict[str, Any]:
    """What ``manifest.json`` says but for what comes of matching the pictures."""
    return {
        "kind": manifest.KIND,
        "format": manifest.FORMAT,
        "made_from": MADE_FROM,
        "a": {**_identity(ours), **options.side_a()},
        "b": _identity(theirs),
        **({} if maps is None else {manifest.INSTANCES: _identity(maps)}),
        **_settings(options),
        "complete": True,
    }


def _identity(source: sources.Source) -> dict[str, str]:
    return {"source": source.name, "fingerprint": source.fingerprint()}


def _settings(options: Options) -> dict[str, Any]:
    return {
        "reconstruct": options.reconstruct,
        "resize": options.resize,
        "storage": options.storage,
    }


def _curate(folder: Path, curation: Curation) -> dict[str, Any]:
    """Marks the pairs of a set; how many are kept, and what could not be asked."""
    document = manifest.read_document(folder)
    assert document is not None  # the set is complete
    shapes = manifest.shapes(document)
    assert shapes is not None
    # Networks compare pictures in RGB: the side that is none decides.
    networks = Networks(next((s for s in shapes.values() if s[2] != 3), shapes["b"]))
    curate(folder, curation, networks)
    kept = manifest.counts(manifest.read_pairs(folder, kept=False))["kept"]
    return {"kept": kept, "not_scored": networks.not_scored}


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


def _check_apart(dst: str | os.PathLike, origins: Sequence[str | os.PathLike]) -> None:
    target = Path(dst)
    for origin in map(Path, origins):
        place, source = target.resolve(), origin.resolve()
        # Neither among the pictures, nor around them: the old set would go with them.
        if place.is_relative_to(source) or source.is_relative_to(place):
            raise UserError(
                f"{dst} and {origin}, a source, lie in each other: choose another "
                "destination."
            )


def _complete(folder: Path) -> dict[str, Any] | None:
    """The document of a complete set from folders; None of anything else."""
    try:
        found = manifest.read_document(folder)
    except UserError:
        return None
    if found is None or found.get("made_from") != MADE_FROM:
        return None
    return found if found.get("complete") else None


def _check_destination(dst: str | os.PathLike, overwrite: bool) -> None:
    target = Path(dst)
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


def _write(
    out: Path,
    made: Iterator[Made | list[str]],
    matches: Sequence[Match],
    storage: str,
) -> list[dict[str, Any]]:
    """Writes the pictures; the lines of ``manifest.jsonl``."""
    for side in manifest.SIDES:
        (out / side).mkdir(parents=True)
    lines, problems = [], []
    for index, (pair, match) in enumerate(zip(made, matches, strict=True)):
        if isinstance(pair, list):
            problems += pair
            continue
        line = line_of(index, 0, storage, pair.scores)
        del line["seed"], line["w"]  # only drawn pairs have them
        lines.append({**line, "stem": match.stem, **pair.more})
        for side, data in zip(manifest.SIDES, (pair.a, pair.b), strict=True):
            (out / side / f"{manifest.picture_name(index)}.png").write_bytes(data)
    if problems:
        raise refusal(problems, "")
    if storage == "arrayrecord":
        for side in manifest.SIDES:
            files = sorted((out / side).iterdir())
            names = {"names": [file.name for file in files]}
            pictures = (file.read_bytes() for file in files)
            write_arrayrecord(str(out / f"{side}.arrayrecord"), pictures, names.copy)
            shutil.rmtree(out / side)
    return lines
