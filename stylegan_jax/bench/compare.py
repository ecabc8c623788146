"""Ratios of a report against an earlier one, and what else differs between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stylegan_jax.bench.report import FORMAT, Report
from stylegan_jax.errors import UserError

# Of a machine: what two reports must share to be about the program alone.
_MACHINE = (
    "device",
    "platform",
    "devices",
    "processor",
    "cores",
    "system",
    "python",
    "xla_flags",
)


def read_report(path: str | Path) -> Report:
    """Reads a report that ``--out`` wrote.

    Raises:
        UserError: there is none, or the file is another one.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        raise UserError(
            f"cannot read the report {path}: {reason}; write one with --out FILE.json."
        ) from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise UserError(
            f"{path} is no report of this version of stylegan-jax bench: write one "
            "with --out FILE.json."
        )
    return report


def compare(new: Report, old: Report) -> dict[str, Any]:
    """Compares two reports of one bench.

    Args:
        new: the report of now.
        old: the earlier one.

    Returns:
        ``differences`` (sentences: other machine, versions or settings), ``peaks``
        (ratios of what the machine could do, now to then), ``ratios`` (how many times
        as fast each row is now, by name; above 1 is faster) and ``missing`` (rows that
        only one of them has).

    Raises:
        UserError: they are reports of different benches.
    """
    if new["bench"] != old["bench"]:
        raise UserError(
            f"the earlier report is of bench {old['bench']} and this one of bench "
            f"{new['bench']}: compare like with like."
        )
    before, now = _medians(old), _medians(new)
    return {
        "date": old["date"],
        "differences": list(_differences(old, new)),
        "peaks": _peak_ratios(old, new),
        "ratios": {name: before[name] / now[name] for name in now if name in before},
        "missing": sorted(before.keys() ^ now.keys()),
    }


def describe(compared: Mapping[str, Any]) -> list[str]:
    """Writes a comparison for people."""
    lines = [f"against the report of {compared['date']} (above 1: faster now)"]
    if compared["differences"]:
        lines.append("NOT the same conditions, so these ratios are not the program's:")
        lines += [f"  {sentence}" for sentence in compared["differences"]]
    for name, value in compared["peaks"].items():
        lines.append(f"  machine, {name}: {value:.2f} of then")
    width = max((len(name) for name in compared["ratios"]), default=0)
    for name, value in compared["ratios"].items():
        lines.append(f"  {name.ljust(width)}  {value:.2f}x")
    if compared["missing"]:
        lines.append(f"  only in one of the two: {', '.join(compared['missing'])}")
    return lines


def _medians(report: Report) -> dict[str, float]:
    return {
        row["name"]: row["seconds"]["median"]
        for row in report["rows"]
        if row.get("seconds")
    }


def _differences(old: Report, new: Report) -> Iterator[str]:
    for name in _MACHINE:
        yield from _difference(f"machine.{name}", old["machine"], new["machine"], name)
    versions = old["machine"]["versions"], new["machine"]["versions"]
    for name in sorted({*versions[0], *versions[1]}):
        yield from _difference(f"version of {name}", *versions, name)
    settings = _flat(old["settings"]), _flat(new["settings"])
    for name in sorted({*settings[0], *settings[1]}):
        yield from _difference(name, *settings, name)


def _flat(tree: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested sections as one, with names such as ``config.train.batch``."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        place = f"{where}.{name}" if where else name
        found |= _flat(value, place) if isinstance(value, Mapping) else {place: value}
    return found


def _difference(
    said: str, old: Mapping[str, Any], new: Mapping[str, Any], name: str
) -> Iterator[str]:
    # Through JSON, as the old one went: tuples are lists there.
    before, now = (json.dumps(side.get(name), default=str) for side in (old, new))
    if before != now:
        yield f"{said} was {before}, is {now}"


def _peak_ratios(old: Report, new: Report) -> dict[str, float]:
    if not (old["peaks"] and new["peaks"]):
        return {}
    found = {}
    for kind in ("matmul", "convolution"):
        key = f"{kind}_flops_per_second"
        for name, rate in new["peaks"][key].items():
            if name in old["peaks"][key]:
                found[f"{kind} {name}"] = rate / old["peaks"][key][name]
    key = "copy_bytes_per_second"
    found["copy"] = new["peaks"][key] / old["peaks"][key]
    return found
