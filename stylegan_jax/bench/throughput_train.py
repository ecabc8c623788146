"""`bench train`: seconds of every phase of the real training step."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from stylegan_jax.bench import report as reports
from stylegan_jax.bench.machine import Peaks, measure_peaks
from stylegan_jax.bench.program_cost import (
    Cost,
    cost_of,
    or_counted,
    peak_memory,
    with_plain,
)
from stylegan_jax.bench.report import Report, Say
from stylegan_jax.bench.roofline import roofline
from stylegan_jax.bench.timing import DEFAULT, Budget, Compilation, Timing, measure
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.errors import UsageError
from stylegan_jax.training import compile as compiling
from stylegan_jax.training import spmd
from stylegan_jax.training.pictures import parse_resolution
from stylegan_jax.training.run import Phase, Run
from stylegan_jax.training.trainers import OF_PICTURES, build_run, enough_pictures

# The program that moves averages and counters, beside the phases.
END = "end"


@contextlib.contextmanager
def opened_run(
    config: ConfigDict, devices: Sequence[jax.Device] | None = None
) -> Iterator[Run]:
    """Builds the run that a configuration describes, on made-up pictures if need be.

    Of a run of several stages it is the one to plan for. The step never sees the
    pictures, since batches are made up too: a run only has to have some of the right
    size. They and what a run keeps are removed afterwards.

    Args:
        config: as ``experiment.load_config`` gives it.
        devices: what to run on; None for all there are.

    Raises:
        UsageError: the configuration needs a resolution, or pictures of its own.
    """
    config = config.copy_and_resolve_references()
    if "eval" in config and "every_kimg" in config.eval:
        config.eval.every_kimg = 0.0
    with tempfile.TemporaryDirectory(prefix="stylegan-jax-bench-") as folder:
        if config.get("trainer") in OF_PICTURES and config.data.path is None:
            pictures = Path(folder) / "pictures"
            _write_pictures(config, pictures, len(devices or jax.devices()))
            config.data.path = str(pictures)
        run = build_run(config, Path(folder), devices=devices, progress=False)
        yield run.planned()


def _write_pictures(config: ConfigDict, folder: Path, devices: int) -> None:
    """Writes as many pictures of one colour as a batch needs."""
    size = parse_resolution(config.data.resolution)
    if size is None:
        raise UsageError(
            "This configuration takes the pictures' own size: say one with "
            "--resolution 256."
        )
    height, width = (size, size) if isinstance(size, int) else size
    grey = np.full((height, width, config.data.channels), 127, np.uint8)
    first = folder / "0.png"
    save_png(first, grey)
    for i in range(1, enough_pictures(config, height, width, devices)):
        (folder / f"{i}.png").hardlink_to(first)


def made_up_batch(run: Run) -> dict[str, jax.Array]:
    """A batch of random bytes and numbers, on the run's devices."""
    rng = np.random.default_rng(0)
    rows = len(run.local_rows)
    batch: dict[str, np.ndarray] = {"index": run.local_rows.astype(np.int32)}
    for name, (shape, dtype) in run.batch_shapes().items():
        size = (rows, *shape)
        if np.issubdtype(dtype, np.integer):
            most = min(int(np.iinfo(dtype).max), 255)
            batch[name] = rng.integers(0, most, size, endpoint=True).astype(dtype)
        else:
            batch[name] = rng.random(size).astype(dtype)
    return spmd.to_devices(run.mesh, batch)


class Steps:
    """The compiled programs of a run with a state that they move.

    Attributes:
        run: what fitted; its accumulation may be another than was asked for.
        intervals: of each phase, by name, in the order of a step; 1 for ``end``.
        costs: of each program, per device.
        compilation: how long compiling took.
        state: what the next call consumes.
    """

    def __init__(self, run: Run, say: Say = reports.silent):
        """Compiles, and makes a state and a batch."""
        with Compilation() as self.compilation:
            programs = compiling.compile_programs(run, say)
        self.run = programs.run
        self._constants = programs.constants
        self._phases = {name: program for name, _, program in programs.phases}
        self._end = programs.end
        self.intervals = {name: every for name, every, _ in programs.phases}
        self.intervals[END] = 1
        self._key = compiling.root_key(self.run, 0)
        self.state = self.run.adopt(compiling.make_init(self.run)(self._key))
        self._batch = made_up_batch(self.run)
        self.costs = {phase.name: self._cost(phase) for phase in self.run.phases()}
        self.costs[END] = cost_of(programs.end)

    def _cost(self, phase: Phase) -> Cost:
        # XLA counts the body of the loop over parts once.
        cost = cost_of(self._phases[phase.name]).times(self.run.accumulate)
        state = compiling.abstract_state(self.run)
        with self.run.matmul_precision():
            traced = compiling.trace_phase(self.run, phase, state, self._constants)
        return with_plain(or_counted(cost, lambda: traced), traced)

    def step(self, name: str) -> Any:
        """Runs one program; returns the state, which the next call consumes."""
        if name == END:
            self.state = self._end(self.state)
        else:
            self.state, _ = self._phases[name](
                self.state, self._batch, self._key, *self._constants
            )
        return self.state

    def time(self, name: str, budget: Budget) -> Timing:
        """Seconds of one program."""
        return measure(lambda: self.step(name), budget)


def mean_iteration(seconds: Mapping[str, float], intervals: Mapping[str, int]) -> float:
    """Mean of a step on the lazy schedule: each phase counts 1 / its interval.

    Args:
        seconds: or any other figure, by phase.
        intervals: steps between two runs of a phase.
    """
    return sum(seconds[name] / every for name, every in intervals.items())


def bench_train(
    config: ConfigDict,
    *,
    source: str,
    budget: Budget = DEFAULT,
    peaks: Peaks | None = None,
    devices: Sequence[jax.Device] | None = None,
    say: Say = reports.silent,
) -> Report:
    """Measures every phase of a training step, without its input pipeline.

    Args:
        config: as ``experiment.load_config`` gives it.
        source: what it came from, for the report.
        budget: repeats of each phase.
        peaks: what the machine can do; None measures it.
        devices: what to train on; None for all there are.
        say: called with a line of text as the work goes on.

    Raises:
        UserError: the run does not fit the device, or needs files that are not there.
        UsageError: the configuration cannot be run.
    """
    precision = config.train.precision
    with opened_run(config, devices) as run:
        if peaks is None:
            say("measuring what the machine can do")
            peaks = measure_peaks((precision,))
        say("compiling (the first time takes a while, later runs are quicker)")
        steps = Steps(run, say)
        timings = {}
        for name in steps.intervals:
            say(f"timing {name}")
            timings[name] = steps.time(name, budget)
        return _report(steps, timings, peaks, source)


def _report(
    steps: Steps, timings: Mapping[str, Timing], peaks: Peaks, source: str
) -> Report:
    run = steps.run
    precision = run.config.train.precision
    rows = []
    for name, timing in timings.items():
        cost = steps.costs[name]
        rows.append(
            {
                "name": name,
                "interval": steps.intervals[name],
                "seconds": timing.to_json(),
                **roofline(timing.median, cost.flops, cost.bytes, peaks, precision),
                "flops_source": cost.flops_source,
                "program_memory": cost.memory,
            }
        )
    medians = {name: timing.median for name, timing in timings.items()}
    settings = {
        "source": source,
        "size": list(run.image_shape),
        **({"stage": run.stage} if run.stage else {}),
        "batch": run.batch,
        "parts": run.accumulate,
        "devices": run.mesh.size,
        "dtype": precision,
        "config": run.config.to_dict(),
    }
    settings["config"]["data"]["path"] = None
    settings = _plain(settings)
    figures = iteration_figures(
        medians, steps.intervals, steps.costs, peaks, precision, run.batch
    )
    figures |= {
        "compile_seconds": steps.compilation.seconds,
        "programs_from_cache": steps.compilation.cached,
        "peak_memory": peak_memory(list(steps.costs.values())),
    }
    return reports.make_report("train", settings, peaks, figures, rows)


def iteration_figures(
    medians: Mapping[str, float],
    intervals: Mapping[str, int],
    costs: Mapping[str, Cost],
    peaks: Peaks,
    precision: str,
    batch: int,
) -> dict[str, Any]:
    """Figures of the mean step on the lazy schedule.

    ``floor_seconds`` is what its arithmetic would take at the rate of the machine's
    best convolution, both as XLA counts the programs, and ``times_floor`` how many
    times as long it takes. ``tap_floor_seconds`` and ``times_tap_floor`` count both tap
    by tap: there, strided convolutions should be as quick as Winograd's best one.

    Args:
        medians: seconds of each phase.
        intervals: steps between two runs of a phase.
        costs: of each phase.
        peaks: of one device.
        precision: of `machine.PRECISIONS`.
        batch: images in a step.
    """
    seconds = mean_iteration(medians, intervals)
    # What has no count (such as the averages, on some devices) has next to no FLOPs.
    known = {name: cost.flops or 0.0 for name, cost in costs.items()}
    moved = {name: cost.bytes or 0.0 for name, cost in costs.items()}
    flops = mean_iteration(known, intervals) or None
    traffic = mean_iteration(moved, intervals) or None
    plain = {name: costs[name].plain or known[name] for name in costs}
    plain_flops = mean_iteration(plain, intervals) or None
    floor = reports.ratio(flops, peaks.counted.get(precision))
    tap_floor = reports.ratio(plain_flops, peaks.convolution[precision])
    return {
        "iteration_seconds": seconds,
        "images_per_second": batch / seconds,
        "seconds_per_kimg": 1000 * seconds / batch,
        **roofline(seconds, flops, traffic, peaks, precision),
        "plain_flops": plain_flops,
        "floor_seconds": floor,
        "times_floor": reports.ratio(seconds, floor),
        "tap_floor_seconds": tap_floor,
        "times_tap_floor": reports.ratio(seconds, tap_floor),
    }


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a report reads back from JSON as it was."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return (
        [_plain(item) for item in value] if isinstance(value, list | tuple) else value
    )


def describe(report: Report) -> list[str]:
    """Writes a report for people."""
    settings, figures = report["settings"], report["figures"]
    height, width, _ = settings["size"]
    memory = figures["peak_memory"]
    cached = figures["programs_from_cache"]
    return [
        *reports.heading(report),
        f"{settings['source']}: {height}x{width}, batch {settings['batch']} = "
        f"{settings['devices']} device(s) x {settings['parts']} part(s), "
        f"{settings['dtype']}",
        *([f"stage: {settings['stage']}"] if settings.get("stage") else []),
        "",
        *reports.table(report["rows"], PHASE_COLUMNS),
        "",
        *describe_iteration(figures),
        f"compiling       {reports.seconds_text(figures['compile_seconds'])}"
        + (f" ({cached} programs from jax's cache)" if cached else ""),
        f"memory          {memory['bytes'] / 2**20:.0f} MiB per device "
        f"({memory['source']})",
    ]


def describe_iteration(figures: Mapping[str, Any]) -> list[str]:
    """Lines about the mean step."""
    text = reports.number_text
    return [
        f"iteration       {reports.seconds_text(figures['iteration_seconds'])}, the "
        "mean of a step on the lazy schedule",
        f"images/s        {figures['images_per_second']:.4g}",
        f"s/kimg          {figures['seconds_per_kimg']:.4g}",
        f"arithmetic      {text(figures['flops'], 1e9)} GFLOP, "
        f"{text(figures['flops_per_second'], 1e9)} GFLOP/s, "
        f"{reports.share_text(figures['share_of_matmul'])} of matmul",
        f"floor           {reports.seconds_text(figures['floor_seconds'])} at the best "
        "convolution's rate, XLA's count of both: "
        f"{text(figures['times_floor'])} times that",
        f"counted by taps {reports.seconds_text(figures['tap_floor_seconds'])} for "
        f"{text(figures['plain_flops'], 1e9)} GFLOP: "
        f"{text(figures['times_tap_floor'])} times that",
    ]


PHASE_COLUMNS: tuple[reports.Column, ...] = (
    ("phase", lambda row: row["name"]),
    ("every", lambda row: str(row["interval"])),
    reports.TIME,
    reports.SPREAD,
    reports.REPEATS,
    ("GFLOP", lambda row: reports.number_text(row["flops"], 1e9)),
    ("GFLOP/s", lambda row: reports.number_text(row["flops_per_second"], 1e9)),
    ("of matmul", lambda row: reports.share_text(row["share_of_matmul"])),
    ("GB", lambda row: reports.number_text(row["bytes"], 1e9)),
    ("of copy", lambda row: reports.share_text(row["share_of_copy"])),
    ("MiB", lambda row: reports.number_text(row["program_memory"], 2**20)),
)
