"""Curating pairs: scores by networks and by readers, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import pair_confidence
from stylegan_jax.pipelines.pair_confidence import Readings
from stylegan_jax.pipelines.pair_manifest import write_document, write_lines
from stylegan_jax.pipelines.pair_page import page
from stylegan_jax.pipelines.pair_pictures import Pictures, refusal, sides_of
from stylegan_jax.pipelines.pair_scores import Curation, Networks, judge
from stylegan_jax.training import spmd

# Pairs that are scored between two writes.
STEP = 64


class Scorer(Protocol):
    """What scores pairs: networks, or a reader of attributes."""

    @property
    def record(self) -> str:
        """The beginning of the names of files that keep the scores."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The scores of a pair."""
        ...

    @property
    def sides(self) -> tuple[str, ...]:
        """The pictures that `score` takes."""
        ...

    def score(self, *pictures: np.ndarray) -> Sequence[Mapping[str, float | None]]:
        """The scores of pairs, of [N, H, W, C] uint8 of every side."""
        ...


def curate(
    out: str | Path,
    curation: Curation | None,
    networks: Networks | None,
    *,
    first: int = 0,
    confidence: Mapping[str, Any] | None = None,
    readings: Readings | None = None,
) -> None:
    """Scores the pairs of a complete set and marks those to keep.

    Pairs that have the networks' scores are not scored again. ``manifest.jsonl`` gets
    the scores, ``keep`` and ``reasons``; ``manifest.json`` the bounds;
    ``report.html`` shows every pair's pictures with its reasons. All of them stay as
    they are unless all can be written.

    Args:
        out: the folder of the set.
        curation: the bounds; None for none.
        networks: what scores for them.
        first: pairs of a lower index keep what the manifest says of them.
        confidence: an entry of `pair_confidence` by which pairs are chosen too.
        readings: what reads for it; None where all pairs have been read.

    Raises:
        UserError: the set is not complete, pictures are missing or damaged (all that
            were found are listed), or a place cannot be written.
    """
    out = Path(out)
    document = manifest.read_document(out) or {}
    lines = manifest.read_pairs(out, kept=False)
    pictures = Pictures(out, manifest.shapes(document))
    scorers: list[Scorer] = [x for x in (networks, readings) if x is not None]
    for scorer in scorers:
        _score(out, lines, scorer, pictures)
    spmd.wait_for_all("pairs scored")
    if jax.process_index():
        return
    _check_pictures(out, lines, scorers, pictures, document)
    records = [x.record for x in scorers]
    if confidence is not None and readings is None:
        records.append(pair_confidence.record_of(confidence))
    scored = _scored(out, lines, records)
    judged = [
        old if old["index"] < first else new
        for old, new in zip(scored, _judged(scored, curation, confidence), strict=True)
    ]
    number = document.get("num", len(lines))
    if curation is not None:
        document["curation"] = {
            "lpips": list(curation.lpips),
            "identity": curation.identity,
            "sharpness": curation.sharpness,
            "not_scored": networks.not_scored if networks else [],
            "judged": number,
        }
    if confidence is not None:
        document["confidence"] = {**confidence, "judged": number}
    shown = page(judged, pictures, document)
    write_lines(out, judged)
    write_text(out / "report.html", shown)
    write_document(out, document)


def _judged(
    lines: Sequence[Mapping[str, Any]],
    curation: Curation | None,
    confidence: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """The lines with ``keep`` and ``reasons`` anew."""
    judged = [{**line, "keep": True, "reasons": []} for line in lines]
    if curation is not None:
        judged = judge(lines, curation)
    if confidence is None:
        return judged
    more = pair_confidence.reasons_of(lines, confidence)
    return [
        {**line, "keep": line["keep"] and not own, "reasons": line["reasons"] + own}
        for line, own in zip(judged, more, strict=True)
    ]


def bounds_of(
    out: str | Path, document: Mapping[str, Any]
) -> tuple[Curation, int] | None:
    """Reads what a set was curated with.

    Args:
        out: folder of the set, for what is said.
        document: of the set.

    Returns:
        The bounds, and the number of pairs that they judged; None where the set was
        never curated.

    Raises:
        UserError: the entry is damaged.
    """
    found = document.get("curation")
    if found is None:
        return None
    try:
        low, high = map(float, found["lpips"])
        curation = Curation(
            (low, high), float(found["identity"]), float(found["sharpness"])
        )
        curation.check()
        # Sets that were curated before it was noted were so as a whole.
        whole = document["num"] if document.get("complete") else 0
        return curation, int(found.get("judged", whole))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{out}/manifest.json has a damaged entry, curation ({error}): remove it "
            "and curate anew."
        ) from error


def _score(
    out: Path,
    lines: Sequence[Mapping[str, Any]],
    scorer: Scorer,
    pictures: Pictures,
) -> None:
    """Scores this process's steps that are not scored yet, and records each.

    Steps with pictures that cannot be read are left as they are: `_check_pictures`
    tells of them when no process is at work any more.
    """
    for part in _steps(lines)[jax.process_index() :: jax.process_count()]:
        if _has_scores(out, part, scorer):
            continue
        try:
            sides = [
                np.stack([pictures.read(line, side) for line in part])
                for side in scorer.sides
            ]
        except UserError:
            continue
        found = scorer.score(*sides)
        text = {str(x["index"]): s for x, s in zip(part, found, strict=True)}
        write_text(_record(out, part, scorer.record), json.dumps(text))


def _steps(lines: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    return [lines[start : start + STEP] for start in range(0, len(lines), STEP)]


def _has_scores(out: Path, part: Sequence[Mapping[str, Any]], scorer: Scorer) -> bool:
    known = _known(out, part, scorer.record)
    return all(set(scorer.names) <= set(scores) for scores in known)


def _check_pictures(
    out: Path,
    lines: Sequence[Mapping[str, Any]],
    scorers: Sequence[Scorer],
    pictures: Pictures,
    document: Mapping[str, Any],
) -> None:
    """Refuses a set whose pictures could not all be scored, or will not be shown."""
    missing = {
        line[side]: f"  {line[side]}: is not there."
        for line in lines
        for side in sides_of(line)
        if not (out / line[side]).is_file()
    }
    problems = list(missing.values())
    if not problems:
        for part in _steps(lines):
            if not all(_has_scores(out, part, scorer) for scorer in scorers):
                problems += pictures.problems(part)
    if problems:
        raise refusal(problems, document)


def _record(out: Path, part: Sequence[Mapping[str, Any]], name: str) -> Path:
    return out / ".parts" / f"{name}-{part[0]['index']:08d}.json"


def _known(
    out: Path, part: Sequence[Mapping[str, Any]], name: str
) -> list[Mapping[str, float]]:
    """The scores that a step's record has; empty ones without."""
    try:
        found = json.loads(_record(out, part, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    return [found.get(str(line["index"]), {}) for line in part]


def _scored(
    out: Path, lines: Sequence[Mapping[str, Any]], records: Sequence[str]
) -> list[dict[str, Any]]:
    """The lines with all scores that are recorded under these names."""
    scored = []
    for part in _steps(lines):
        known = [_known(out, part, name) for name in records]
        for line, *scores in zip(part, *known, strict=True):
            merged = dict(line["scores"])
            for more in scores:
                merged |= more
            scored.append({**line, "scores": merged})
    return scored
