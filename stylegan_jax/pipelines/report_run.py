"""What a report shows of a run's folder: figures, sample grids, curves."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.pipelines.curves import COLOURS, curve_svg
from stylegan_jax.pipelines.report_html import SMALL_SIDE, embed, figures

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
    (
        "Adaptive augmentation",
        ("augment/p",),
        "Probability p with which the discriminator's images are augmented; it rises "
        "while the discriminator is too sure of the real ones.",
    ),
    (
        "Overfit watch",
        ("watch/nearest", "watch/diversity", "watch/gap"),
        "Distance of drawn pictures to the nearest training picture, and to each "
        "other, as a share of the training pictures' own: near 1 and above they are "
        "new, towards 0 copies or all one. Gap: how much better the discriminator "
        "likes its training pictures than held-out ones, 0 for alike.",
    ),
    (
        "Distance of held-out pairs",
        ("val/l2", "val/l2_mean_latent"),
        "L2 between what comes out and what should, in [-1, 1], and that of the mean "
        "latent's picture, which is the same for all.",
    ),
    (
        "L1 of held-out pairs",
        ("val/l1", "val/l1_source"),
        "L1 between what comes out and what should, in [-1, 1], and that of what the "
        "student is shown.",
    ),
    (
        "Times lower than the mean latent's",
        ("val/l2_ratio",),
        "L2 of the mean latent's picture over that of the outputs.",
    ),
    ("R1", ("reg/r1",), "Squared gradient of the scores at real pictures."),
    ("Path length", ("reg/pl",), "Spread of the path lengths around their mean."),
    ("Speed", ("images_per_second",), "Images per second, compilation included."),
)
# What a chapter on fine-tuning shows of them.
STYLE_CURVES = (
    "Distance to the real pictures",
    "Adaptive augmentation",
    "Overfit watch",
    "Scores of the discriminator",
)
# What a chapter on an encoder shows.
PSP_CURVES = ("Distance of held-out pairs", "Times lower than the mean latent's")
MAX_FRAMES = 12
# A sample grid's name: fakes-init.png, fakes-000012.png (kimg).
FAKES = re.compile(r"fakes-(init|\d+)\.png")


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


def read_config(path: Path) -> dict[str, Any]:
    """Reads a run's ``config.json`` as dotted names; empty where there is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(_rows(config)) if isinstance(config, dict) else {}


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


def run_tiles(
    stats: Sequence[Mapping[str, Any]], *, brief: bool = False
) -> dict[str, str]:
    """The figures that sum a run up: caption → value; empty without ticks.

    Args:
        stats: as `read_stats` gives them.
        brief: leave out what follows from the others, and the speed.
    """
    if not stats:
        return {}
    last = stats[-1]
    tiles = {"images seen by the discriminator": f"{float(last['kimg']):,.1f} kimg"}
    if is_number(last.get("seconds")):
        tiles["wall time"] = duration(last["seconds"])
    speeds = [s for _, s in points(stats, "images_per_second")]
    if speeds and not brief:
        middle = sorted(speeds)[len(speeds) // 2]
        tiles["images per second (median)"] = f"{middle:,.3g}"
    distances = points(stats, "swd/mean")
    if len(distances) > 1 and distances[-1][1] > 0:
        first, final = distances[0][1], distances[-1][1]
        tiles[f"SWD, from {first:.1f} at the start"] = f"{final:.1f}"
        if first > final and not brief:
            tiles["times closer to the real pictures"] = f"{first / final:.1f}×"
    return tiles


def samples(folder: Path, heading: str) -> str:
    """The latest grid beside the real pictures.

    Args:
        folder: a run's ``samples``.
        heading: the element's name, such as ``h2``.
    """
    grids = sample_grids(folder)
    pairs = [(path, f"Generated, at {label}") for label, path in grids[-1:]]
    if (folder / "reals.png").is_file():
        pairs.append((folder / "reals.png", "Real pictures from the training set"))
    if not pairs:
        return ""
    return f"<{heading}>What it draws</{heading}>{figures(pairs)}"


def film(folder: Path, heading: str) -> str:
    """The grids through time: a slider, and a strip to click on.

    Args:
        folder: a run's ``samples``.
        heading: the element's name, such as ``h2``.
    """
    grids = sample_grids(folder)
    if len(grids) < 2:
        return ""
    if len(grids) > MAX_FRAMES:
        step = (len(grids) - 1) / (MAX_FRAMES - 1)
        grids = [grids[round(i * step)] for i in range(MAX_FRAMES)]
    frames = "".join(
        f'<button data-label="{html.escape(label)}" title="{html.escape(label)}">'
        f'<span style="background-image:url({embed(path)[0]})"></span>'
        f"{html.escape(label)}</button>"
        for label, path in grids
    )
    small = "small" if embed(grids[-1][1])[1] < SMALL_SIDE else ""
    return (
        f'<{heading}>Through time</{heading}><div class="card film"><div class="stage">'
        f'<img alt="samples" class="{small}"><div><b></b>'
        "<p>The same latents at every moment, so each face can be followed.</p>"
        f'<input type="range" min="0" max="{len(grids) - 1}" step="1" hidden '
        'aria-label="moment of the run"></div></div>'
        f'<div class="strip">{frames}</div></div>'
    )


def curves(
    stats: Sequence[Mapping[str, Any]],
    heading: str,
    titles: Sequence[str] | None = None,
) -> str:
    """Cards with a run's curves.

    Args:
        stats: as `read_stats` gives them.
        heading: the element's name, such as ``h2``.
        titles: which of `CURVES`; None means all that were recorded.
    """
    cards = []
    for title, names, note in CURVES:
        if titles is not None and title not in titles:
            continue
        lines = {name: points(stats, name) for name in _names(stats, names)}
        lines = {name: line for name, line in lines.items() if len(line) > 1}
        if lines:
            cards.append(
                f'<div class="card"><h3>{title}</h3>{curve_svg(lines)}'
                f'<div class="note">{note}</div></div>'
            )
    if not cards:
        return ""
    return f'<{heading}>Curves</{heading}><div class="two">{"".join(cards)}</div>'


def points(stats: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """(kimg, value) of the ticks that have a finite figure of that name."""
    return [
        (float(tick["kimg"]), float(tick[name]))
        for tick in stats
        if is_number(tick.get(name)) and is_number(tick["kimg"])
    ]


def is_number(value: Any) -> bool:
    """Whether a figure is there and finite."""
    return isinstance(value, int | float) and math.isfinite(value)


def duration(seconds: float) -> str:
    """A time as people say it: ``"42 s"``, ``"7 min 05 s"``, ``"3 h 20 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


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


def _rows(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Flattens nested dicts to dotted names."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
