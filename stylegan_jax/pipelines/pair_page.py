"""A page that shows a set of pairs and what was judged of them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.contact_sheet import viewable
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.pair_confidence import describe
from stylegan_jax.pipelines.pair_pictures import Pictures, refusal, sides_of
from stylegan_jax.pipelines.report_style import STYLE

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
# Pairs with a third picture.
THREE_STYLE = """
.pairs { grid-template-columns: repeat(auto-fill, minmax(312px, 1fr)); }
.pairs div { grid-template-columns: 1fr 1fr 1fr; }
"""


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
    curation = document.get("curation")
    notes = "".join(
        f"<p class=note>No score, and no bound: {html.escape(text)}.</p>"
        for text in (curation["not_scored"] if curation else ())
    )
    third = manifest.THIRD in manifest.sides(document)
    style = STYLE + PAGE_STYLE + (THREE_STYLE if third else "")
    shown = _thumbnails([*out[:SHOWN], *kept[:SHOWN]], pictures, document)
    sections = "".join(
        _section(title, part, shown) for title, part in (
            ("Pairs left out", out), ("Pairs kept", kept),
        )
    )  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Pairs</title><style>{style}</style></head><body><main>"
        f"<h1>{len(kept)} of {len(lines)} pairs kept</h1>"
        f'<p class="intro">{_bounds(document)} To overrule them, edit '
        "<code>keep</code> in "
        f"<code>manifest.jsonl</code>.</p>{notes}{sections}</main></body></html>\n"
    )


def _bounds(document: Mapping[str, Any]) -> str:
    """What is asked of pairs, in HTML."""
    curation, confidence = document.get("curation"), document.get("confidence")
    said = []
    if curation:
        low, high = curation["lpips"]
        said.append(
            f"Bounds: LPIPS from {low:g} to {high:g}, identity at least "
            f"{curation['identity']:g}, sharpness at least {curation['sharpness']:g} "
            "of the median."
        )
    if confidence:
        said.append(html.escape(f"Kept for {describe(confidence)}."))
    return " ".join(said)


def _thumbnails(
    lines: Sequence[Mapping[str, Any]],
    pictures: Pictures,
    document: Mapping[str, Any],
) -> dict[int, list[str]]:
    """All pictures of pairs as data URIs, by index."""
    found: dict[int, list[str]] = {}
    problems: list[str] = []
    for line in lines:
        try:
            read = [pictures.read(line, side) for side in sides_of(line)]
            # Class numbers are nearly black: an odd factor gives each its own grey.
            if manifest.has_labels(document):
                read[0] = read[0] * np.uint8(47)
            found[line["index"]] = [_thumbnail(picture) for picture in read]
        except UserError:
            problems += pictures.problems([line])
    if problems:
        raise refusal(problems, document)
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
        for side, data in zip(manifest.sides(line), thumbnails, strict=True)
    )
    said = "; ".join(line["reasons"]) or ", ".join(
        f"{name} {value:.3g}"
        for name, value in line["scores"].items()
        if name in ("lpips", "identity", "difference") or name.startswith("reading_")
        if value is not None
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
