"""`bench peers`: another program's networks and ours, in turns, in one run."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from clu.parameter_overview import count_parameters
from ml_collections import ConfigDict

from stylegan_jax.bench import report as reports
from stylegan_jax.bench import throughput_generate, throughput_train
from stylegan_jax.bench.machine import Peaks, check_precision, measure_peaks
from stylegan_jax.bench.peer_client import PeerProcess
from stylegan_jax.bench.report import Report, Say
from stylegan_jax.bench.roofline import roofline
from stylegan_jax.bench.throughput_train import END, Steps, mean_iteration
from stylegan_jax.bench.timing import measure_once, timing_of
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UsageError
from stylegan_jax.training.experiment import load_config

GENERATE, ITERATION = "generate", "iteration"
PHASES = ("g_main", "g_reg", "d_main", "d_reg", END)
# channel_base of the paper's two sizes of network (Karras et al. 2020, table 1).
WIDTHS = {"config-f": 32768, "config-e": 16384}


def our_config(
    resolution: int, batch: int, channel_base: int, dtype: str
) -> ConfigDict:
    """The configuration whose step does what both peers' steps do."""
    values = {
        "data.resolution": resolution,
        "model.channel_base": channel_base,
        "model.mbstd_group_size": min(batch, 4),
        "train.batch": batch,
        "train.precision": dtype,
        "eval.every_kimg": 0.0,
    }
    return load_config(
        "stylegan2", [f"--config.{name}={value}" for name, value in values.items()]
    )


class Ours:
    """Our side: the trainer's own programs, and that of the generate command.

    Attributes:
        steps: the compiled phases; None where none was asked for.
        drawing: the compiled generator.
        facts: numbers of parameters.
    """

    def __init__(
        self, generator: StyleGAN2Generator, steps: Steps | None, batch: int, dtype: str
    ):
        """Compiles the generator, for one device as the peers take one."""
        self.steps = steps
        self.facts = {"g_parameters": int(count_parameters(generator.params))}
        if steps is not None:
            self.facts["d_parameters"] = int(count_parameters(steps.state.d_params))
        self.drawing = throughput_generate.prepare(
            generator, batch=batch, precision=dtype, devices=jax.local_devices()[:1]
        )

    def seconds(self, phase: str) -> float:
        """Runs a phase once."""
        if phase == GENERATE:
            drawing = self.drawing
            return measure_once(lambda: drawing.program(*drawing.arguments))
        steps = self.steps
        assert steps is not None  # compiled where a phase was asked for
        return measure_once(lambda: steps.step(phase))


@contextlib.contextmanager
def opened_ours(
    config: ConfigDict, dtype: str, phases: Sequence[str], say: Say
) -> Iterator[Ours]:
    """Compiles our side of the phases."""
    batch = config.train.batch
    if not {*phases} & {*PHASES}:
        yield Ours(throughput_generate.random_generator(config), None, batch, dtype)
        return
    with throughput_train.opened_run(config, jax.local_devices()[:1]) as run:
        steps = Steps(run, say)
        yield Ours(averaged_generator(steps), steps, batch, dtype)


def averaged_generator(steps: Steps) -> StyleGAN2Generator:
    """The averaged generator of a StyleGAN2 run."""
    # Copies: the steps consume the state that they are given.
    weights = jax.tree.map(jnp.copy, steps.state.g_ema_variables())
    return StyleGAN2Generator(steps.run.g, weights)  # type: ignore[attr-defined]


def bench_peers(
    checkouts: Mapping[str, str],
    *,
    python: str,
    resolution: int = 64,
    batch: int = 8,
    widths: str = "config-f",
    dtype: str = "float32",
    threads: int = 0,
    repeats: int = 3,
    phases: Sequence[str] = (GENERATE, *PHASES),
    peaks: Peaks | None = None,
    say: Say = reports.silent,
) -> Report:
    """Measures peers and ours in turns: each phase on one side, then on the other.

    Args:
        checkouts: of each peer (``rosinality``, ``nvlabs``), the folder.
        python: an interpreter that has PyTorch.
        resolution: side of the pictures, a power of two.
        batch: images; path length takes half of them on both sides.
        widths: of `WIDTHS`.
        dtype: of `machine.PRECISIONS`; half precision is float16 on the peer's side.
        threads: of the peer; 0 leaves it to PyTorch.
        repeats: of each phase; one more comes first and does not count.
        phases: what is measured; the iteration needs all but ``generate``.
        peaks: what the machine can do; None measures it.
        say: called with a line of text as the work goes on.

    Raises:
        UserError: a checkout or the Python is not there, or a peer fails.
        UsageError: nothing to compare with, or an option is out of range.
    """
    _check(checkouts, resolution, batch, widths, dtype, phases)
    settings = {
        "size": resolution,
        "batch": batch,
        "widths": widths,
        "dtype": dtype,
        "threads": threads,
        "repeats": repeats,
        "phases": list(phases),
    }
    asked = {
        "resolution": resolution,
        "batch": batch,
        "channel_base": WIDTHS[widths],
        "dtype": dtype,
        "threads": threads,
        "device": "cpu" if jax.default_backend() == "cpu" else "cuda",
    }
    with contextlib.ExitStack() as stack:
        sides: dict[str, Any] = {}
        for name, checkout in checkouts.items():
            say(f"opening {name}")
            own = {"peer": name, "checkout": checkout}
            sides[name] = stack.enter_context(PeerProcess(python, {**asked, **own}))
        if peaks is None:
            say("measuring what the machine can do")
            peaks = measure_peaks((dtype,))
        say("compiling ours")
        config = our_config(resolution, batch, WIDTHS[widths], dtype)
        ours = stack.enter_context(opened_ours(config, dtype, phases, say))
        sides["ours"] = ours
        found = _alternate(sides, phases, repeats, say)
        facts = {name: sides[name].facts for name in sides}
    rows = _rows(found, ours.steps.intervals if ours.steps else {})
    return reports.make_report(
        "peers",
        {**settings, "peers": facts},
        peaks,
        _figures(found, ours, peaks, dtype, batch),
        rows,
    )


def _check(
    checkouts: Mapping[str, str],
    resolution: int,
    batch: int,
    widths: str,
    dtype: str,
    phases: Sequence[str],
) -> None:
    if not checkouts:
        raise UsageError("nothing to compare with: give --rosinality CHECKOUT.")
    if not 8 <= resolution <= 1024 or resolution & (resolution - 1):
        raise UsageError(
            f"--resolution {resolution} must be a power of two from 8 to 1024, as the "
            "peers' networks are."
        )
    if batch < 2 or batch % 2 or batch % min(batch, 4):
        raise UsageError(
            f"--batch {batch} must be 2 or a multiple of 4: minibatch statistics take "
            "groups of 4, and path length half of the batch."
        )
    if widths not in WIDTHS:
        raise UsageError(f"--widths {widths} is unknown: choose {', '.join(WIDTHS)}.")
    check_precision(dtype)
    if "rosinality" in checkouts and dtype in ("bfloat16", "float16"):
        raise UsageError(
            f"rosinality's networks compute in float32 only: leave --dtype {dtype} out."
        )
    if not phases:
        raise UsageError(
            f"--phases is empty: choose from {', '.join((GENERATE, *PHASES))}."
        )
    if unknown := set(phases) - {GENERATE, *PHASES}:
        raise UsageError(
            f"--phases has {', '.join(sorted(unknown))}: choose from "
            f"{', '.join((GENERATE, *PHASES))}."
        )


def _alternate(
    sides: Mapping[str, Any], phases: Sequence[str], repeats: int, say: Say
) -> dict[str, dict[str, list[float]]]:
    """Seconds of every phase on every side; one round more, which does not count."""
    found: dict[str, dict[str, list[float]]] = {
        phase: {name: [] for name in sides} for phase in phases
    }
    for turn in range(repeats + 1):
        for phase in phases:
            for name, side in sides.items():
                seconds = side.seconds(phase)
                if turn > 0:
                    found[phase][name].append(seconds)
            if turn > 0:
                last = ", ".join(
                    f"{name} {reports.seconds_text(taken[-1])}"
                    for name, taken in found[phase].items()
                )
                say(f"{turn} of {repeats}: {phase}: {last}")
            else:
                say(f"warming up {phase}")
    return found


def _rows(
    found: Mapping[str, Mapping[str, list[float]]], intervals: Mapping[str, int]
) -> list[dict[str, Any]]:
    """One row per phase and side; of a peer's, how many times as long it takes."""
    table = {phase: dict(taken) for phase, taken in found.items()}
    if set(PHASES) <= set(found):
        # Turn by turn, so that the iteration has a spread as well.
        table[ITERATION] = {
            name: [
                mean_iteration(dict(zip(PHASES, turn, strict=True)), intervals)
                for turn in zip(*(found[p][name] for p in PHASES), strict=True)
            ]
            for name in next(iter(found.values()))
        }
    rows = []
    for phase, taken in table.items():
        for name, seconds in taken.items():
            row: dict[str, Any] = {
                "name": f"{phase} {name}",
                "phase": phase,
                "side": name,
                "interval": intervals.get(phase),
                "seconds": timing_of(seconds).to_json(),
            }
            if name != "ours":
                pairs = zip(seconds, taken["ours"], strict=True)
                ratios = [theirs / own for theirs, own in pairs]
                row["ratio"] = statistics.median(ratios)
                row["ratio_range"] = [min(ratios), max(ratios)]
            rows.append(row)
    return rows


def _figures(
    found: Mapping[str, Mapping[str, list[float]]],
    ours: Ours,
    peaks: Peaks,
    dtype: str,
    batch: int,
) -> dict[str, Any]:
    """Our rates and floors; the iteration's where all phases were measured."""
    medians = {p: statistics.median(taken["ours"]) for p, taken in found.items()}
    figures: dict[str, Any] = {}
    if ours.steps is not None and set(PHASES) <= set(medians):
        own = {phase: medians[phase] for phase in PHASES}
        figures[ITERATION] = throughput_train.iteration_figures(
            own, ours.steps.intervals, ours.steps.costs, peaks, dtype, batch
        )
    if GENERATE in medians:
        cost, seconds = ours.drawing.cost, medians[GENERATE]
        figures[GENERATE] = {
            "images_per_second": batch / seconds,
            **roofline(seconds, cost.flops, cost.bytes, peaks, dtype),
        }
    return figures


def describe(report: Report) -> list[str]:
    """Writes a report for people."""
    settings, figures = report["settings"], report["figures"]
    lines = [
        *reports.heading(report),
        f"{settings['size']} px, {settings['widths']}, batch {settings['batch']}, "
        f"{settings['dtype']}, in turns; ratio: median of peer / ours",
    ]
    for name, facts in settings["peers"].items():
        counted = [
            f"{network.upper()} {facts[f'{network}_parameters'] / 1e6:.2f} M"
            for network in ("g", "d")
            if f"{network}_parameters" in facts
        ]
        line = f"{name.ljust(10)}  {', '.join(counted)} parameters"
        if "torch" in facts:
            line += f", torch {facts['torch']}, {facts['threads']} threads"
        lines.append(line)
    lines += ["", *reports.table(report["rows"], COLUMNS), ""]
    if ITERATION in figures:
        lines += ["ours:", *throughput_train.describe_iteration(figures[ITERATION])]
    lines += [
        "Each side's phases include its drawing of latents and noise, forward and "
        "backward passes",
        "and its optimiser's step, each phase's alone (g_reg: path length on half of "
        "the batch);",
        "ours also replaces non-finite gradients, as NVIDIA's loop does. end: the "
        "averaged generator.",
    ]
    return lines


def _ratio(row: Mapping[str, Any]) -> str:
    if "ratio" not in row:
        return ""
    low, high = row["ratio_range"]
    return f"{row['ratio']:.2f} ({low:.2f}-{high:.2f})"


COLUMNS: tuple[reports.Column, ...] = (
    ("phase", lambda row: row["phase"]),
    ("side", lambda row: row["side"]),
    ("every", lambda row: str(row["interval"] or "")),
    reports.TIME,
    ("min", lambda row: reports.seconds_text(row["seconds"]["min"])),
    ("max", lambda row: reports.seconds_text(row["seconds"]["max"])),
    ("ratio", _ratio),
)
