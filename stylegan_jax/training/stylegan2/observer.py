"""What a GAN's run leaves besides its checkpoints: grids, models, measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.metrics.memorisation import overfitted, why_overfitted
from stylegan_jax.training.progress import epochs
from stylegan_jax.training.snapshots import SnapshotFolder, licence_after
from stylegan_jax.training.stylegan2.build import GanRun
from stylegan_jax.training.stylegan2.evaluation import Evaluation
from stylegan_jax.training.stylegan2.samples import Samples
from stylegan_jax.training.stylegan2.state import GanState


class GanObserver:
    """See `stylegan_jax.training.run.Observer`."""

    def __init__(self, run: GanRun, workdir: Path):
        """Takes the pictures that grids and measures compare with."""
        self._augmentation = run.hyper.augmentation
        self._samples = Samples(run, workdir)
        self._snapshots = Snapshots(run, workdir, "stylegan-jax train")
        self._evaluation = Evaluation(run, self._samples)

    def begin(self, state: GanState) -> None:
        """Writes a grid of real pictures, and what the untrained generator draws."""
        self._samples.write_reals()
        self._samples.write_fakes(state, "init")

    def measure(self, state: GanState) -> dict[str, float]:
        """Measures by name; empty where nothing is measured."""
        return self._evaluation.measure(state)

    def draw(self, state: GanState, name: str) -> np.ndarray:
        """Writes ``fakes-NAME.png`` and returns the grid."""
        return self._samples.write_fakes(state, name)

    def write(
        self, state: GanState, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Writes model files, and removes those that need not be kept."""
        self._snapshots.write(state, nimg, measured)

    def warnings(self, figures: Mapping[str, Any]) -> list[str]:
        """A training set learnt by heart, and an augmentation at its ceiling."""
        found = [
            self._augmentation.warning(figures.get("augment/p", 0.0)),
            self._snapshots.warning(figures),
        ]
        return [text for text in found if text]


class Snapshots:
    """Model files of a run; keeps the newest, the best and the last good one."""

    def __init__(self, run: GanRun, workdir: Path, command: str):
        """Args: the run, its folder, and what to write into the files' provenance."""
        self._run = run
        self._command = command
        section = run.config.snapshot
        self._files = SnapshotFolder(
            workdir,
            parts=("g_ema", "g", "d"),
            keep=section.keep,
            kept_parts=section.parts,
        )

    def write(
        self,
        state: GanState,
        nimg: int,
        measured: Mapping[str, float] | None,
    ) -> None:
        """Writes the networks of this moment and removes what need not be kept.

        Older moments keep ``snapshot.parts``; the newest, the best and the last one
        from before overfitting keep all, so that another run can start from them.
        """
        kimg, run, parent = nimg // 1000, self._run, self._run.parent
        generator = f"{run.FAMILY}.generator"
        discriminator = f"{run.FAMILY}.discriminator"
        d = {"params": state.d_params}
        self._files.write(
            kimg,
            {
                "g_ema": (generator, *run.filed(run.g, state.g_ema_variables(), nimg)),
                "g": (generator, *run.filed(run.g, state.g_variables(), nimg)),
                "d": (discriminator, *run.filed(run.d, d, nimg)),
            },
            provenance=self._provenance(nimg, measured),
            licence=licence_after(parent.licence if parent else None),
        )
        if measured and "swd/mean" in measured:
            # A generator that draws the training set again is the nearest of all.
            self._files.note_best(
                kimg,
                "swd/mean",
                measured["swd/mean"],
                overfitted=overfitted(measured),
                measured_with=run.compared_with(nimg),
            )
        self._note_watch(kimg, nimg, measured)
        self._files.remove_old(whole={last_good(self._files.folder)})
        self._mark_removed()

    def warning(self, measured: Mapping[str, float] | None) -> str | None:
        """What a person should know once the training set is learnt by heart."""
        if not measured or not overfitted(measured):
            return None
        good = last_good(self._files.folder)
        before = (
            f"g_ema-{good:06d}.safetensors is the newest snapshot from before"
            if good is not None
            else "no snapshot is from before"
        )
        return (
            "The training set is being learnt by heart "
            f"({why_overfitted(measured)}): {before}, see models/watch.json."
        )

    def _provenance(self, nimg, measured):
        parent = self._run.parent
        return {
            **({"parent": parent.provenance} if parent else {}),
            "made_by": self._command,
            "nimg": nimg,
            "data": [[d.name, d.fingerprint, w] for d, w in self._run.data],
            "measured": dict(measured or {}),
        }

    def _note_watch(
        self, kimg: int, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Adds the snapshot to ``watch.json``: is it from before overfitting?"""
        figures = {k: v for k, v in (measured or {}).items() if k.startswith("watch/")}
        if not figures:
            return
        path = self._files.folder / "watch.json"
        known = json.loads(path.read_text()) if path.exists() else []
        entry = {
            "kimg": kimg,
            "epochs": epochs(self._run, nimg),
            **figures,
            "overfitted": overfitted(figures),
        }
        kept = [e for e in known if e["kimg"] != kimg]
        document = sorted([*kept, entry], key=lambda e: e["kimg"])
        write_text(path, json.dumps(document, indent=1) + "\n")

    def _mark_removed(self) -> None:
        """Says in ``watch.json`` which of its snapshots are still there."""
        path = self._files.folder / "watch.json"
        if path.exists():
            there = self._files.moments()
            entries = json.loads(path.read_text())
            document = [{**e, "kept": e["kimg"] in there} for e in entries]
            write_text(path, json.dumps(document, indent=1) + "\n")


def last_good(models: Path) -> int | None:
    """Kimg of the newest snapshot from before the training set was learnt by heart.

    Args:
        models: a run's ``models/``.

    Returns:
        None where nothing is watched, or already the first snapshot was too late.
    """
    path = models / "watch.json"
    good = None
    for entry in json.loads(path.read_text()) if path.exists() else []:
        if entry["overfitted"]:
            break
        good = entry["kimg"]
    return good
