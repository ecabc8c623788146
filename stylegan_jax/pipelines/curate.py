"""``data curate``: a folder of the pictures that stay, a manifest and a page of all."""

from __future__ import annotations

import collections
import dataclasses
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from stylegan_jax.data import images, sources
from stylegan_jax.data.prepare import check_destination, write_aside
from stylegan_jax.errors import UserError
from stylegan_jax.faces.curate import (
    NO_FACE,
    Thresholds,
    Verdict,
    judge,
    manifest_text,
)
from stylegan_jax.faces.names import check_names
from stylegan_jax.faces.texts import TextFilter
from stylegan_jax.pipelines.curate_page import MANIFEST, PAGE, curate_page

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Curated:
    """What `curate` did.

    Attributes:
        path: the new dataset.
        pictures: how many the source has.
        kept: how many stay.
        by_hand: how many a manifest decided otherwise than the thresholds.
        posed: how many had landmarks, so that pose and eyes were judged.
        unposed: how many could be read and had none; a picture that was left out as
            ``no face seen`` is of neither kind.
        reasons: kind of reason → how many pictures have it.
        rejected: name → reasons.
        texts: what pictures were compared with, `TextFilter.to_json`; or None.
    """

    path: str
    pictures: int
    kept: int
    by_hand: int
    posed: int
    unposed: int
    reasons: dict[str, int]
    rejected: dict[str, list[str]]
    texts: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists for `json.dumps`."""
        return dataclasses.asdict(self)


def curate(
    src: str,
    dst: str | os.PathLike,
    thresholds: Thresholds | None = None,
    *,
    landmarks: str | None = None,
    detector: str = "auto",
    texts: TextFilter | None = None,
    manifest: str | os.PathLike | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    thumbnails: int = 2000,
    progress: Callable[[int, int], Any] | None = None,
) -> Curated:
    """Copies the pictures that are fit for training, and tells why others are not.

    ``dst`` gets the kept pictures under their own names and bytes, ``dataset.json``
    with their labels, ``manifest.json`` and ``report.html``. It appears only when it is
    complete.

    Args:
        src: whatever `sources.open_source` takes.
        dst: folder to write.
        thresholds: from where on a picture is left out; None means the defaults.
        landmarks: see `faces.curate.judge`.
        detector: see there.
        texts: see there.
        manifest: the manifest of an earlier run, edited by a person: its ``keep``
            decides. May lie in ``dst``. With one, a ``dst`` that an earlier run made of
            a source of this name is replaced without ``overwrite``.
        overwrite: replace ``dst`` if this program wrote it.
        workers: processes; None means one per core.
        thumbnails: pictures shown on the page, at most, of the kept and of the left out
            each.
        progress: see `faces.curate.judge`.

    Raises:
        UserError: nothing to read, something at ``dst``, a manifest that does not fit,
            or no room. Nothing that stays raises nothing: the page tells why.
    """
    source = sources.open_source(src)
    if not len(source):
        raise UserError(f"{src} holds no pictures: check the path.")
    check_names(source.names, src)
    again = manifest is not None and _is_curated(dst, source.name)
    check_destination(dst, overwrite=overwrite or again, src=src)
    thresholds = thresholds or Thresholds()
    verdicts = judge(
        source,
        thresholds,
        landmarks=landmarks,
        detector=detector,
        texts=texts,
        manifest=manifest,
        workers=workers,
        progress=progress,
    )
    done = _summary(dst, verdicts, texts)
    with write_aside(dst) as aside:
        _write(aside, source, verdicts, thresholds, done.texts)
        shown = _shown(verdicts, thumbnails)
        pictures = {verdicts[i].name: _thumbnail(source, i) for i in shown}
        page = curate_page(source.name, verdicts, thresholds, done.to_json(), pictures)
        (aside / PAGE).write_text(page, encoding="utf-8")
    return done


def _is_curated(dst: str | os.PathLike, name: str) -> bool:
    """Whether ``dst`` is what `curate` wrote of a source of that name."""
    try:
        note = sources.open_source(dst).provenance()
    except UserError:
        return False
    return "curated" in note and note.get("source") == name


def _summary(
    dst: str | os.PathLike, verdicts: list[Verdict], texts: TextFilter | None
) -> Curated:
    rejected = {v.name: v.reasons for v in verdicts if not v.keep}
    kinds = collections.Counter(
        kind_of(reason)
        for reasons in rejected.values()
        for reason in (reasons or ["by hand"])
    )
    return Curated(
        path=str(dst),
        pictures=len(verdicts),
        kept=len(verdicts) - len(rejected),
        by_hand=sum(v.by_hand for v in verdicts),
        posed=sum("yaw" in v.measures for v in verdicts),
        unposed=sum(_is_unposed(v) for v in verdicts),
        reasons=dict(kinds.most_common()),
        rejected=rejected,
        texts=texts.to_json() if texts else None,
    )


def _is_unposed(verdict: Verdict) -> bool:
    """Whether nobody looked for landmarks in a picture that can be read."""
    measures = verdict.measures
    return bool(measures) and "yaw" not in measures and NO_FACE not in verdict.reasons


def kind_of(reason: str) -> str:
    """A reason without its figures, e.g. ``near-duplicate`` or ``blurry``."""
    return reason.split(":")[0].split(" of ")[0]


def _write(
    folder: Path,
    source: sources.Source,
    verdicts: list[Verdict],
    thresholds: Thresholds,
    texts: dict[str, Any] | None,
) -> None:
    """Writes the pictures, their labels and the manifest."""
    folder.mkdir(parents=True)
    labels = source.labels() or {}
    kept: dict[str, str] = {}
    for index, verdict in enumerate(verdicts):
        if verdict.keep:
            data = source.read(index)
            name = verdict.name + _missing_suffix(verdict.name, data)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            kept[verdict.name] = name
    pairs = [[name, labels[old]] for old, name in kept.items() if old in labels]
    note = {"curated": VERSION, "source": source.name, "num_images": len(kept)}
    document = {"labels": pairs or None, sources.PROVENANCE: note}
    (folder / sources.LABEL_FILE).write_text(json.dumps(document), encoding="utf-8")
    text = manifest_text(verdicts, thresholds, texts)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _missing_suffix(name: str, data: bytes) -> str:
    """What a name needs to count as a picture's; records of an archive have none."""
    if Path(name).suffix.lower() in images.SUFFIXES:
        return ""
    with Image.open(io.BytesIO(data)) as image:
        return f".{(image.format or 'png').lower()}"


def _shown(verdicts: list[Verdict], most: int) -> list[int]:
    """The first pictures of the kept and of the left out."""
    kept = [i for i, v in enumerate(verdicts) if v.keep][:most]
    return kept + [i for i, v in enumerate(verdicts) if not v.keep][:most]


def _thumbnail(source: sources.Source, index: int) -> bytes | None:
    """A small JPEG; None of a picture that cannot be read."""
    try:
        image = images.decode(source.read(index), source.names[index])
    except images.BrokenPicture:
        return None
    image.thumbnail((144, 144), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=80)
    return stream.getvalue()
