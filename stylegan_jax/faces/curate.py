"""``data curate``: which pictures are fit for training, and why the others are not."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylegan_jax.data import images, sources
from stylegan_jax.data.parallel import default_workers
from stylegan_jax.errors import UsageError, UserError, printable
from stylegan_jax.faces import quality
from stylegan_jax.faces.detectors import DlibFinder
from stylegan_jax.faces.duplicates import LPIPS_SIDE, lpips_distance, near_duplicates
from stylegan_jax.faces.landmarks import FileFinder, Finder, parse_faces, read_json
from stylegan_jax.faces.processes import process_map
from stylegan_jax.faces.records import FILE as ALIGN_FILE
from stylegan_jax.faces.records import read_entries
from stylegan_jax.faces.texts import TextFilter

FORMAT = 1
NO_FACE = "no face seen"
# Pictures that are held in memory to be compared with texts.
_TOGETHER = 16
# Each threshold with the measure it holds, and how a picture beyond it is called.
LOWEST = {
    "min_size": ("size", "small"),
    "min_sharpness": ("sharpness", "blurry"),
    "min_brightness": ("brightness", "dark"),
    "min_contrast": ("contrast", "flat"),
    "min_eyes": ("eyes", "eyes closed"),
    "clip_margin": ("clip", "other text"),
}
HIGHEST = {
    "max_brightness": ("brightness", "bright"),
    "max_clipped": ("clipped", "over- or underexposed"),
    "max_yaw": ("yaw", "side face"),
    "max_mouth": ("mouth", "mouth wide open"),
}


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """From where on a picture is left out. See `quality` for the measures.

    The defaults keep nearly all of FFHQ (of 400 photos at 256 px: all by sharpness and
    exposure, 96 % by yaw, 98 % by the eyes, where stricter values leave out people with
    narrow eyes).

    Attributes:
        min_size: pixels: the picture's smaller side, or its square's in the photo.
        min_sharpness: grey levels; 4 is a 64 px picture enlarged to 256.
        min_brightness: of 255.
        max_brightness: of 255.
        min_contrast: grey levels.
        max_clipped: share of black and white pixels.
        max_yaw: 0 is frontal, 1 the nose before an eye; needs landmarks.
        min_eyes: height over width; needs landmarks.
        max_mouth: height over width; needs landmarks.
        duplicate_bits: of 64; −1 keeps near-duplicates.
        lpips: LPIPS distance of near-duplicates; None does not ask it.
        clip_margin: how much more a picture must be like a text to keep than like one
            to drop, see `texts.TextFilter.measure`; needs texts.
    """

    min_size: float = 64
    min_sharpness: float = 6.0
    min_brightness: float = 40
    max_brightness: float = 225
    min_contrast: float = 12
    max_clipped: float = 0.3
    max_yaw: float = 0.9
    min_eyes: float = 0.12
    max_mouth: float = 0.7
    duplicate_bits: int = 6
    lpips: float | None = None
    clip_margin: float = 0.0

    def check(self) -> None:
        """Raises `UsageError` for a value that is no number, or no number of bits."""
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not math.isfinite(value):
                raise UsageError(f"{name} is {value}: give a number.")
        if not -1 <= self.duplicate_bits < quality.HASH_BITS:
            raise UsageError(
                f"duplicate_bits is {self.duplicate_bits}: hashes have "
                f"{quality.HASH_BITS} bits, and -1 keeps near-duplicates."
            )


@dataclasses.dataclass
class Verdict:
    """What is known of one picture, and whether it stays.

    Attributes:
        name: in its source.
        keep: whether it stays.
        reasons: why not; a kept picture with reasons was kept by hand, and one left out
            without reasons was left out by hand.
        measures: `quality`'s by name; ``None`` where it could not be taken.
    """

    name: str
    keep: bool
    reasons: list[str]
    measures: dict[str, Any]

    @property
    def by_hand(self) -> bool:
        """Whether a person decided otherwise than the thresholds."""
        return self.keep == bool(self.reasons)


def judge(
    source: sources.Source,
    thresholds: Thresholds,
    *,
    landmarks: str | None = None,
    detector: str = "auto",
    texts: TextFilter | None = None,
    manifest: str | os.PathLike | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> list[Verdict]:
    """Measures pictures and decides which stay.

    Args:
        source: the pictures.
        thresholds: what decides.
        landmarks: ``dlib``, which leaves out pictures without a face, or a file for
            `landmarks.FileFinder`; None takes the source's ``align.json``.
        detector: of dlib, one of `detectors.DETECTORS`.
        texts: what pictures should and should not be like; None does not ask.
        manifest: decides instead, for the pictures in it; see `read_manifest`.
        workers: processes; None means one per core.
        progress: called with (pictures measured, pictures to measure); texts count as
            further pictures.

    Returns:
        One verdict per picture, in the source's order; the same for any ``workers``.

    Raises:
        UserError: a manifest with pictures that the source does not have, landmarks or
            LPIPS weights that cannot be had.
    """
    thresholds.check()
    given = read_manifest(manifest) if manifest is not None else {}
    gone = sorted(given.keys() - set(source.names))
    if gone:
        raise UserError(
            f"{manifest} has pictures that {source.path} does not: "
            f"{', '.join(map(printable, gone))}; remove their entries, or check SRC."
        )
    todo = [i for i, name in enumerate(source.names) if name not in given]
    measurer = _Measurer(source, landmarks, detector)
    verdicts = dict(given)
    tick = progress or (lambda done, total: None)
    total = len(todo) * (2 if texts else 1)
    pool = process_map(measurer, todo, workers=workers or default_workers())
    measured: dict[int, tuple[dict[str, Any], str | None]] = {}
    for number, (index, found) in enumerate(zip(todo, pool, strict=True)):
        measured[index] = found
        tick(number + 1, total)
    if texts is not None:
        _compare(source, texts, measured, lambda done: tick(len(todo) + done, total))
    for index, (measures, reason) in measured.items():
        reasons = ([reason] if reason else []) + exceeded(measures, thresholds)
        name = source.names[index]
        verdicts[name] = Verdict(name, not reasons, reasons, measures)
    ordered = [verdicts[name] for name in source.names]
    _leave_out_duplicates(source, ordered, set(given), thresholds)
    return ordered


def exceeded(measures: dict[str, Any], thresholds: Thresholds) -> list[str]:
    """Lists the thresholds that a picture misses, each with its figure."""
    reasons = []
    for table, sign in ((LOWEST, -1), (HIGHEST, 1)):
        for threshold, (measure, word) in table.items():
            value, limit = measures.get(measure), getattr(thresholds, threshold)
            # A face may be turned to either side.
            size = abs(value) if measure == "yaw" and value is not None else value
            if size is not None and sign * size > sign * limit:
                beyond = "below" if sign < 0 else "above"
                reasons.append(f"{word}: {measure} {value:.3g}, {beyond} {limit:g}")
                if measure == "clip":
                    reasons[-1] += f' (most like "{measures.get("clip_text")}")'
    return reasons


def read_manifest(path: str | os.PathLike) -> dict[str, Verdict]:
    """Reads a manifest that a person may have edited.

    The file is ``{"format": 1, "pictures": [{"name", "keep", "reasons", "measures"},
    …]}``; a person changes ``keep``, and may remove pictures to have them judged anew.

    Returns:
        Name → verdict.

    Raises:
        UserError: not of that format; names all pictures whose entry is wrong.
    """
    document = read_json(path, "the manifest that data curate wrote")
    pictures = document.get("pictures") if isinstance(document, dict) else None
    if not isinstance(pictures, list) or document.get("format") != FORMAT:
        raise UserError(
            f"{path} is not a manifest of format {FORMAT}: give the manifest.json that "
            "data curate wrote."
        )
    found: dict[str, Verdict] = {}
    wrong = []
    for number, entry in enumerate(pictures):
        entry = entry if isinstance(entry, dict) else {}
        name, keep = entry.get("name"), entry.get("keep")
        reasons, measures = entry.get("reasons", []), entry.get("measures", {})
        if (
            not isinstance(name, str)
            or name in found
            or not isinstance(keep, bool)
            or not isinstance(measures, dict)
            or not isinstance(reasons, list)
            or not all(isinstance(reason, str) for reason in reasons)
        ):
            wrong.append(printable(name) if isinstance(name, str) else f"no. {number}")
        else:
            found[name] = Verdict(name, keep, reasons, measures)
    if wrong:
        raise UserError(
            f"{path}: these entries need one name and keep as true or false: "
            f"{', '.join(wrong)}."
        )
    return found


def manifest_text(
    verdicts: Iterable[Verdict],
    thresholds: Thresholds,
    texts: Mapping[str, Any] | None = None,
) -> str:
    """Formats a manifest for people: one picture per line.

    Args:
        verdicts: the pictures.
        thresholds: that were asked for.
        texts: what pictures were compared with, `TextFilter.to_json`.
    """
    lines = [
        "  "
        + json.dumps(
            {
                "name": v.name,
                "keep": v.keep,
                "reasons": v.reasons,
                "measures": v.measures,
            }
        )
        for v in verdicts
    ]
    head = f' "thresholds": {json.dumps(dataclasses.asdict(thresholds))},'
    if texts is not None:
        head += f'\n "texts": {json.dumps(texts)},'
    body = ",\n".join(lines)
    return f'{{"format": {FORMAT},\n{head}\n "pictures": [\n{body}\n]}}\n'


class _Measurer:
    """Measures one picture; travels to other processes without what cannot."""

    def __init__(self, source: sources.Source, landmarks: str | None, detector: str):
        self._source, self._detector = source, detector
        self._sides: dict[str, float] = {}
        self._finder: Finder | None = None
        self._dlib = landmarks == "dlib"
        folder = Path(source.path)
        if source.kind == "folder" and (folder / ALIGN_FILE).is_file():
            # The landmarks there are of the photos, not of the crops; no matter, as
            # poses do not depend on where and how large a face is.
            entries = read_entries(folder)[1].values()
            self._aligned = {f["output"]: f for e in entries for f in e["faces"]}
        else:
            self._aligned = {}
        if self._dlib:
            # Its refusals come here and not in another process.
            DlibFinder(detector=detector)
        elif landmarks is not None:
            self._finder = FileFinder(landmarks)

    def __call__(self, index: int) -> tuple[dict[str, Any], str | None]:
        """Returns the measures, and why there are none if so."""
        name = self._source.names[index]
        try:
            image = images.decode(self._source.read(index), name)
        except images.BrokenPicture as error:
            return {}, f"broken: {error.reason}"
        grey = image.convert("L")
        record = self._aligned.get(name, {})
        size, side = min(image.size), record.get("side")
        measures: dict[str, Any] = {
            "width": image.width,
            "height": image.height,
            "size": min(size, round(side)) if isinstance(side, float) else size,
            "sharpness": quality.sharpness(grey),
            **quality.exposure(grey),
            "hash": f"{quality.perceptual_hash(grey):016x}",
        }
        points, reason = self._points(name, image, record)
        if points is not None:
            measures |= quality.pose(points)
        return {k: _rounded(v) for k, v in measures.items()}, reason

    def _points(
        self, name: str, image: Image.Image, record: dict[str, Any]
    ) -> tuple[np.ndarray | None, str | None]:
        """The landmarks of the largest face, or why there are none where asked for."""
        if self._dlib and self._finder is None:
            self._finder = DlibFinder(detector=self._detector)
        faces = parse_faces([record.get("landmarks")]) or []
        if self._finder is not None:
            faces = self._finder.find(name, np.asarray(image))
        if faces:
            return faces[0].points, None
        return None, NO_FACE if self._dlib else None  # from a file: judged by the rest


def _compare(
    source: sources.Source,
    texts: TextFilter,
    measured: Mapping[int, tuple[dict[str, Any], str | None]],
    tick: Callable[[int], Any],
) -> None:
    """Adds to the measures what texts say of each picture that can be read."""
    whole = [index for index, (measures, _) in measured.items() if measures]
    for start in range(0, len(whole), _TOGETHER):
        some = whole[start : start + _TOGETHER]
        pictures = [images.decode(source.read(i), source.names[i]) for i in some]
        for index, found in zip(some, texts.measure(pictures), strict=True):
            measured[index][0].update({k: _rounded(v) for k, v in found.items()})
        tick(start + len(some))


def _rounded(value: Any) -> Any:
    """Four decimals are plenty, and make the manifest legible."""
    return round(value, 4) if isinstance(value, float) else value


def _leave_out_duplicates(
    source: sources.Source,
    verdicts: Sequence[Verdict],
    given: set[str],
    thresholds: Thresholds,
) -> None:
    """Takes ``keep`` from the less sharp of near-duplicates, but not against a person.

    Pictures whose ``keep`` a manifest gave stay, and others alike to them go.
    """
    unasked = thresholds.duplicate_bits < 0 and thresholds.lpips is None
    if unasked or len(given) == len(verdicts):
        return
    hashed = [
        i for i, v in enumerate(verdicts) if v.keep and _is_hash(v.measures.get("hash"))
    ]

    def rank(index: int) -> tuple[bool, float, int]:
        verdict = verdicts[index]
        sharp = verdict.measures.get("sharpness") or 0.0
        return verdict.name not in given, -float(sharp), index

    def read(index: int) -> np.ndarray:
        image = images.decode(source.read(index), source.names[index])
        side = (LPIPS_SIDE, LPIPS_SIDE)
        return np.asarray(image.resize(side, Image.Resampling.BOX))

    hashes = [0] * len(verdicts)
    for index in hashed:
        hashes[index] = int(verdicts[index].measures["hash"], 16)
    alike = near_duplicates(
        hashes,
        sorted(hashed, key=rank),
        bits=thresholds.duplicate_bits,
        lpips=thresholds.lpips,
        distance=lpips_distance(read) if thresholds.lpips is not None else None,
    )
    for index, (other, close) in alike.items():
        verdict = verdicts[index]
        if verdict.name not in given:
            verdict.keep = False
            reason = f"near-duplicate of {verdicts[other].name}: {close}"
            verdict.reasons.append(reason)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{16}", value) is not None
