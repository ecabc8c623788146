"""The training loop: batch, phases, tick, save."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.training_state import TrainingCheckpoints
from stylegan_jax.data.pipeline import make_stream
from stylegan_jax.errors import UserError
from stylegan_jax.training import compile as compiling
from stylegan_jax.training import lock, spmd
from stylegan_jax.training.experiment import to_plain
from stylegan_jax.training.figures import Figures
from stylegan_jax.training.interrupt import StopSignal
from stylegan_jax.training.pictures import available
from stylegan_jax.training.progress import Progress, epochs
from stylegan_jax.training.resume import Clock, first_state, resume_point
from stylegan_jax.training.run import Run, State
from stylegan_jax.training.schedule import Every
from stylegan_jax.training.trainers import build_run
from stylegan_jax.training.writers import StatsWriter


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of ``train`` ended.

    Attributes:
        state: the state at the end.
        nimg: images seen.
        signal: the signal that ended it early, None where it ran to its end.
    """

    state: State
    nimg: int
    signal: int | None


def train(
    config: ConfigDict,
    workdir: str | Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    show_progress: bool = True,
) -> Outcome:
    """Trains to ``train.total_kimg``, or goes on where the run in ``workdir`` stopped.

    Args:
        config: as ``experiment.load_config`` gives it.
        workdir: the run's folder; see docs/design.md for what it holds.
        devices: what to run on; None for all there are.
        show_progress: write lines and a bar to stderr (process 0 only).

    Returns:
        The state at the end, and the signal that ended the run early, if one did.

    Raises:
        UserError: for unusable data, a run that does not fit the device or the
            checkpoint, or numbers that stay non-finite.
    """
    workdir = _make_folder(Path(workdir))
    shown = show_progress and jax.process_index() == 0
    progress = Progress(config.train.total_kimg, shown=shown)
    first = jax.process_index() == 0
    with lock.hold(workdir) if first else contextlib.nullcontext() as warning:
        if warning:
            progress.say(warning)
        run = build_run(config, workdir, devices=devices, progress=shown)
        progress.expect(run.config.train.total_kimg)
        _introduce(run, progress)
        checkpoints = TrainingCheckpoints(workdir / "checkpoints")
        try:
            return _train(config, run, checkpoints, workdir, progress)
        finally:
            progress.close()
            checkpoints.close()


def _train(
    config: ConfigDict,
    run: Run,
    checkpoints: TrainingCheckpoints,
    workdir: Path,
    progress: Progress,
) -> Outcome:
    # Whatever may be refused is refused before minutes of compiling.
    clock = resume_point(run, checkpoints, progress)
    state, key = first_state(run, checkpoints, clock)
    if clock.nimg >= run.config.train.total_kimg * 1000:
        progress.say(
            f"nothing left to do: the run is at {clock.nimg / 1000:.2f} kimg; "
            f"{run.TO_GO_ON}"
        )
        return Outcome(state, clock.nimg, None)
    programs = _compile(run.at(clock.nimg), progress)
    run = programs.run
    if jax.process_index() == 0:
        _write_config(config, run, workdir, progress)
    with StopSignal() as stop:
        loop = _Loop(run, programs, checkpoints, workdir, progress, clock)
        return loop.run(state, key, stop)


def _compile(run: Run, progress: Progress) -> compiling.Programs:
    """Compiles the programs of a stage, and says what they need."""
    if run.stage:
        progress.say(run.stage)
    progress.say("compiling (the first time takes a while, later runs are quicker)")
    programs = compiling.compile_programs(run, progress.say)
    progress.say(compiling.memory_plan(programs))
    return programs


class _Loop:
    """One call of ``train`` after everything is in place."""

    def __init__(
        self,
        run: Run,
        programs: compiling.Programs,
        checkpoints: TrainingCheckpoints,
        workdir: Path,
        progress: Progress,
        clock: Clock,
    ):
        self._run, self._programs, self._clock = run, programs, clock
        self._checkpoints, self._progress = checkpoints, progress
        config = run.config
        self._total = round(config.train.total_kimg * 1000)
        self._tick = Every(config.train.tick_kimg)
        self._snapshot = Every(config.snapshot.every_kimg)
        self._eval = Every(config.eval.every_kimg)
        self._figures = Figures(config.train.nonfinite_patience, run.REMEDY)
        self._writes = jax.process_index() == 0
        if self._writes:
            # A run that died before its first checkpoint begins anew.
            self._stats = StatsWriter(workdir, nimg=clock.nimg if clock.step else -1)
            self._observer = run.observer(workdir)
        self._warned: set[str] = set()
        self._last_tick = (time.monotonic(), clock.nimg)

    def run(self, state: State, key: jax.Array, stop: StopSignal) -> Outcome:
        """Steps until the end or a signal; saves whatever happens."""
        run, clock = self._run, self._clock
        if self._writes and clock.step == 0:
            self._observer.begin(state)
            if self._eval.kimg > 0:
                self._write_tick(state, evaluate=True)
        self._progress.start(clock.nimg, shown=run.SHOWN, rare=run.RARE)
        clock.began = time.monotonic()
        self._last_tick = (clock.began, clock.nimg)
        stopped = False
        while not stopped and clock.nimg < self._total:
            if self._run.ends is not None and clock.nimg >= self._run.ends:
                self._begin_stage()
            state, stopped = self._run_stage(state, key, stop)
        if self._writes and not stopped:
            self._stats.close()
        self._save(state)
        self._checkpoints.wait()
        return Outcome(state, clock.nimg, stop.number if stopped else None)

    def _begin_stage(self) -> None:
        """Compiles the programs of the stage that the run has come to."""
        began = time.monotonic()
        self._programs = _compile(self._run.at(self._clock.nimg), self._progress)
        self._run = self._programs.run
        # Compiling is no training: it does not count in the next tick's rate.
        last, seen = self._last_tick
        self._last_tick = (last + time.monotonic() - began, seen)

    def _run_stage(
        self, state: State, key: jax.Array, stop: StopSignal
    ) -> tuple[State, bool]:
        """Steps until the stage or the run ends, or a signal; True for a signal."""
        run, clock = self._run, self._clock
        end = self._total if run.ends is None else min(self._total, run.ends)
        stream = make_stream(
            run.stream_data,
            batch=run.batch,
            rows=run.local_rows,
            seed=run.config.train.seed,
            start_image=clock.nimg,
            workers=run.config.data.workers,
        )
        index = run.local_rows.astype(np.int32)
        previous: Any = None
        with stream:
            while clock.nimg < end:
                if stop.agreed(clock.step):
                    return state, True
                batch = spmd.to_devices(run.mesh, {**next(stream), "index": index})
                state, metrics = self._step(state, batch, key)
                # One step may be in flight: no more, so that what is shown is true.
                jax.block_until_ready(previous)
                previous = metrics
                self._after_step(state, metrics)
        return state, False

    def _step(self, state, batch, key):
        metrics: dict[str, jax.Array] = {}
        for _, interval, program in self._programs.phases:
            if self._clock.step % interval == 0:
                state, found = program(state, batch, key, *self._programs.constants)
                for name, value in found.items():
                    # Both of a network's phases count the elements they replaced.
                    both = name in metrics and name.startswith("nonfinite/")
                    metrics[name] = metrics[name] + value if both else value
        return self._programs.end(state), metrics

    def _after_step(self, state: State, metrics: dict[str, jax.Array]) -> None:
        clock, before = self._clock, self._clock.nimg
        self._figures.add(before, metrics)
        clock.step += 1
        clock.nimg += self._run.batch
        self._progress.advance(self._run.batch)
        last = clock.nimg >= self._total
        measured: dict[str, float] = {}
        snapshot = last or self._snapshot.due(before, clock.nimg)
        evaluate = last or self._eval.due(before, clock.nimg)
        evaluate |= snapshot and self._run.judges_snapshots
        if evaluate or self._tick.due(before, clock.nimg):
            measured = self._write_tick(state, evaluate)
        if snapshot:
            self._take_snapshot(state, measured)

    def _write_tick(self, state: State, evaluate: bool) -> dict[str, float]:
        clock = self._clock
        averages = self._figures.fetch()
        began, seen = self._last_tick
        rate = (clock.nimg - seen) / max(time.monotonic() - began, 1e-9)
        measured: dict[str, float] = {}
        if evaluate and self._writes and self._eval.kimg > 0:
            measured = self._observer.measure(state)
        # Measuring is no training: it does not count in the next tick's rate.
        self._last_tick = (time.monotonic(), clock.nimg)
        if not self._writes:
            return measured
        figures = {
            "step": clock.step,
            "nimg": clock.nimg,
            "kimg": clock.nimg / 1000,
            "epochs": epochs(self._run, clock.nimg),
            "seconds": clock.seconds if clock.began else clock.earlier,
            "images_per_second": rate,
            **averages,
            **measured,
        }
        self._stats.write(figures)
        if clock.began:
            self._progress.tick(figures)
        self._warn(self._observer.warnings(averages))
        return measured

    def _warn(self, texts: list[str]) -> None:
        """Says what begins alike only once: the figures in it move on."""
        for text in texts:
            if text[:30] not in self._warned:
                self._progress.say(text)
                self._warned.add(text[:30])

    def _take_snapshot(self, state: State, measured: dict[str, float]) -> None:
        clock = self._clock
        if self._writes:
            name = f"{clock.nimg // 1000:06d}"
            grid = self._observer.draw(state, name)
            self._stats.picture(clock.step, "samples", grid)
            self._observer.write(state, clock.nimg, measured)
            self._warn(self._observer.warnings(measured))
        self._save(state)
        # Grids and files are no training: they do not count in the next tick's rate.
        self._last_tick = (time.monotonic(), clock.nimg)

    def _save(self, state: State) -> None:
        clock = self._clock
        document = {
            "step": clock.step,
            "nimg": clock.nimg,
            "seconds": clock.seconds,
            "seed": self._run.config.train.seed,
            "data": self._run.data_identity,
            **self._run.begun_with(),
        }
        self._checkpoints.save(clock.step, state, document)


def _make_folder(workdir: Path) -> Path:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {workdir}: {error.strerror}; choose another "
            "--workdir."
        ) from error
    return workdir


def _introduce(run: Run, progress: Progress) -> None:
    pictures = f"{available(run.data)} pictures"
    if run.held_out:
        pictures += f" ({available(run.held_out)} more held out)"
    height, width, _ = run.image_shape
    device = run.mesh.devices.flat[0]
    first, *more = run.introduction(compiling.abstract_state(run))
    progress.say(
        f"{pictures} of {height}x{width}; {first}; batch {run.batch} on "
        f"{run.mesh.size} {device.device_kind} device(s) in "
        f"{jax.process_count()} process(es)"
    )
    for line in more:
        progress.say(line)


def _write_config(
    config: ConfigDict, run: Run, workdir: Path, progress: Progress
) -> None:
    """Writes ``config.json``; on resume, says what differs from the run's own."""
    path = workdir / "config.json"
    document = {"requested": to_plain(config), "resolved": to_plain(run.config)}
    document = json.loads(json.dumps(document, default=str))
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8")).get("resolved", {})
        for line in _differences(old, document["resolved"]):
            progress.say(f"changed since this run was begun: {line}")
    write_text(path, json.dumps(document, indent=1) + "\n")


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for name in sorted({*old, *new}):
            place = f"{where}.{name}" if where else name
            lines += _differences(old.get(name), new.get(name), place)
        return lines
    return [] if old == new else [f"{where} was {old}, is {new}"]
