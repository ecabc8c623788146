"""The process that compiles for a plan: reads a request, writes lines of JSON.

It is a process of its own because jax reads the environment once, and because XLA ends
the process where the machine's memory does not suffice for a compiler.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from stylegan_jax.bench import plan_figures, plan_memory
from stylegan_jax.bench.plan import Request
from stylegan_jax.bench.plan_programs import END, Program, compile_program, phase_names
from stylegan_jax.bench.plan_run import plan_run, with_images
from stylegan_jax.bench.targets import Target, devices_of, find_target
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.compile import USABLE
from stylegan_jax.training.experiment import load_config, to_plain
from stylegan_jax.training.run import Run

Say = Callable[[str], None]
_EFFORT = "jax_exec_time_optimization_effort"
_PACKAGES = ("jax", "jaxlib", "libtpu", "jax-cuda13-plugin")


def make_plan(
    request: Request, say: Say, *, devices: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Compiles a run's programs for a target and derives the plan's figures.

    Args:
        request: what is wanted.
        say: called with a line of text as the work goes on.
        devices: to compile for; None for the target's.

    Returns:
        JSON values, see docs/plan.md.

    Raises:
        UserError: for what the run itself refuses.
        UsageError: for a configuration that cannot be run, or an unknown phase.
    """
    started = time.monotonic()
    target = find_target(request.target)
    effort = target.chip.effort if request.effort is None else request.effort
    config = load_config(request.config, request.overrides)
    devices = devices_of(target) if devices is None else devices
    with tempfile.TemporaryDirectory(prefix="stylegan-jax-plan-") as folder:
        run = plan_run(
            config,
            devices,
            Path(folder),
            images_per_device=request.images_per_device,
        )
        names = _chosen(run, request.phases)
        if run.stage:
            say(f"of the stages this one: {run.stage}")
        say(
            f"{len(names)} programs for {target.name}, {run.images_at_a_time} images "
            "at a time: a minute or several for each"
        )
        with _effort(effort):
            run, programs, largest = _compile(run, names, target, request, say)
    plan = _document(request, target, run, programs) | {"effort": effort}
    plan["largest"] = None if largest is None else dataclasses.asdict(largest)
    plan["plan_seconds"] = time.monotonic() - started
    return plan


@contextlib.contextmanager
def _effort(effort: float) -> Iterator[None]:
    """How hard XLA tries to make programs quick."""
    before = getattr(jax.config, _EFFORT)
    jax.config.update(_EFFORT, effort)
    try:
        yield
    finally:
        jax.config.update(_EFFORT, before)


def _chosen(run: Run, wanted: Sequence[str]) -> list[str]:
    names = phase_names(run)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise UsageError(
            f"There is no phase '{unknown[0]}' in this run, choose from "
            f"{', '.join(names)}."
        )
    return [name for name in names if not wanted or name in wanted]


def _compile(
    run: Run, names: Sequence[str], target: Target, request: Request, say: Say
) -> tuple[Run, list[Program], plan_memory.Largest | None]:
    """The programs, of as many parts as `train` would take, and the largest batch."""
    chip = target.chip

    def compiled(run: Run) -> list[Program]:
        found = []
        for number, name in enumerate(names, 1):
            say(f"compiling {name} ({number} of {len(names)})")
            found.append(compile_program(run, name, chip, say))
        return found

    programs = compiled(run)
    limit = chip.usable * USABLE
    largest = _search(run, programs, target, say) if request.search else None
    adapts = run.config.train.batch_per_device in (None, "auto")
    misfit = any((p.need or 0) > limit or p.too_large for p in programs)
    if misfit and adapts and largest is not None and largest.images:
        parts = _parts(run, largest.images)
        if parts is not None:
            run = run.with_accumulation(parts)
            say(
                f"the batch does not fit: compiling again with {parts} parts of "
                f"{run.images_at_a_time} images"
            )
            programs = compiled(run)
    return run, programs, largest


def _parts(run: Run, images: int) -> int | None:
    """The fewest parts of a device's share that are no larger than ``images``."""
    units = run.batch // (run.unit * run.mesh.size)
    for parts in range(run.accumulate + 1, units + 1):
        if units % parts == 0 and run.batch // (run.mesh.size * parts) <= images:
            return parts
    return None


def _search(
    run: Run, programs: Sequence[Program], target: Target, say: Say
) -> plan_memory.Largest | None:
    """The largest batch, by the program that needs most; None where nothing is."""
    phases = [p for p in programs if p.name != END and p.need is not None]
    broken = any(p.error is not None and not p.too_large for p in programs)
    if not phases or broken:
        return None
    worst = max(phases, key=lambda p: p.need or 0)

    def attempt(images: int) -> tuple[int | None, bool]:
        say(f"looking for the largest batch: {worst.name} with {images} images")
        found = compile_program(with_images(run, images), worst.name, target.chip, say)
        return found.need, found.error is None

    return plan_memory.largest_batch(
        attempt,
        (run.images_at_a_time, worst.need or 0),
        run.unit,
        target.chip.usable * USABLE,
        worst.name,
    )


def _document(
    request: Request, target: Target, run: Run, programs: Sequence[Program]
) -> dict[str, Any]:
    chip, devices = target.chip, run.mesh.size
    step = plan_figures.mean_step(programs)
    rows = [
        plan_figures.scaling(programs, devices, chip, n) for n in plan_figures.SCALES
    ]
    return {
        "config_name": request.config,
        "config": to_plain(run.config),
        "phases_chosen": list(request.phases),
        "target": {
            "name": target.name,
            "chip": chip.name,
            "devices": devices,
            "usable_bytes": chip.usable,
            "limit_bytes": int(chip.usable * USABLE),
            "bandwidth": chip.bandwidth,
            "peak_flops": {
                f"{kind.dtype} {kind.precision}": rate
                for kind, rate in chip.flops.items()
            },
            "link": chip.link,
            "linked": chip.linked,
            "network": chip.network,
            "source": chip.source,
        },
        "image_shape": list(run.image_shape),
        **({"stage": run.stage} if run.stage else {}),
        "precision": run.config.train.precision,
        "batch": run.batch,
        "parts": run.accumulate,
        "images_at_a_time": run.images_at_a_time,
        "programs": [plan_figures.as_document(p, devices) for p in programs],
        "mean_step_seconds": step,
        "images_per_second": run.batch / step if step else None,
        "seconds_per_kimg": 1000 * step / run.batch if step else None,
        "scaling": [dataclasses.asdict(row) for row in rows if row is not None],
        "compiles": all(p.error is None for p in programs),
        "fits": all(
            p.need is not None and p.need <= chip.usable * USABLE for p in programs
        ),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # of the other kind of chip
    return found


def main() -> None:
    """Reads a request from standard input, and writes lines of JSON.

    ``{"say": …}`` as the work goes on, and in the end ``{"plan": …}``, or
    ``{"error": …, "usage": …}`` for what a person can mend.
    """
    request = Request.from_json(sys.stdin.read())

    def write(**line: Any) -> None:
        print(json.dumps(line, default=str), flush=True)

    try:
        write(plan=make_plan(request, lambda text: write(say=text)))
    except UserError as error:
        write(error=str(error), usage=isinstance(error, UsageError))


if __name__ == "__main__":
    main()
