"""``report.html``: one self-contained page about a run.

Nothing is fetched when the page is opened: pictures are embedded, curves are SVG.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.curves import COLOURS, curve_svg
from stylegan_jax.pipelines.report_style import SCRIPT, STYLE

# Title, names of the figures (a star stands for all others that begin so), and how to
# read them.
CURVES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "Distance to the real pictures",
        ("swd/mean", "swd/*"),
        "Sliced Wasserstein distance ×1000; lower is closer.",
    ),
    (
        "Losses",
        ("loss/g_main", "loss/d_main"),
        "The two play against each other: steady is good, low is not the aim.",
    ),
    (
        "Scores of the discriminator",
        ("scores/real", "scores/fake"),
        "Logits; the further apart, the easier it tells them apart.",
    ),
    ("R1", ("reg/r1",), "Squared gradient of the scores at real pictures."),
    ("Path length", ("reg/pl",), "Spread of the path lengths around their mean."),
    ("Speed", ("images_per_second",), "Images per second, compilation included."),
)
MAX_FRAMES = 12
MAX_SIDE = 1024
SMALL_SIDE = 400
# A sample grid's name: fakes-init.png, fakes-000012.png (kimg).
FAKES = re.compile(r"fakes-(init|\d+)\.png")


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


def write_report(
    workdir: str | Path,
    *,
    title: str,
    intro: str,
    sections: Sequence[Section] = (),
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
    stats = read_stats(workdir / "stats.jsonl")
    tiles = {**_tiles(stats), **(figures or {})}
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f'<div class="intro">{_paragraphs(intro)}</div>',
        _tile_row(tiles),
        _samples(workdir / "samples"),
        _film(workdir / "samples"),
        _curves(stats),
        *(_section(section) for section in sections),
        _next(next_steps),
        _tables(_read_config(workdir / "config.json"), machine or {}),
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


def read_stats(path: str | Path) -> list[dict[str, Any]]:
    """Reads a run's ``stats.jsonl``; lines that a kill cut short are left out.

    Returns:
        One dict per tick in order; empty where there is no such file.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    stats = []
    for line in lines:
        try:
            tick = json.loads(line)
        except ValueError:
            continue
        if isinstance(tick, dict) and "kimg" in tick:
            stats.append(tick)
    return stats


def sample_grids(folder: str | Path) -> list[tuple[str, Path]]:
    """A run's sample grids in order, as label and path.

    Returns:
        ``[("start", …/fakes-init.png), ("12 kimg", …/fakes-000012.png), …]``.
    """
    found: list[tuple[int, Path]] = []
    for path in Path(folder).glob("fakes-*.png"):
        match = FAKES.fullmatch(path.name)
        if match:
            found.append((-1 if match[1] == "init" else int(match[1]), path))
    return [("start" if k < 0 else f"{k} kimg", path) for k, path in sorted(found)]


def _tiles(stats: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The figures at the top of the page: caption → value."""
    if not stats:
        return {}
    last = stats[-1]
    tiles = {"images seen by the discriminator": f"{float(last['kimg']):,.1f} kimg"}
    if _is_number(last.get("seconds")):
        tiles["wall time"] = duration(last["seconds"])
    speeds = [s for _, s in _points(stats, "images_per_second")]
    if speeds:
        middle = sorted(speeds)[len(speeds) // 2]
        tiles["images per second (median)"] = f"{middle:,.3g}"
    distances = _points(stats, "swd/mean")
    if len(distances) > 1 and distances[-1][1] > 0:
        first, final = distances[0][1], distances[-1][1]
        tiles[f"SWD, from {first:.1f} at the start"] = f"{final:.1f}"
        if first > final:
            tiles["times closer to the real pictures"] = f"{first / final:.1f}×"
    return tiles


def duration(seconds: float) -> str:
    """A time as people say it: ``"42 s"``, ``"7 min 05 s"``, ``"3 h 20 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _tile_row(tiles: Mapping[str, str]) -> str:
    cells = "".join(
        f"<div><b>{html.escape(value)}</b><span>{html.escape(caption)}</span></div>"
        for caption, value in tiles.items()
    )
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _samples(folder: Path) -> str:
    """The latest grid beside the real pictures."""
    grids = sample_grids(folder)
    pairs = [(path, f"Generated, at {label}") for label, path in grids[-1:]]
    if (folder / "reals.png").is_file():
        pairs.append((folder / "reals.png", "Real pictures from the training set"))
    return f"<h2>What it draws</h2>{_figures(pairs)}" if pairs else ""


def _film(folder: Path) -> str:
    """The grids through time: a slider, and a strip to click on."""
    grids = sample_grids(folder)
    if len(grids) < 2:
        return ""
    if len(grids) > MAX_FRAMES:
        step = (len(grids) - 1) / (MAX_FRAMES - 1)
        grids = [grids[round(i * step)] for i in range(MAX_FRAMES)]
    frames = "".join(
        f'<button data-label="{html.escape(label)}" title="{html.escape(label)}">'
        f'<span style="background-image:url({_embed(path)[0]})"></span>'
        f"{html.escape(label)}</button>"
        for label, path in grids
    )
    small = "small" if _embed(grids[-1][1])[1] < SMALL_SIDE else ""
    return (
        '<h2>Through time</h2><div class="card film"><div class="stage">'
        f'<img alt="samples" class="{small}"><div><b></b>'
        "<p>The same latents at every moment, so each face can be followed.</p>"
        f'<input type="range" min="0" max="{len(grids) - 1}" step="1" hidden '
        'aria-label="moment of the run"></div></div>'
        f'<div class="strip">{frames}</div></div>'
    )


def _curves(stats: Sequence[Mapping[str, Any]]) -> str:
    cards = []
    for title, names, note in CURVES:
        points = {name: _points(stats, name) for name in _names(stats, names)}
        points = {name: line for name, line in points.items() if len(line) > 1}
        if points:
            cards.append(
                f'<div class="card"><h3>{title}</h3>{curve_svg(points)}'
                f'<div class="note">{note}</div></div>'
            )
    return f'<h2>Curves</h2><div class="two">{"".join(cards)}</div>' if cards else ""


def _names(stats: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Replaces ``a/*`` by the recorded names that begin with ``a/``, largest first."""
    known = {name for tick in stats for name in tick}
    chosen: dict[str, None] = {}
    for name in names:
        if name.endswith("*"):
            rest = [n for n in known if n.startswith(name[:-1])]
            chosen.update(dict.fromkeys(sorted(rest, key=_level, reverse=True)))
        else:
            chosen[name] = None
    return list(chosen)[:COLOURS]


def _level(name: str) -> int:
    """The number at the end of ``swd/32``; 0 where there is none."""
    tail = name.rpartition("/")[2]
    return int(tail) if tail.isdigit() else 0


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>", _paragraphs(section.text)]
    if section.pictures:
        parts.append(_figures([(Path(p), text) for p, text in section.pictures]))
    if section.table:
        parts.append(f'<div class="card">{_table(section.table)}</div>')
    return "".join(parts)


def _next(steps: Sequence[tuple[str, str]]) -> str:
    if not steps:
        return ""
    items = "".join(
        f"<li>{html.escape(text)}"
        + (f"<pre>{html.escape(command)}</pre>" if command else "")
        + "</li>"
        for text, command in steps
    )
    return f"<h2>What to do next</h2><ol>{items}</ol>"


def _tables(config: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    parts = [
        f'<div class="card"><details{" open" if is_open else ""}><summary>{title}'
        f"</summary>{_table(rows)}</details></div>"
        for title, rows, is_open in (
            ("Machine", machine, True),
            ("Configuration", dict(_rows(config)), False),
        )
        if rows
    ]
    return f'<h2>How it was made</h2><div class="two">{"".join(parts)}</div>' * bool(
        parts
    )


def _table(rows: Mapping[str, Any]) -> str:
    return (
        "<table>"
        + "".join(
            f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>"
            for k, v in rows.items()
        )
        + "</table>"
    )


def _figures(pairs: Sequence[tuple[Path, str]]) -> str:
    figures = []
    for path, caption in pairs:
        source, side = _embed(path)
        small = "small" if side < SMALL_SIDE else ""
        figures.append(
            f'<figure class="card"><img src="{source}" alt="" class="{small}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    return f'<div class="two">{"".join(figures)}</div>'


def _embed(path: Path) -> tuple[str, int]:
    """A picture as a data URL, made smaller where it is huge, and its longer side."""
    from PIL import Image

    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            side, kind = max(image.size), (image.format or "PNG").lower()
            if side > MAX_SIDE:
                image.thumbnail((MAX_SIDE, MAX_SIDE))
                stream = io.BytesIO()
                image.save(stream, format="PNG")
                data, side, kind = stream.getvalue(), MAX_SIDE, "png"
    except OSError as error:
        raise UserError(
            f"cannot put the picture {path} into a report ({error}): delete it or "
            "write it again."
        ) from error
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", side


def _points(stats: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """(kimg, value) of the ticks that have a finite figure of that name."""
    return [
        (float(tick["kimg"]), float(tick[name]))
        for tick in stats
        if _is_number(tick.get(name)) and _is_number(tick["kimg"])
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _rows(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Flattens nested dicts to dotted names."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _paragraphs(text: str) -> str:
    return "".join(
        f"<p>{html.escape(part.strip())}</p>"
        for part in text.split("\n\n")
        if part.strip()
    )
