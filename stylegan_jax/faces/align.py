"""``data align``: the faces of many photos as aligned crops, with a record of each."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.atomic import write_bytes
from stylegan_jax.data import images, sources
from stylegan_jax.data.parallel import default_workers
from stylegan_jax.data.prepare import MAX_SIDE
from stylegan_jax.errors import UsageError, UserError, printable
from stylegan_jax.faces import quad as quads
from stylegan_jax.faces.crop import Outside, crop_square
from stylegan_jax.faces.detectors import CNN_WEIGHTS, THRESHOLD, DlibFinder, at_hand
from stylegan_jax.faces.landmarks import Face, FileFinder, Finder
from stylegan_jax.faces.names import check_names
from stylegan_jax.faces.processes import process_map
from stylegan_jax.faces.records import Records

# A square with a smaller share of the crop's pixels counts as enlarged.
UPSCALED = 0.9
_NO_CNN = (
    "faces in profile, bowed or behind hair are not looked for without dlib's second "
    f"detector: run stylegan-jax weights get {CNN_WEIGHTS}, then this command again"
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What an alignment depends on besides the photos.

    Attributes:
        size: side of the crops in pixels.
        mode: a key of `quad.MODES`.
        face: ``largest``, ``all``, or an index from 0 (the largest) on.
        landmarks: ``dlib``, or a file that `landmarks.FileFinder` reads.
        threshold: of dlib's detectors.
        detector: one of `detectors.DETECTORS`.
    """

    size: int = 1024
    mode: str = "ffhq"
    face: str = "largest"
    landmarks: str = "dlib"
    threshold: float = THRESHOLD
    detector: str = "auto"

    def check(self) -> None:
        """Raises `UsageError` for a value that there is not."""
        if not 1 <= self.size <= MAX_SIDE:
            raise UsageError(f"size is {self.size}: crops have 1 to {MAX_SIDE} pixels.")
        if self.mode not in quads.MODES:
            choices = ", ".join(quads.MODES)
            raise UsageError(f"mode is {self.mode!r}: choose from {choices}.")
        if self.face not in ("largest", "all") and not (
            self.face.isascii() and self.face.isdecimal()
        ):
            raise UsageError(
                f"face is {self.face!r}: give largest, all, or an index from 0 on."
            )
        at_hand(self.detector)

    def to_json(self) -> dict[str, Any]:
        """What ``align.json`` keeps; a landmarks file counts entry by entry."""
        found = dataclasses.asdict(self)
        if self.landmarks != "dlib":
            # Where the file lies does not matter; see `FileFinder.stamp`.
            found |= {"landmarks": "file", "threshold": None, "detector": None}
        return found

    @property
    def every(self) -> bool:
        """Whether faces besides the largest count."""
        return self.face != "largest"

    def finder(self) -> DlibFinder:
        """The finder with these settings; see there for what it raises."""
        return DlibFinder(self.threshold, detector=self.detector, every=self.every)


@dataclasses.dataclass(frozen=True)
class Aligned:
    """What `align` did.

    Attributes:
        path: the folder of crops.
        pictures: how many photos the source has.
        aligned: how many of them have a crop now.
        kept: how many of those had one before.
        crops: how many crops there are.
        failed: photo without a crop → the reason.
        incomplete: photo with crops of some faces, but not of others → the reason.
        unused: names in the landmarks file that the source does not have.
        upscaled: crops of squares that had notably fewer pixels in the photo.
        note: what was not looked for, and how it would be; None where nothing.
    """

    path: str
    pictures: int
    aligned: int
    kept: int
    crops: int
    failed: dict[str, str]
    incomplete: dict[str, str]
    unused: list[str]
    upscaled: int
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists for `json.dumps`."""
        return dataclasses.asdict(self)


def align(
    src: str | os.PathLike,
    dst: str | os.PathLike,
    settings: Settings | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> Aligned:
    """Aligns the faces of photos; run again, it does what has no crop yet.

    ``dst`` gets one PNG per face and ``align.json``, which `records.Records` describes.
    The pixels do not depend on the number of processes.

    Args:
        src: whatever `sources.open_source` takes.
        dst: folder of crops.
        settings: how; None means FFHQ's crops of 1024 pixels.
        overwrite: do all of it anew, where ``dst`` is an earlier alignment.
        workers: processes; None means one per core.
        progress: called with (photos done, photos).

    Raises:
        UserError: nothing to read, a folder that is no alignment with these settings,
            landmarks that cannot be had, or no room. Photos that fail raise nothing.
    """
    settings = settings or Settings()
    settings.check()
    source = sources.open_source(src)
    if not len(source):
        raise UserError(f"{src} holds no pictures: check the path.")
    check_names(source.names, str(src))
    outputs = output_stems(list(source.names))
    _check_destination(src, dst)
    given = None if settings.landmarks == "dlib" else FileFinder(settings.landmarks)
    asked = at_hand(settings.detector) if given is None else ()
    stamps = [_stamp(source, i, given) for i in range(len(source))]
    records = Records(dst, settings.to_json(), overwrite=overwrite)
    names = source.names
    looked = _looked(settings, asked)
    todo = [
        i
        for i in range(len(source))
        if not any(records.done(names[i], stamps[i] + by) for by in looked)
    ]
    tick = progress or (lambda done, total: None)
    kept = len(source) - len(todo)
    tick(kept, len(source))
    if todo:
        finder: Finder = given or settings.finder()
        worker = _Worker(source, str(dst), settings, outputs, finder)
        with records:
            pool = process_map(worker, todo, workers=workers or default_workers())
            for number, (index, entry) in enumerate(zip(todo, pool, strict=True)):
                stamp = stamps[index] + looked[0]
                records.add(names[index], {**entry, "stamp": stamp})
                tick(kept + number + 1, len(source))
    entries = records.close(list(names))
    faces = [face for entry in entries.values() for face in entry["faces"]]
    unused = given.names - set(names) if given else ()
    unseen = any(not entry.get("found", 1) for entry in entries.values())
    return Aligned(
        path=str(dst),
        pictures=len(source),
        aligned=sum(bool(entry["faces"]) for entry in entries.values()),
        kept=kept,
        crops=len(faces),
        failed={k: v["reason"] for k, v in entries.items() if not v["faces"]},
        incomplete={
            k: v["reason"] for k, v in entries.items() if v["faces"] and "reason" in v
        },
        unused=sorted(unused),
        upscaled=sum(face["side"] < UPSCALED * settings.size for face in faces),
        note=_NO_CNN if asked == ("hog",) and _lacking(settings, unseen) else None,
    )


class _Worker:
    """Aligns one photo; travels to other processes without what cannot."""

    def __init__(
        self,
        source: sources.Source,
        dst: str,
        settings: Settings,
        outputs: list[str],
        finder: Finder,
    ):
        self._source, self._dst, self._settings = source, dst, settings
        self._outputs = outputs
        self._finder: Finder | None = finder

    def __getstate__(self) -> dict[str, Any]:
        """Leaves dlib's objects behind: each process makes its own."""
        state = dict(self.__dict__)
        if isinstance(self._finder, DlibFinder):
            state["_finder"] = None
        return state

    def __call__(self, index: int) -> dict[str, Any]:
        """Writes the crops of one photo; returns its entry of ``align.json``."""
        if self._finder is None:
            self._finder = self._settings.finder()
        name = self._source.names[index]
        entry: dict[str, Any] = {"faces": []}
        try:
            image = images.decode(self._source.read(index), name)
        except images.BrokenPicture as error:
            return {**entry, "reason": error.reason}
        entry |= {"width": image.width, "height": image.height}
        found = self._finder.find(name, np.asarray(image))
        entry["found"] = len(found)
        chosen, reason = choose(found, self._settings)
        reasons = [reason] if reason else []
        for number, face in chosen:
            output = self._outputs[index] + (
                f"_{number:02d}.png" if self._settings.face == "all" else ".png"
            )
            try:
                cut = self._one(image, face, output)
            except (quads.NoSquare, Outside) as error:
                reasons.append(f"face {number}: {error}")
            else:
                entry["faces"].append({"index": number, **cut})
        return {**entry, "reason": "; ".join(reasons)} if reasons else entry

    def _one(self, image: Any, face: Face, output: str) -> dict[str, Any]:
        quad = quads.MODES[self._settings.mode](face.points)
        cut = crop_square(image, quad, self._settings.size)
        write_bytes(Path(self._dst) / output, images.encode_png(cut.image))
        return {
            "output": output,
            "detector": face.detector,
            "scores": dict(face.scores),
            "quad": quad.tolist(),
            "side": quads.side(quad),
            "transform": cut.transform.tolist(),
            "padded": cut.padded,
            "landmarks": face.points.tolist(),
        }


def choose(
    found: list[Face], settings: Settings
) -> tuple[list[tuple[int, Face]], str | None]:
    """Picks the faces that the settings ask for.

    Args:
        found: the largest first.
        settings: its ``face`` decides.

    Returns:
        The chosen faces with their indices, and why there is none, if so.
    """
    where = "seen" if settings.landmarks == "dlib" else "in the landmarks file"
    if not found:
        if where == "seen":
            where += f" (threshold {settings.threshold:g}; a lower one may see one)"
        return [], f"no face {where}"
    if settings.face == "all":
        return list(enumerate(found)), None
    index = 0 if settings.face == "largest" else int(settings.face)
    if index >= len(found):
        return [], f"no face {index}: only {len(found)} {where}, counted from 0"
    return [(index, found[index])], None


def output_stems(names: list[str]) -> list[str]:
    """Chooses the crops' names without suffix: the photo's, and different for each.

    Photos that differ in nothing but their suffix keep it (``a.jpg`` and ``a.png``
    become ``a.jpg.png`` and ``a.png.png``).

    Raises:
        UserError: two photos would still get the same name.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    # Some file systems do not tell upper from lower case.
    number = collections.Counter(stem.lower() for stem in stems)
    chosen = [
        name if number[stem.lower()] > 1 else stem
        for name, stem in zip(names, stems, strict=True)
    ]
    again = collections.Counter(stem.lower() for stem in chosen)
    twice = [
        printable(name)
        for name, stem in zip(names, chosen, strict=True)
        if again[stem.lower()] > 1
    ]
    if twice:
        raise UserError(
            f"the crops of {', '.join(twice)} would have the same name: rename them."
        )
    return chosen


def _stamp(source: sources.Source, index: int, finder: FileFinder | None) -> str:
    """What changes when a photo, or its landmarks in a file, change."""
    name = source.names[index]
    parts: list[Any] = [source.size(index)]
    if source.kind == "folder":
        parts.append(sources.modified(Path(source.path) / name))
    if finder is not None:
        parts.append(finder.stamp(name))
    return "-".join(map(str, parts))


def _looked(settings: Settings, asked: tuple[str, ...]) -> list[str]:
    """What follows the stamp of a photo that these detectors looked at.

    Where ``auto`` stands for more detectors than it did, photos whose further faces
    count are looked at again; where it stands for fewer, what more of them saw stays.

    Returns:
        What is written first, then what counts as well.
    """
    if settings.detector != "auto" or not settings.every or not asked:
        return [""]
    now, most = (f"-{'+'.join(names)}" for names in (asked, ("hog", "cnn")))
    return list(dict.fromkeys((now, most)))


def _lacking(settings: Settings, unseen: bool) -> bool:
    """Whether the second detector might have found more.

    Args:
        settings: of the alignment.
        unseen: whether a photo has no face that was seen.
    """
    return settings.detector == "auto" and (settings.every or unseen)


def _check_destination(src: str | os.PathLike, dst: str | os.PathLike) -> None:
    """Refuses to write crops among the photos, where they would be photos next time."""
    origin, target = Path(src).resolve(), Path(dst).resolve()
    if origin == target or (origin.is_dir() and origin in target.parents):
        raise UserError(
            f"{dst} lies inside {src}, the photos: choose another destination."
        )
    if target.exists() and not target.is_dir():
        raise UserError(f"{dst} is a file: name a folder for the crops.")
