"""What a run leaves behind besides its checkpoints: grids, model files, measures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.pictures import image_grid, save_png
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.data.pipeline import make_stream
from stylegan_jax.metrics.memorisation import Memorisation, overfitted
from stylegan_jax.metrics.swd import SlicedWasserstein
from stylegan_jax.training.build import GanRun
from stylegan_jax.training.state import GanState


class Samples:
    """Sample grids: the same latents through the whole run, and real pictures."""

    def __init__(self, run: GanRun, workdir: Path):
        """Takes the first pictures of the data for the reals' grid and the labels."""
        self._folder = workdir / "samples"
        self._generator = StyleGAN2Generator(run.g, {})
        self.reals = real_pictures(run, min(run.config.snapshot.grid, available(run)))
        self._labels = self.reals["label"] if run.g.c_dim else None

    def draw(self, state: GanState, num: int, first_seed: int = 0) -> np.ndarray:
        """Pictures [num, H, W, C] uint8 of the averaged generator, seeds in a row."""
        labels = None
        if self._labels is not None:
            labels = np.resize(self._labels, (num, self._labels.shape[1]))
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
        *,
        last: bool,
    ) -> None:
        """Writes ``snapshot.parts`` of this moment and removes the oldest.

        The last snapshot has all parts, so that another run can start from it.
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
            if part not in self._parts and not last:
                continue
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
        if not measured or "swd/mean" not in measured:
            return
        path = self._folder / "best.json"
        best = json.loads(path.read_text()) if path.exists() else {}
        value = measured["swd/mean"]
        if kimg == best.get("kimg") or value <= best.get("value", float("inf")):
            document = {"kimg": kimg, "metric": "swd/mean", "value": value}
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
            "epochs": nimg / available(self._run),
            **figures,
            "overfitted": overfitted(figures),
        }
        kept = [e for e in known if e["kimg"] != kimg]
        document = sorted([*kept, entry], key=lambda e: e["kimg"])
        write_text(path, json.dumps(document, indent=1) + "\n")

    def _remove_old(self) -> None:
        if self._keep <= 0:
            return
        path = self._folder / "best.json"
        best = json.loads(path.read_text())["kimg"] if path.exists() else None
        kimgs = sorted(
            int(p.stem.split("-")[1]) for p in self._folder.glob("g_ema-*.safetensors")
        )
        for kimg in kimgs[: -self._keep]:
            if kimg != best:
                for part in ("g_ema", "g", "d"):
                    name = f"{part}-{kimg:06d}.safetensors"
                    (self._folder / name).unlink(missing_ok=True)


class Evaluation:
    """Measures during training: sliced Wasserstein distance, the overfit watch."""

    def __init__(self, run: GanRun, samples: Samples):
        """Describes the real pictures once."""
        self._samples = samples
        self._swd = self._watch = None
        config = run.config.eval
        self._num = min(config.num, available(run))
        if config.every_kimg <= 0 or not (config.watch or "swd" in config.metrics):
            return
        reals = real_pictures(run, self._num)["image"]
        if "swd" in config.metrics:
            self._swd = SlicedWasserstein(reals, seed=0)
        if config.watch:
            self._watch = Memorisation(reals)

    def measure(self, state: GanState) -> dict[str, float]:
        """Measures by name; empty where nothing is measured."""
        if self._swd is None and self._watch is None:
            return {}
        # Seeds far from the grids', so that what is measured is not what is shown.
        fakes = self._samples.draw(state, self._num, first_seed=1_000_000)
        figures = self._swd(fakes) if self._swd is not None else {}
        return {**figures, **(self._watch(fakes) if self._watch is not None else {})}


def local(tree: Any) -> Any:
    """A replicated tree as arrays of this process."""
    return jax.device_get(tree) if jax.process_count() > 1 else tree


def viewable(grid: np.ndarray) -> np.ndarray:
    """A grid that a PNG can hold: the first three of more than four channels."""
    return grid if grid.shape[2] <= 4 else grid[:, :, :3]


def available(run: GanRun) -> int:
    """Number of pictures in the data, without their mirror images."""
    return sum(data.num_images for data, _ in run.data)


def real_pictures(run: GanRun, num: int) -> dict[str, np.ndarray]:
    """The first ``num`` samples of a stream of their own: image and label."""
    seed = run.config.train.seed
    with make_stream(run.data, batch=num, seed=seed, workers=0) as stream:
        return next(stream)
