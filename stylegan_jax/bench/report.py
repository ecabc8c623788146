"""Reports of benches: one JSON layout for all, and aligned tables for people."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax import __version__
from stylegan_jax.bench.machine import Peaks, describe_machine
from stylegan_jax.checkpoints.atomic import write_text

Report = dict[str, Any]
Say = Callable[[str], None]
# Of a table: heading, and the cell of a row.
Column = tuple[str, Callable[[Mapping[str, Any]], str]]

FORMAT = 1


def silent(text: str) -> None:
    """Says nothing: what benches take where nobody listens."""


def make_report(
    bench: str,
    settings: Mapping[str, Any],
    peaks: Peaks | None,
    figures: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> Report:
    """Puts the parts of a report together; JSON values.

    Args:
        bench: such as ``train``.
        settings: what was asked for; two reports compare where these agree.
        peaks: what the machine can do; None where nothing refers to it.
        figures: the few numbers that one asks for.
        rows: measurements, each with a ``name``; ``seconds`` holds a `Timing`'s JSON.
    """
    now = datetime.datetime.now(datetime.UTC)
    machine = describe_machine()
    machine["versions"]["stylegan_jax"] = __version__
    return {
        "format": FORMAT,
        "bench": bench,
        "date": now.isoformat(timespec="seconds"),
        "machine": machine,
        "peaks": peaks.to_json() if peaks else None,
        "settings": dict(settings),
        "figures": dict(figures),
        "rows": [dict(row) for row in rows],
    }


def save(report: Report, path: str | Path) -> None:
    """Writes a report as JSON.

    Raises:
        UserError: the file cannot be written.
    """
    write_text(path, json.dumps(report, indent=1) + "\n")


def heading(report: Report) -> list[str]:
    """Lines that say where, with what and when."""
    machine, versions = report["machine"], report["machine"]["versions"]
    name = machine["device"]
    if machine["platform"] == "cpu":
        name = f"{machine['processor']}, {machine['cores']} cores"
    lines = [
        f"{machine['devices']} x {machine['platform']} ({name}), "
        f"jax {versions['jax']}, stylegan_jax {versions['stylegan_jax']}, "
        f"{report['date']}"
    ]
    if report["peaks"]:
        lines += _say_peaks(report["peaks"])
    return lines


def _say_peaks(peaks: Mapping[str, Any]) -> list[str]:
    copy = peaks["copy_bytes_per_second"] / 1e9
    call = peaks["call_seconds"] * 1e6
    lines = [f"measured here: copy {copy:.1f} GB/s, a call {call:.0f} us"]
    for name, rate in peaks["matmul_flops_per_second"].items():
        best = peaks["convolution_flops_per_second"][name]
        lines.append(
            f"  {name}: matmul {rate / 1e9:.0f}, convolution {best / 1e9:.0f} GFLOP/s"
        )
    return lines


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> list[str]:
    """Aligned lines: the first column to the left, the others to the right."""
    cells = [[title for title, _ in columns]]
    cells += [[cell(row) for _, cell in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = []
    for line in cells:
        first, *rest = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return lines


def seconds_text(seconds: float | None) -> str:
    """Seconds in the unit in which they are easy to read."""
    if seconds is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def share_text(share: float | None) -> str:
    """A share in per cent; a dash where it is not known."""
    return "-" if share is None else f"{share:.0%}"


def number_text(value: float | None, scale: float = 1.0) -> str:
    """Three digits of a number in a unit; a dash where it is not known."""
    if value is None:
        return "-"
    scaled = value / scale
    return f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"


def ratio(part: float | None, whole: float | None) -> float | None:
    """``part / whole``; None where one is not known or the whole is 0."""
    return None if part is None or not whole else part / whole


# Columns that several benches have.
NAME: Column = ("", lambda row: row["name"])
TIME: Column = ("median", lambda row: seconds_text(row["seconds"]["median"]))
SPREAD: Column = ("spread", lambda row: share_text(row["seconds"]["spread"]))
REPEATS: Column = ("repeats", lambda row: str(row["seconds"]["repeats"]))
