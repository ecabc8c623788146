"""What a run leaves behind besides its checkpoints: grids, model files, measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.load import snapshots
from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.pictures import image_grid, save_png
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.data.mixture import Weighted
from stylegan_jax.data.pipeline import make_stream
from stylegan_jax.metrics.memorisation import overfitted, why_overfitted
from stylegan_jax.training.build import GanRun
from stylegan_jax.training.state import GanState


class Samples:
    """Sample grids: the same latents through the whole run, and real pictures."""

    def __init__(self, run: GanRun, workdir: Path):
        """Takes the first pictures of the data for the reals' grid and the labels."""
        self._folder = workdir / "samples"
        self._generator = StyleGAN2Generator(run.g, {})
        num = min(run.config.snapshot.grid, available(run.data))
        self.reals = real_pictures(run.data, num, run.config.train.seed)

    def labels(self, num: int) -> np.ndarray:
        """Labels [num, c_dim] of ``num`` pictures, as the data have them."""
        labels = self.reals["label"]
        return np.resize(labels, (num, labels.shape[1]))

    def draw(self, state: GanState, num: int, first_seed: int = 0) -> np.ndarray:
        """Pictures [num, H, W, C] uint8 of the averaged generator, seeds in a row."""
        labels = self.labels(num) if self._generator.module.c_dim else None
        generator = self._generator.replace(local(state.g_ema_variables()))
        return generator.images(range(first_seed, first_seed + num), labels=labels)

    def write_reals(self) -> None:
        """Writes ``reals.png``."""
        save_png(self._folder / "reals.png", viewable(image_grid(self.reals["image"])))

    def write_fakes(self, state: GanState, name: str) -> np.ndarray:
        """Writes ``fakes-NAME.png`` and returns the grid."""
        grid = image_grid(self.draw(state, len(self.reals["image"])))
        save_png(self._folder / f"fakes-{name}.png", viewable(grid))
        return grid


class Snapshots:
    """Model files of a run; keeps the newest and the best."""

    def __init__(self, run: GanRun, workdir: Path, command: str):
        """Args: the run, its folder, and what to write into the files' provenance."""
        self._run = run
        self._folder = workdir / "models"
        self._command = command
        self._keep = run.config.snapshot.keep
        self._parts = run.config.snapshot.parts

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
        kimg = nimg // 1000
        g, d = self._run.g, self._run.d
        generator = "stylegan2.generator"
        parts: dict[str, tuple[str, Any, Any]] = {
            "g_ema": (generator, g, state.g_ema_variables()),
            "g": (generator, g, state.g_variables()),
            "d": ("stylegan2.discriminator", d, {"params": state.d_params}),
        }
        parent = self._run.parent
        made = "unstated: set by the pictures that the model was trained on"
        known = parent.licence if parent else made
        licence = known if made in known else f"{known}; and {made}"
        for part, (family, module, variables) in parts.items():
            save_model(
                self._folder / f"{part}-{kimg:06d}.safetensors",
                jax.device_get(variables),
                family=family,
                config=config_of(module),
                provenance=self._provenance(nimg, measured),
                licence=licence,
            )
        self._note_best(kimg, measured)
        self._note_watch(kimg, nimg, measured)
        self._remove_old()

    def warning(self, measured: Mapping[str, float] | None) -> str | None:
        """What a person should know once the training set is learnt by heart."""
        if not measured or not overfitted(measured):
            return None
        good = last_good(self._folder)
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

    def _note_best(self, kimg: int, measured: Mapping[str, float] | None) -> None:
        """The best is the nearest to the pictures of those that are no copies of them.

        A generator that draws the training set again is the nearest of all: such a
        snapshot only counts while there is no other.
        """
        if not measured or "swd/mean" not in measured:
            return
        path = self._folder / "best.json"
        best = json.loads(path.read_text()) if path.exists() else {}
        value, copies = measured["swd/mean"], overfitted(measured)
        rank = (copies, value)
        known = (best.get("overfitted", False), best.get("value", float("inf")))
        if kimg == best.get("kimg") or not best or rank <= known:
            document = {"kimg": kimg, "metric": "swd/mean", "value": value}
            document |= {"overfitted": True} if copies else {}
            write_text(path, json.dumps(document) + "\n")

    def _note_watch(
        self, kimg: int, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Adds the snapshot to ``watch.json``: is it from before overfitting?"""
        figures = {k: v for k, v in (measured or {}).items() if k.startswith("watch/")}
        if not figures:
            return
        path = self._folder / "watch.json"
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

    def _remove_old(self) -> None:
        kept = {self._kimg_of("best.json"), last_good(self._folder)}
        kimgs = list(snapshots(self._folder))
        recent = set(kimgs[-self._keep :] if self._keep > 0 else kimgs)
        for kimg in set(kimgs[:-1]) - kept:
            for part in ("g_ema", "g", "d"):
                if kimg not in recent or part not in self._parts:
                    name = f"{part}-{kimg:06d}.safetensors"
                    (self._folder / name).unlink(missing_ok=True)
        self._mark_removed()

    def _mark_removed(self) -> None:
        """Says in ``watch.json`` which of its snapshots are still there."""
        path = self._folder / "watch.json"
        if path.exists():
            there = set(snapshots(self._folder))
            entries = json.loads(path.read_text())
            document = [{**e, "kept": e["kimg"] in there} for e in entries]
            write_text(path, json.dumps(document, indent=1) + "\n")

    def _kimg_of(self, name: str) -> int | None:
        path = self._folder / name
        return json.loads(path.read_text())["kimg"] if path.exists() else None


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


def local(tree: Any) -> Any:
    """A replicated tree as arrays of this process."""
    return jax.device_get(tree) if jax.process_count() > 1 else tree


def viewable(grid: np.ndarray) -> np.ndarray:
    """A grid that a PNG can hold: the first three of more than four channels."""
    return grid if grid.shape[2] <= 4 else grid[:, :, :3]


def available(data: Weighted) -> int:
    """Number of pictures in the data, without their mirror images."""
    return sum(dataset.num_images for dataset, _ in data)


def epochs(run: GanRun, nimg: int) -> float:
    """How often this run has seen its pictures; not what its parent had seen."""
    return (nimg - int(run.config.init.resume_kimg * 1000)) / available(run.data)


def different_pictures(data: Weighted, num: int, seed: int) -> dict[str, np.ndarray]:
    """Up to ``num`` pictures of the data, none twice and none mirrored.

    A stream of a mirrored set shows a picture and its mirror image: to who looks for
    copies they are one.

    Returns:
        ``image`` uint8 [N, H, W, C] and ``label`` float32 [N, c].
    """
    places = [(dataset, i) for dataset, _ in data for i in range(dataset.num_images)]
    order = np.random.default_rng(seed).permutation(len(places))[:num]
    items = [places[k][0][places[k][1]] for k in order]
    return {
        "image": np.stack([item["image"] for item in items]),
        "label": np.stack([item["label"] for item in items]),
    }


def real_pictures(data: Weighted, num: int, seed: int) -> dict[str, np.ndarray]:
    """The first ``num`` samples of a stream of their own: image and label."""
    with make_stream(data, batch=num, seed=seed, workers=0) as stream:
        return next(stream)
