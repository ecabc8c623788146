"""A plan as a table for people."""

from __future__ import annotations

from typing import Any

_GIB = 2**30
_PARTS = (
    ("parameters", "parameters"),
    ("optimiser", "optimiser"),
    ("other", "averages and the rest of the state"),
    ("frozen", "frozen networks"),
    ("batch", "batch"),
    ("padding", "padding of these by the device's layout"),
    ("results", "figures"),
    ("temporaries", "temporaries: activations, gradients, scratch"),
    ("code", "the program itself"),
)


def describe(plan: dict[str, Any]) -> str:
    """Writes what `plan.plan` found.

    Args:
        plan: JSON values as it gives them.
    """
    lines = _head(plan)
    lines += ["", *_programs(plan), "", *_memory(plan), "", *_step(plan)]
    lines += _largest(plan)
    if plan["scaling"]:
        lines += ["", *_scaling(plan)]
    return "\n".join(line.rstrip() for line in lines)


def _head(plan: dict[str, Any]) -> list[str]:
    target = plan["target"]
    height, width, channels = plan["image_shape"]
    stage = [f"of its stages: {plan['stage']}"] if plan.get("stage") else []
    return [
        f"{plan['config_name']} on {target['name']} ({target['devices']} x "
        f"{target['chip']}): {height}x{width}x{channels}, {plan['precision']}",
        *stage,
        f"batch {plan['batch']} = {target['devices']} device(s) x {plan['parts']} "
        f"part(s) x {plan['images_at_a_time']} images; all figures are per device",
    ]


def _programs(plan: dict[str, Any]) -> list[str]:
    lines = [
        f"{'program':<10}{'every':>6}{'memory':>12}{'GFLOP':>11}{'GB moved':>10}"
        f"{'ms at best':>12}{'bound by':>12}{'sent MB':>10}{'/parameters':>13}"
    ]
    for program in plan["programs"]:
        name, every = program["name"], program["interval"]
        head = f"{name:<10}{every:>6}"
        if program["error"] is not None:
            need = program["need"]
            said = f", needs {_gib(need)}" if need is not None else ""
            lines.append(f"{head}  does not compile{said}: {program['error']}")
            continue
        ratio = program["collective_bytes_by_parameter_bytes"]
        lines.append(
            f"{head}{_gib(program['need']):>12}{program['flops'] / 1e9:>11.1f}"
            f"{program['bytes'] / 1e9:>10.2f}{program['seconds'] * 1e3:>12.3f}"
            f"{program['bound']:>12}{program['collective_bytes'] / 1e6:>10.2f}"
            f"{'-' if ratio is None else f'{ratio:.4f}':>13}"
        )
    by = sorted({p["flops_by"] for p in plan["programs"]})
    counted = "counted in the traced program" if by == ["counted"] else "XLA's"
    lines.append(f"FLOP: {counted}; bytes: counted in the compiled program.")
    if plan["effort"]:
        lines.append(
            f"Compiled with effort {plan['effort']:g}, to wait less: what train's own "
            "compiler makes (--effort 0) may need other memory and bytes."
        )
    kernels = sum(program["kernels"] for program in plan["programs"])
    if kernels:
        lines.append(f"{kernels} Pallas kernels, by their own estimates.")
    loops = sum(program["unknown_loops"] for program in plan["programs"])
    if loops:
        lines.append(f"{loops} loops of unknown length count as one round: too little.")
    return lines


def _memory(plan: dict[str, Any]) -> list[str]:
    target = plan["target"]
    limit, usable = target["limit_bytes"], target["usable_bytes"]
    has = f"{_gib(limit)} may be taken of {_gib(usable)} that jax has"
    compiled = [p for p in plan["programs"] if p["memory"] is not None]
    if not compiled:
        return [f"memory: {has}"]
    worst = max(compiled, key=lambda p: p["need"])
    lines = [f"memory of {worst['name']}, which needs most of those that compile"]
    for key, words in _PARTS:
        size = worst["memory"][key]
        if size:
            lines.append(f"  {words:<46}{_gib(size):>12}")
    verdict = "fits" if plan["fits"] else "DOES NOT FIT"
    lines.append(f"  {'total':<46}{_gib(worst['need']):>12}")
    lines.append(f"{verdict}: {has}")
    if plan["effort"] and not plan["fits"]:
        lines.append(
            "The compiler took little effort to need less memory: --effort 0 compiles "
            "as train does, and may fit."
        )
    return lines


def _step(plan: dict[str, Any]) -> list[str]:
    step = plan["mean_step_seconds"]
    if not step:
        return ["no time: not every program compiles"]
    which = "of the programs chosen" if plan["phases_chosen"] else "in all"
    return [
        f"mean step {which}, each by its interval: {step * 1e3:.2f} ms at best, "
        f"{plan['images_per_second']:.4g} images/s, "
        f"{plan['seconds_per_kimg']:.3g} s/kimg",
    ]


def _largest(plan: dict[str, Any]) -> list[str]:
    found = plan["largest"]
    if found is None:
        return []
    name, images = found["program"], found["images"]
    tried = ", ".join(
        f"{n}: {_gib(b)}" for n, b in sorted(found["tried"].items(), key=_number)
    )
    how = f"(line through {name}, compiled at {tried})"
    if images is None:
        return [f"largest batch: not known, {found['why']} {how}"]
    if images == 0:
        return [f"not even the smallest batch fits {how}"]
    more = " or more" if found["capped"] else ""
    return [f"largest batch: {images}{more} images at a time and device {how}"]


def _number(item: tuple[Any, Any]) -> int:
    return int(item[0])  # JSON makes text of a table's numbers


def _scaling(plan: dict[str, Any]) -> list[str]:
    target = plan["target"]
    lines = [
        f"{'devices':>8}{'sent, ms of a step':>20}{'nothing overlaps':>18}"
        f"{'all overlaps':>14}"
    ]
    for row in plan["scaling"]:
        lines.append(
            f"{row['devices']:>8}{row['communication_seconds'] * 1e3:>20.3f}"
            f"{row['without_overlap']:>18.1%}{row['with_overlap']:>14.1%}"
        )
    links = f"{target['link'] / 1e9:g} GB/s up to {target['linked']} devices"
    lines.append(
        "efficiency at the same share per device, ring all-reduce 2 (n - 1) / n: "
        f"{links}, {target['network'] / 1e9:g} GB/s beyond."
    )
    if target["devices"] == 1:
        lines.append("One device sends nothing: parameters stand for the gradients.")
    return lines


def _gib(size: float) -> str:
    if size < 0.1 * _GIB:
        return f"{size / 2**20:.1f} MiB"
    return f"{size / _GIB:.2f} GiB"
