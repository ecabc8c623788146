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
from stylegan_jax.data.sources import open_source
from stylegan_jax.pipelines import pair_manifest as manifest
from stylegan_jax.pipelines.contact_sheet import viewable
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


def curate(out: str | Path, curation: Curation, networks: Networks) -> None:
    """Scores the pairs of a complete set and marks those to keep.

    Pairs that have the networks' scores are not scored again. ``manifest.jsonl`` gets
    the scores, ``keep`` and ``reasons``; ``manifest.json`` the bounds;
    ``report.html`` shows every pair's pictures with its reasons.

    Args:
        out: the folder of the set.
        curation: the bounds.
        networks: what scores.

    Raises:
        UserError: the set is not complete, or a place cannot be written.
    """
    out = Path(out)
    lines = manifest.read_pairs(out, kept=False)
    _score(out, lines, networks)
    spmd.wait_for_all("pairs scored")
    if jax.process_index():
        return
    judged = judge(_scored(out, lines), curation)
    manifest.write_lines(out, judged)
    document = manifest.read_document(out) or {}
    bounds = {
        "lpips": list(curation.lpips),
        "identity": curation.identity,
        "sharpness": curation.sharpness,
    }
    document["curation"] = {**bounds, "left_out": networks.left_out}
    manifest.write_document(out, document)
    write_text(out / "report.html", page(judged, Pictures(out), document))


class Pictures:
    """The pictures of a set, wherever they are stored."""

    def __init__(self, out: Path):
        """Opens ``A`` and ``B``, folders or ArrayRecord files."""
        self._out = out
        self._records: dict[str, Any] = {}

    def read(self, line: Mapping[str, Any], side: str) -> np.ndarray:
        """One picture [H, W, C] uint8.

        Args:
            line: of the manifest.
            side: ``a`` or ``b``.
        """
        from PIL import Image

        where = line[side]
        if where.endswith(".arrayrecord"):
            if where not in self._records:
                self._records[where] = open_source(self._out / where)
            data = self._records[where].read(line["index"])
        else:
            data = (self._out / where).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            array = np.asarray(image)
        return array if array.ndim == 3 else array[:, :, None]


def _score(out: Path, lines: Sequence[Mapping[str, Any]], networks: Networks) -> None:
    """Scores this process's steps that are not scored yet, and records each."""
    if not networks.names:
        return
    pictures = Pictures(out)
    steps = range(0, len(lines), STEP)
    for start in steps[jax.process_index() :: jax.process_count()]:
        part = lines[start : start + STEP]
        if all(set(networks.names) <= set(scores) for scores in _known(out, part)):
            continue
        a, b = (np.stack([pictures.read(x, side) for x in part]) for side in "ab")
        found = networks.score(a, b)
        text = {str(x["index"]): s for x, s in zip(part, found, strict=True)}
        write_text(_record(out, part), json.dumps(text))


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
    """
    out = [line for line in lines if not line["keep"]]
    kept = [line for line in lines if line["keep"]]
    curation = document["curation"]
    notes = "".join(
        f"<p class=note>Left out: {html.escape(text)}.</p>"
        for text in curation["left_out"]
    )
    low, high = curation["lpips"]
    sections = "".join(
        _section(title, part, pictures) for title, part in (
            ("Left out", out), ("Kept", kept),
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


def _section(title: str, lines: Sequence[Mapping[str, Any]], pictures: Pictures) -> str:
    figures = "".join(_figure(line, pictures) for line in lines[:SHOWN])
    more = len(lines) - SHOWN
    rest = f'<p class="note">{more} more are not shown.</p>' if more > 0 else ""
    body = (
        f'<div class="pairs">{figures}</div>' if lines else '<p class="none">None.</p>'
    )
    return f"<h2>{title}: {len(lines)}</h2>{body}{rest}"


def _figure(line: Mapping[str, Any], pictures: Pictures) -> str:
    images = "".join(
        f'<img alt="{side.upper()} of pair {line["index"]}" '
        f'src="{_thumbnail(pictures.read(line, side))}">'
        for side in "ab"
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
