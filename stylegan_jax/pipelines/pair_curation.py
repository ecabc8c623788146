"""Curating pairs: scores by networks, what is kept, and a page that shows it."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.contact_sheet import viewable
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.images import BrokenPicture
from stylegan_jax.data.sources import open_source
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.pair_manifest import write_document, write_lines
from stylegan_jax.pipelines.pair_scores import Curation, Networks, judge
from stylegan_jax.pipelines.report_style import STYLE
from stylegan_jax.training import spmd

# Pairs that are scored between two writes.
STEP = 64
# Pairs of each kind on the page, and the side of their pictures.
SHOWN, THUMBNAIL = 400, 96

PAGE_STYLE = """
.pairs { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(212px, 1fr)); }
.pairs figure { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 8px; }
.pairs div { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; }
.pairs .out { border-color: var(--c1); }
.pairs figcaption { overflow-wrap: anywhere; }
"""


def curate(
    out: str | Path, curation: Curation, networks: Networks, *, first: int = 0
) -> None:
    """Scores the pairs of a complete set and marks those to keep.

    Pairs that have the networks' scores are not scored again. ``manifest.jsonl`` gets
    the scores, ``keep`` and ``reasons``; ``manifest.json`` the bounds;
    ``report.html`` shows every pair's pictures with its reasons. All of them stay as
    they are unless all can be written.

    Args:
        out: the folder of the set.
        curation: the bounds.
        networks: what scores.
        first: pairs of a lower index keep what the manifest says of them.

    Raises:
        UserError: the set is not complete, pictures are missing or damaged (all that
            were found are listed), or a place cannot be written.
    """
    out = Path(out)
    document = manifest.read_document(out) or {}
    lines = manifest.read_pairs(out, kept=False)
    pictures = Pictures(out, manifest.shapes(document))
    _score(out, lines, networks, pictures)
    spmd.wait_for_all("pairs scored")
    if jax.process_index():
        return
    _check_pictures(out, lines, networks, pictures, document)
    scored = _scored(out, lines)
    judged = [
        old if old["index"] < first else new
        for old, new in zip(scored, judge(scored, curation), strict=True)
    ]
    document["curation"] = {
        "lpips": list(curation.lpips),
        "identity": curation.identity,
        "sharpness": curation.sharpness,
        "not_scored": networks.not_scored,
        "judged": document.get("num", len(lines)),
    }
    shown = page(judged, pictures, document)
    write_lines(out, judged)
    write_text(out / "report.html", shown)
    write_document(out, document)


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


class Pictures:
    """The pictures of a set, wherever they are stored."""

    def __init__(
        self, out: Path, shapes: Mapping[str, tuple[int, int, int]] | None = None
    ):
        """Opens nothing yet.

        Args:
            out: folder of the set.
            shapes: (H, W, C) of all pictures of side ``a`` and ``b``; None takes any.
        """
        self._out, self._shapes = out, shapes
        self._records: dict[str, Any] = {}

    def read(self, line: Mapping[str, Any], side: str) -> np.ndarray:
        """One picture [H, W, C] uint8.

        Args:
            line: of the manifest.
            side: ``a`` or ``b``.

        Raises:
            BrokenPicture: it is missing, damaged or of another shape.
        """
        from PIL import Image

        where = line[side]
        try:
            if where.endswith(".arrayrecord"):
                if where not in self._records:
                    self._records[where] = open_source(self._out / where)
                data = self._records[where].read(line["index"])
            else:
                data = (self._out / where).read_bytes()
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise BrokenPicture(where, "unreadable", reason) from error
        try:
            with Image.open(io.BytesIO(data)) as image:
                array = np.asarray(image)
        # Damaged PNGs make Pillow raise SyntaxError, struct.error, zlib.error, ...
        except Exception as error:
            said = self._said(line, side)
            raise BrokenPicture(said, "unreadable", "damaged") from error
        array = array if array.ndim == 3 else array[:, :, None]
        if self._shapes is not None and self._shapes[side] != array.shape:
            reason = f"is {list(array.shape)} and not {list(self._shapes[side])}"
            raise BrokenPicture(self._said(line, side), "size", reason)
        return array

    def _said(self, line: Mapping[str, Any], side: str) -> str:
        where = line[side]
        return f"{where} record {line['index']}" if where in self._records else where

    def problems(self, lines: Sequence[Mapping[str, Any]]) -> list[str]:
        """What is wrong with pictures of pairs, a line for each."""
        found = []
        for line in lines:
            for side in "ab":
                try:
                    self.read(line, side)
                except UserError as error:
                    found.append(f"  {error}")
        return list(dict.fromkeys(found))


def _score(
    out: Path,
    lines: Sequence[Mapping[str, Any]],
    networks: Networks,
    pictures: Pictures,
) -> None:
    """Scores this process's steps that are not scored yet, and records each.

    Steps with pictures that cannot be read are left as they are: `_check_pictures`
    tells of them when no process is at work any more.
    """
    for part in _steps(lines)[jax.process_index() :: jax.process_count()]:
        if _has_scores(out, part, networks):
            continue
        try:
            a, b = (np.stack([pictures.read(x, side) for x in part]) for side in "ab")
        except UserError:
            continue
        found = networks.score(a, b)
        text = {str(x["index"]): s for x, s in zip(part, found, strict=True)}
        write_text(_record(out, part), json.dumps(text))


def _steps(lines: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    return [lines[start : start + STEP] for start in range(0, len(lines), STEP)]


def _has_scores(
    out: Path, part: Sequence[Mapping[str, Any]], networks: Networks
) -> bool:
    return all(set(networks.names) <= set(scores) for scores in _known(out, part))


def _check_pictures(
    out: Path,
    lines: Sequence[Mapping[str, Any]],
    networks: Networks,
    pictures: Pictures,
    document: Mapping[str, Any],
) -> None:
    """Refuses a set whose pictures could not all be scored, or will not be shown."""
    missing = {
        line[side]: f"  {line[side]}: is not there."
        for line in lines
        for side in "ab"
        if not (out / line[side]).is_file()
    }
    problems = list(missing.values())
    if not problems:
        for part in _steps(lines):
            if not _has_scores(out, part, networks):
                problems += pictures.problems(part)
    if problems:
        raise _refusal(problems, document)


def _refusal(problems: Sequence[str], document: Mapping[str, Any]) -> UserError:
    again = (
        "make the set anew with --overwrite"
        if "made_from" in document
        else "remove what is damaged and run the command again, which draws it anew"
    )
    listed = "\n".join(dict.fromkeys(problems))
    return UserError(
        f"pictures of pairs cannot be read, so that none was judged: {again}:\n{listed}"
    )


def _record(out: Path, part: Sequence[Mapping[str, Any]]) -> Path:
    return out / ".parts" / f"scores-{part[0]['index']:08d}.json"


def _known(out: Path, part: Sequence[Mapping[str, Any]]) -> list[Mapping[str, float]]:
    """The networks' scores that a step's record has; empty ones without."""
    try:
        found = json.loads(_record(out, part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    return [found.get(str(line["index"]), {}) for line in part]


def _scored(out: Path, lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lines with all scores."""
    scored = []
    for start in range(0, len(lines), STEP):
        part = lines[start : start + STEP]
        for line, scores in zip(part, _known(out, part), strict=True):
            scored.append({**line, "scores": {**line["scores"], **scores}})
    return scored


def page(
    lines: Sequence[Mapping[str, Any]],
    pictures: Pictures,
    document: Mapping[str, Any],
) -> str:
    """The contact sheet, one HTML page that needs no other file.

    Args:
        lines: of the manifest, judged.
        pictures: of the set.
        document: of the set, curated.

    Returns:
        The page.

    Raises:
        UserError: pictures that it shows are missing or damaged (all are listed).
    """
    out = [line for line in lines if not line["keep"]]
    kept = [line for line in lines if line["keep"]]
    curation = document["curation"]
    notes = "".join(
        f"<p class=note>No score, and no bound: {html.escape(text)}.</p>"
        for text in curation["not_scored"]
    )
    low, high = curation["lpips"]
    shown = _thumbnails([*out[:SHOWN], *kept[:SHOWN]], pictures, document)
    sections = "".join(
        _section(title, part, shown) for title, part in (
            ("Pairs left out", out), ("Pairs kept", kept),
        )
    )  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Pairs</title><style>{STYLE}{PAGE_STYLE}</style></head><body><main>"
        f"<h1>{len(kept)} of {len(lines)} pairs kept</h1>"
        f'<p class="intro">Bounds: LPIPS from {low:g} to {high:g}, identity at least '
        f"{curation['identity']:g}, sharpness at least {curation['sharpness']:g} of "
        "the median. To overrule them, edit <code>keep</code> in "
        f"<code>manifest.jsonl</code>.</p>{notes}{sections}</main></body></html>\n"
    )


def _thumbnails(
    lines: Sequence[Mapping[str, Any]],
    pictures: Pictures,
    document: Mapping[str, Any],
) -> dict[int, list[str]]:
    """Both pictures of pairs as data URIs, by index."""
    found: dict[int, list[str]] = {}
    problems: list[str] = []
    for line in lines:
        try:
            a, b = (pictures.read(line, side) for side in "ab")
            # Class numbers are nearly black: an odd factor gives each its own grey.
            a = a * np.uint8(47) if manifest.has_labels(document) else a
            found[line["index"]] = [_thumbnail(a), _thumbnail(b)]
        except UserError:
            problems += pictures.problems([line])
    if problems:
        raise _refusal(problems, document)
    return found


def _section(
    title: str, lines: Sequence[Mapping[str, Any]], shown: Mapping[int, Sequence[str]]
) -> str:
    figures = "".join(_figure(line, shown[line["index"]]) for line in lines[:SHOWN])
    more = len(lines) - SHOWN
    rest = f'<p class="note">{more} more are not shown.</p>' if more > 0 else ""
    body = (
        f'<div class="pairs">{figures}</div>' if lines else '<p class="none">None.</p>'
    )
    return f"<h2>{title}: {len(lines)}</h2>{body}{rest}"


def _figure(line: Mapping[str, Any], thumbnails: Sequence[str]) -> str:
    images = "".join(
        f'<img alt="{side} of pair {line["index"]}" src="{data}">'
        for side, data in zip(manifest.SIDES, thumbnails, strict=True)
    )
    said = "; ".join(line["reasons"]) or ", ".join(
        f"{name} {value:.3g}"
        for name, value in line["scores"].items()
        if name in ("lpips", "identity", "difference")
    )
    kind = "" if line["keep"] else ' class="out"'
    # Drawn pairs have a seed; pairs of two folders the name of their pictures.
    origin = f"seed {line['seed']}" if "seed" in line else line.get("stem", "")
    return (
        f"<figure{kind}><div>{images}</div><figcaption>{line['index']}, "
        f"{html.escape(str(origin))}<br>{html.escape(said)}</figcaption></figure>"
    )


def _thumbnail(picture: np.ndarray) -> str:
    from PIL import Image

    image = Image.fromarray(viewable(picture))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f"data:image/jpeg;base64,{data}"
