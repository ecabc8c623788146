"""``report.html`` of ``data curate``: every picture with the reason beside it.

Nothing is fetched when the page is opened. A person changes what stays by ticking
pictures and saves the manifest from the page.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from stylegan_jax.faces.curate import HIGHEST, LOWEST, Thresholds, Verdict
from stylegan_jax.pipelines.report_style import STYLE

PAGE = "report.html"
MANIFEST = "manifest.json"

_STYLE = """
.sheet { list-style: none; padding: 0; margin: 16px 0 0; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(148px, 1fr)); }
.sheet li { margin: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 8px; font-size: .8125rem; line-height: 1.4;
  overflow-wrap: anywhere; }
.sheet img, .sheet .none { aspect-ratio: 1; object-fit: contain; width: 100%; }
.sheet .none { display: grid; place-items: center; border: 1px dashed var(--line);
  border-radius: 6px; }
.sheet label { display: flex; gap: 6px; align-items: baseline; margin-top: 6px;
  font-weight: 600; cursor: pointer; }
.sheet ul { margin: 4px 0 0; padding: 0 0 0 1.1em; color: var(--c1); }
.sheet ul li { all: unset; display: list-item; }
.sheet li.changed { border-color: var(--c0); box-shadow: 0 0 0 1px var(--c0); }
.sheet .note { font-size: .75rem; }
.save { position: sticky; bottom: 0; display: flex; gap: 16px; align-items: center;
  background: var(--page); border-top: 1px solid var(--line); padding: 12px 0;
  margin-top: 32px; }
.save button { font: inherit; padding: 6px 16px; border-radius: 8px; cursor: pointer;
  border: 1px solid var(--c0); background: var(--c0); color: var(--page); }
.save button:disabled { opacity: .45; cursor: default; }
"""

# Keeps the manifest in step with the ticks, and hands it out as a file.
_SCRIPT = """
const manifest = JSON.parse(document.getElementById('manifest').textContent);
const before = manifest.pictures.map(picture => picture.keep);
const bar = document.querySelector('.save'), button = bar.querySelector('button');
const said = bar.querySelector('span');
bar.hidden = false;
for (const box of document.querySelectorAll('.sheet input')) {
  const index = +box.dataset.index;
  box.checked = before[index];  // browsers remember ticks over a reload
  box.disabled = false;
  box.onchange = () => {
    manifest.pictures[index].keep = box.checked;
    box.closest('li').classList.toggle('changed', box.checked !== before[index]);
    const number = manifest.pictures.filter((p, i) => p.keep !== before[i]).length;
    button.disabled = !number;
    said.textContent = number + (number === 1 ? ' picture' : ' pictures') + ' changed';
  };
}
button.onclick = () => {
  const blob = new Blob([JSON.stringify(manifest, null, 1)],
                        {type: 'application/json'});
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = 'manifest.json';
  link.click();
  URL.revokeObjectURL(link.href);
};
"""


def curate_page(
    title: str,
    verdicts: Sequence[Verdict],
    thresholds: Thresholds,
    summary: Mapping[str, Any],
    pictures: Mapping[str, bytes | None],
) -> str:
    """Writes the page.

    Args:
        title: the source's name.
        verdicts: of all pictures.
        thresholds: that were asked for.
        summary: ``pictures``, ``kept``, ``by_hand``, ``unposed``, ``reasons`` and
            ``texts``, as of `curate.Curated`.
        pictures: the pictures to show: name → a small JPEG, or None where there is no
            picture to show.

    Returns:
        HTML with everything in it.
    """
    document = {
        "format": 1,
        "thresholds": dataclasses.asdict(thresholds),
        "pictures": [dataclasses.asdict(verdict) for verdict in verdicts],
    }
    if summary.get("texts"):
        document["texts"] = summary["texts"]
    # "</script>" inside of a name must not end the element.
    embedded = json.dumps(document).replace("<", "\\u003c")
    heading = f"Curated: {html.escape(title)}"
    body = [
        f"<h1>{heading}</h1>",
        _intro(summary),
        _tiles(summary),
        _reasons(summary["reasons"]),
        _sheet("Left out", [v for v in verdicts if not v.keep], verdicts, pictures),
        _sheet("Kept", [v for v in verdicts if v.keep], verdicts, pictures),
        _thresholds(thresholds),
        '<div class="save" hidden><button disabled>Save manifest.json</button>'
        '<span role="status">no changes</span></div>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{STYLE}{_STYLE}</style></head>"
        f"<body><main>{''.join(body)}"
        "<footer>Written by stylegan-jax. This page is one file and fetches nothing."
        '</footer></main><script type="application/json" id="manifest">'
        f"{embedded}</script><script>{_SCRIPT}</script></body></html>\n"
    )


def _intro(summary: Mapping[str, Any]) -> str:
    text = (
        "Every picture with the reason why it was left out. To decide otherwise, tick "
        "or untick it and save the manifest below, or edit <code>manifest.json</code> "
        "by hand (<code>keep</code>); then run the same <code>stylegan-jax data curate "
        "SRC DST</code> again with <code>--manifest manifest.json</code> (its path): "
        "that replaces DST, and this page."
    )
    if summary["unposed"]:
        text += (
            f"</p><p>{summary['unposed']} of {summary['pictures']} pictures have no "
            "landmarks: "
            "their pose, eyes and mouth were not judged."
        )
    if texts := summary.get("texts"):
        keep, drop = (
            ", ".join(f"“{html.escape(text)}”" for text in texts[kind])
            for kind in ("keep", "drop")
        )
        text += (
            f"</p><p>Compared by CLIP with {keep} (to keep) and {drop} (to drop): "
            "<code>clip</code> is how much nearer the first are."
        )
    return f'<div class="intro"><p>{text}</p></div>'


def _tiles(summary: Mapping[str, Any]) -> str:
    figures = {
        "pictures": summary["pictures"],
        "kept": summary["kept"],
        "left out": summary["pictures"] - summary["kept"],
        "decided by hand": summary["by_hand"],
    }
    tiles = "".join(
        f"<div><b>{value}</b><span>{caption}</span></div>"
        for caption, value in figures.items()
    )
    return f'<div class="tiles">{tiles}</div>'


def _reasons(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(kind)}</th><td>{number}</td></tr>'
        for kind, number in reasons.items()
    )
    return (
        "<h2>Why pictures were left out</h2><p class='note'>A picture may have several "
        f"reasons.</p><div class='card'><table>{rows}</table></div>"
    )


def _sheet(
    title: str,
    some: Sequence[Verdict],
    verdicts: Sequence[Verdict],
    pictures: Mapping[str, bytes | None],
) -> str:
    """A contact sheet with a heading."""
    shown = [verdict for verdict in some if verdict.name in pictures]
    numbers = {verdict.name: i for i, verdict in enumerate(verdicts)}
    cards = "".join(_card(v, numbers[v.name], pictures[v.name]) for v in shown)
    more = len(some) - len(shown)
    note = f"<p class='note'>{more} more are in the manifest only.</p>" if more else ""
    empty = "" if some else "<p class='none'>None.</p>"
    return f'<h2>{title} ({len(some)})</h2>{note}{empty}<ul class="sheet">{cards}</ul>'


def _card(verdict: Verdict, index: int, picture: bytes | None) -> str:
    name = html.escape(verdict.name, quote=True)
    if picture is None:
        shown = '<div class="none">cannot be shown</div>'
    else:
        data = base64.b64encode(picture).decode()
        shown = f'<img loading="lazy" alt="{name}" src="data:image/jpeg;base64,{data}">'
    reasons = [html.escape(reason) for reason in verdict.reasons]
    if verdict.by_hand:
        reasons.append("kept by hand" if verdict.keep else "left out by hand")
    listed = "".join(f"<li>{reason}</li>" for reason in reasons)
    figures = ", ".join(
        f"{key} {verdict.measures[key]:.3g}"
        for key in ("size", "sharpness", "yaw", "eyes", "clip")
        if isinstance(verdict.measures.get(key), int | float)
    )
    ticked = " checked" if verdict.keep else ""
    return (
        f"<li>{shown}<label><input type='checkbox' disabled data-index='{index}'"
        f"{ticked}><span>{name}</span></label>"
        f"{f'<ul>{listed}</ul>' if listed else ''}"
        f"<div class='note'>{figures}</div></li>"
    )


def _thresholds(thresholds: Thresholds) -> str:
    words = {k: word for k, (_, word) in {**LOWEST, **HIGHEST}.items()}
    words |= {"duplicate_bits": "near-duplicate", "lpips": "near-duplicate"}
    rows = "".join(
        f'<tr><th scope="row">--{key.replace("_", "-")}</th>'
        f"<td>{'not asked' if value is None else f'{value:g}'}</td>"
        f"<td>{words[key]}</td></tr>"
        for key, value in dataclasses.asdict(thresholds).items()
    )
    return (
        "<details class='card' style='margin-top:48px'><summary>Thresholds</summary>"
        f"<table>{rows}</table></details>"
    )
