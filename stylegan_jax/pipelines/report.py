"""``report.html``: one self-contained page about a run, and what was made from it.

Nothing is fetched when the page is opened: pictures are embedded, curves are SVG.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import report_html as parts
from stylegan_jax.pipelines import report_run as run
from stylegan_jax.pipelines.report_style import SCRIPT, STYLE


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page of its own.

    Attributes:
        title: its heading.
        text: paragraphs, apart by blank lines; plain text.
        pictures: files and their captions, side by side.
        table: rows, name and value.
    """

    title: str
    text: str = ""
    pictures: Sequence[tuple[str | Path, str]] = ()
    table: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Chapter:
    """A step of a longer story, with a heading that stands out.

    Attributes:
        title: its heading.
        text: paragraphs, apart by blank lines; plain text.
        headline: the one figure that counts, shown larger still, and its caption.
        figures: shown large under the text: caption → value.
        sections: its parts.
        run: a run's folder whose samples and curves are shown; None for none.
        curves: titles of the curves, of `report_run.CURVES`; None means all.
        commands: what a person would type to do the same.
        own: how to do it with other pictures: a sentence and its command lines (or "").
    """

    title: str
    text: str = ""
    headline: tuple[str, str] | None = None
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sections: Sequence[Section] = ()
    run: str | Path | None = None
    curves: Sequence[str] | None = None
    commands: Sequence[str] = ()
    own: Sequence[tuple[str, str]] = ()


def write_report(
    workdir: str | Path,
    *,
    title: str,
    intro: str,
    sections: Sequence[Section] = (),
    chapters: Sequence[Chapter] = (),
    next_steps: Sequence[tuple[str, str]] = (),
    machine: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> Path:
    """Writes ``report.html`` into a run's folder, atomically.

    The page shows what the folder holds: ``stats.jsonl``, ``samples/*.png`` and
    ``config.json``; whatever is absent is left out.

    Args:
        workdir: the run's folder.
        title: the page's heading.
        intro: a paragraph or two under it; plain text, paragraphs apart by blank lines.
        sections: further parts, put after the curves.
        chapters: what was made from the run; the page numbers them, and lists them
            under the intro. The first is the run's own: its heading, text and commands
            enclose the run's parts and ``sections``.
        next_steps: what to do next: a sentence and its command line (or "").
        machine: rows about the machine for the table, e.g. ``{"device": "cpu"}``.
        figures: further figures for the top: caption → value.

    Returns:
        The page's path.

    Raises:
        UserError: there is no such folder, a picture cannot be read, or the page
            cannot be written.
    """
    workdir = Path(workdir)
    if not workdir.is_dir():
        raise UserError(f"there is no run's folder {workdir}: check the name.")
    stats = run.read_stats(workdir / "stats.jsonl")
    tiles = {**run.run_tiles(stats), **(figures or {})}
    heading = "h3" if chapters else "h2"
    own = [
        parts.tile_row(tiles),
        run.samples(workdir / "samples", heading),
        run.film(workdir / "samples", heading),
        run.curves(stats, heading),
        *(_section(section, heading) for section in sections),
    ]
    if chapters:
        told = [_chapter(1, chapters[0], "".join(own))]
        told += [_chapter(i, later) for i, later in enumerate(chapters[1:], 2)]
    else:
        told = own
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f'<div class="intro">{parts.paragraphs(intro)}</div>',
        _contents(chapters),
        *told,
        _next(next_steps),
        _tables(run.read_config(workdir / "config.json"), machine or {}),
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}"
        "<footer>Written by stylegan-jax. This page is one file and fetches nothing."
        f"</footer></main><script>{SCRIPT}</script></body></html>\n"
    )
    path = workdir / "report.html"
    write_text(path, page)
    return path


def _contents(chapters: Sequence[Chapter]) -> str:
    if not chapters:
        return ""
    links = "".join(
        f'<a href="#chapter-{i}"><b>{i}</b> {html.escape(chapter.title)}</a>'
        for i, chapter in enumerate(chapters, 1)
    )
    return f'<nav class="contents">{links}</nav>'


def _chapter(number: int, chapter: Chapter, own: str = "") -> str:
    """A chapter; ``own`` goes between its text and its commands."""
    body = [
        parts.paragraphs(chapter.text),
        parts.headline(*chapter.headline) if chapter.headline else "",
        parts.tile_row(chapter.figures),
        own,
    ]
    if chapter.run is not None:
        stats = run.read_stats(Path(chapter.run, "stats.jsonl"))
        body.append(run.samples(Path(chapter.run, "samples"), "h3"))
        body.append(run.film(Path(chapter.run, "samples"), "h3"))
        body.append(run.curves(stats, "h3", chapter.curves))
    body += [_section(section, "h3") for section in chapter.sections]
    body.append(parts.commands(chapter.commands))
    if chapter.own:
        body.append(f"<h3>With pictures of your own</h3>{parts.steps(chapter.own)}")
    return (
        f'<section class="chapter" id="chapter-{number}"><h2><span>{number}</span> '
        f"{html.escape(chapter.title)}</h2>{''.join(body)}</section>"
    )


def _section(section: Section, heading: str) -> str:
    found = [
        f"<{heading}>{html.escape(section.title)}</{heading}>" if section.title else "",
        parts.paragraphs(section.text),
        parts.figures([(Path(p), text) for p, text in section.pictures]),
    ]
    if section.table:
        found.append(f'<div class="card">{parts.table(section.table)}</div>')
    return "".join(found)


def _next(steps: Sequence[tuple[str, str]]) -> str:
    return f"<h2>What to do next</h2>{parts.steps(steps)}" if steps else ""


def _tables(config: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    found = [
        f'<div class="card"><details{" open" if is_open else ""}><summary>{title}'
        f"</summary>{parts.table(rows)}</details></div>"
        for title, rows, is_open in (
            ("Machine", machine, True),
            ("Configuration", config, False),
        )
        if rows
    ]
    if not found:
        return ""
    return f'<h2>How it was made</h2><div class="two">{"".join(found)}</div>'
