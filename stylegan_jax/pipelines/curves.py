"""Curves as inline SVG, from numbers alone: no plotting library is needed."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 34
# More points than pixels only make the file larger.
MAX_POINTS = 400
# Names the colours of the style sheet: `.s0` … `.s3`.
COLOURS = 4


def curve_svg(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, x_label: str = "kimg"
) -> str:
    """Draws curves over one pair of axes, with a legend and a hover text each.

    Args:
        curves: points (x, y) by name, at most `COLOURS` names; points that are not
            finite are left out.
        x_label: what the x axis counts.

    Returns:
        An ``<svg>`` element that takes its colours from the page's style sheet, or a
        paragraph that says that there is nothing to draw.
    """
    finite = {
        name: thin([(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)])
        for name, points in curves.items()
    }
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return '<p class="none">nothing was recorded</p>'
    xs = [x for points in finite.values() for x, _ in points]
    ys = [y for points in finite.values() for _, y in points]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1e-9)
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        u = (x - x_low) / (x_high - x_low)
        v = (y - y_low) / (y_high - y_low)
        return (
            LEFT + u * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM),
        )

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" class="curve">']
    for value in y_ticks:
        _, y = place(x_low, value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{short(value)}'
            "</text>"
        )
    for value in x_ticks:
        if x_low <= value <= x_high:
            x, _ = place(value, y_low)
            parts.append(
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">'
                f"{short(value)}</text>"
            )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end" class="unit">'
        f"{html.escape(x_label)}</text>"
    )
    for index, (name, points) in enumerate(finite.items()):
        parts.append(_polyline(name, [place(x, y) for x, y in points], points, index))
    parts.append("</svg>")
    return _legend(finite) + "".join(parts)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers around [low, high], evenly spaced, about ``count`` steps.

    Returns:
        At least two, the first ≤ low and the last ≥ high.
    """
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * max(abs(low), 1e-3), high + 0.5 * max(abs(high), 1e-3)
    rough = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    step *= magnitude
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def short(value: float) -> str:
    """A number as an axis shows it: ``0``, ``0.25``, ``1200``, ``2e+05``."""
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.4g}"


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Averages neighbours until at most `MAX_POINTS` points are left."""
    size = math.ceil(len(points) / MAX_POINTS) or 1
    if size == 1:
        return list(points)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [
        (sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups
    ]


def _polyline(
    name: str,
    places: Sequence[tuple[float, float]],
    points: Sequence[tuple[float, float]],
    index: int,
) -> str:
    last_x, last_y = points[-1]
    title = f"{html.escape(name)}: {short(last_y)} at {short(last_x)}"
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    colour = index % COLOURS
    return (
        f'<g class="s{colour}"><title>{title}</title><polyline points="{path}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/></g>'
    )


def _legend(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    items = "".join(
        f'<span class="s{i % COLOURS}"><i></i>{html.escape(name)} '
        f"<b>{short(points[-1][1])}</b></span>"
        for i, (name, points) in enumerate(curves.items())
    )
    return f'<p class="legend">{items}</p>'
