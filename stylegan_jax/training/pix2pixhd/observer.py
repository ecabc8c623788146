"""What a pix2pixHD run leaves besides its checkpoints: grids, models, a film."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.drawing import to_bytes
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.losses import translation
from stylegan_jax.training.grids import local
from stylegan_jax.training.pair_samples import (
    Pairs,
    batches,
    cell_of,
    parts_of,
    some_pairs,
)
from stylegan_jax.training.pix2pixhd.build import TranslatorRun
from stylegan_jax.training.pix2pixhd.start import PARTS
from stylegan_jax.training.pix2pixhd.state import D, E, G, TranslatorState
from stylegan_jax.training.pix2pixhd.timeline import Timeline
from stylegan_jax.training.snapshots import SnapshotFolder, licence_after

# Pairs that are looked at together when a model is judged.
AT_A_TIME = 8
# Groups of source, target and output in a row of a grid.
GROUPS = 2


class TranslatorObserver:
    """See `stylegan_jax.training.run.Observer`."""

    def __init__(self, run: TranslatorRun, workdir: Path):
        """Reads the pairs that grids show and that distances are measured on."""
        self._run = run
        self._folder = workdir / "samples"
        seed, section = run.config.train.seed, run.config
        judged = run.held_out or run.data
        self._shown = some_pairs(judged, section.snapshot.grid, seed)
        self._judged = (
            some_pairs(run.held_out, section.eval.num, seed)
            if run.judges_snapshots
            else None
        )
        self._validation = Validation(run)
        self._timeline = Timeline(self._folder)
        used = [name for name in run.modules.all() if name != D]
        self._files = SnapshotFolder(
            workdir,
            parts=tuple(PARTS[name] for name in (*used, D)),
            keep=section.snapshot.keep,
            kept_parts=tuple(PARTS[name] for name in used),
        )

    def begin(self, state: TranslatorState) -> None:
        """Writes some pairs as they are trained on, and the first outputs.

        Whoever has mixed up the sides sees it here, before hours are spent.
        """
        seed = self._run.config.train.seed
        trained = some_pairs(self._run.data, self._run.config.snapshot.grid, seed)
        columns = self._validation.shown(trained, jax.random.key(seed))
        heads = list(columns) * GROUPS
        groups = list(zip(*columns.values(), strict=True))
        rows = [
            Row("", [picture for group in part for picture in group])
            for part in parts_of(groups, GROUPS)
        ]
        title = "what the student is shown, and what is to come out"
        cell = cell_of(columns["target"])
        sheet = draw_sheet([Section(title, heads, rows)], cell=cell)
        save_png(self._folder / "pairs.png", sheet)
        self.draw(state, "init")

    def measure(self, state: TranslatorState) -> dict[str, float]:
        """Mean distances on the held-out pairs, as ``val/…``."""
        if self._judged is None:
            return {}
        return self._validation.figures(local(state), self._judged)

    def draw(self, state: TranslatorState, name: str) -> np.ndarray:
        """Writes ``pairs-NAME.png``, and the film of the first pair over time."""
        columns = self._validation.shown(self._shown)
        output, distances = self._validation.outputs(local(state), self._shown)
        groups = list(zip(*columns.values(), output, distances, strict=True))
        rows = []
        for part in parts_of(groups, GROUPS):
            label = "L1 " + ", ".join(f"{d:.3f}" for *_, d in part)
            rows.append(Row(label, [p for *pictures, _ in part for p in pictures]))
        heads = [*columns, "output"] * GROUPS
        kind = "held-out" if self._run.held_out else "training"
        title = f"{len(groups)} {kind} pairs"
        cell = cell_of(columns["target"])
        sheet = draw_sheet([Section(title, heads, rows)], cell=cell)
        save_png(self._folder / f"pairs-{name}.png", sheet)
        self._timeline.add(
            int(state.nimg), columns["source"][0], output[0], columns["target"][0]
        )
        return sheet

    def write(
        self, state: TranslatorState, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Writes the networks, and removes those that need not be kept."""
        run, kimg = self._run, nimg // 1000
        variables = {name: state.ema_variables(name) for name in state.ema_params}
        variables[D] = state.variables(D, state.params)
        families = {
            G: f"pix2pixhd.{run.config.model.generator}",
            D: "pix2pixhd.discriminator",
            E: "pix2pixhd.encoder",
        }
        self._files.write(
            kimg,
            {
                PARTS[name]: (families[name], module, variables[name])
                for name, module in run.modules.all().items()
            },
            provenance=self._provenance(nimg, measured),
            licence=licence_after(run.start.licence, run.data),
        )
        if measured and "val/loss" in measured:
            self._files.note_best(
                kimg,
                "val/loss",
                measured["val/loss"],
                measured_with=judged_by(run.hyper.weights),
            )
        self._files.remove_old()

    def _provenance(self, nimg: int, measured) -> dict[str, Any]:
        run = self._run
        data = run.config.data
        return {
            "made_by": "stylegan-jax train",
            "started_from": run.start.provenance,
            "nimg": nimg,
            # What a program needs to show the network pictures as in training.
            "resolution": run.image_shape[0],
            "source": "labels" if run.inputs.labels else "pictures",
            "source_labels": run.inputs.labels,
            "second": run.inputs.second,
            "instances": run.inputs.instances,
            "sides": {name: data[name] for name in ("source", "target", "second")},
            "data": [[d.name, d.fingerprint, w] for d, w in run.data],
            "losses": dict(run.hyper.weights),
            "distortion": run.inputs.distortion.describe(),
            "networks": {k: dict(v) for k, v in run.networks.sources.items()},
            "measured": dict(measured or {}),
        }

    def warnings(self, figures: Mapping[str, Any]) -> list[str]:
        """Nothing is watched for."""
        return []


def judged_by(weights: Mapping[str, float]) -> dict[str, float]:
    """What snapshots are ranked by: the distances of training, or else L1."""
    found = {name: weights[name] for name in ("l1", "vgg", "lpips") if name in weights}
    return found or {"l1": 1.0}


class Validation:
    """Draws and measures pairs [N, …] uint8.

    Nothing is drawn at random. One program does for grids and for measures.
    """

    def __init__(self, run: TranslatorRun):
        """Compiles nothing yet."""
        self._losses = run.losses()
        self._frozen = run.networks.variables()
        self._weights = judged_by(run.hyper.weights)
        self._step = jax.jit(self._measure)
        self._show = jax.jit(self._visible)

    def figures(self, state: TranslatorState, pairs: Pairs) -> dict[str, float]:
        """Mean distances by name, their weighted sum, and L1 of the source itself."""
        total: dict[str, list[np.ndarray]] = {}
        for _, distances in self._all(state, pairs):
            for name, value in distances.items():
                total.setdefault(name, []).append(value)
        means = {
            name: float(np.mean(np.concatenate(parts), dtype=np.float64))
            for name, parts in total.items()
        }
        found = {
            "val/loss": sum(w * means[name] for name, w in self._weights.items()),
            **{f"val/{name}": value for name, value in means.items()},
        }
        if "l1_source" in means:
            # How many times less, as `eval` counts it.
            found["val/l1_ratio"] = means["l1_source"] / max(means["l1"], 1e-12)
        return found

    def outputs(
        self, state: TranslatorState, pairs: Pairs
    ) -> tuple[np.ndarray, np.ndarray]:
        """Outputs [N, H, W, 3] uint8, and the L1 of each."""
        pictures, distances = [], []
        for output, found in self._all(state, pairs):
            pictures.append(output)
            distances.append(found["l1"])
        return np.concatenate(pictures), np.concatenate(distances)

    def shown(
        self, pairs: Pairs, key: jax.Array | None = None
    ) -> dict[str, np.ndarray]:
        """What the networks see as pictures for people, by name, [N, H, W, 3] uint8.

        Args:
            pairs: some.
            key: mirrors and distorts them, as training does; None leaves that out.
        """
        parts = []
        for number, (batch, _) in enumerate(batches(pairs, AT_A_TIME)):
            keys = None
            if key is not None:
                keys = jax.random.split(jax.random.fold_in(key, number), AT_A_TIME)
            parts.append(self._show(batch, keys))
        num = len(pairs["target"])
        return {
            name: np.concatenate([part[name] for part in parts])[:num]
            for name in parts[0]
        }

    def _visible(self, batch: Any, keys: jax.Array | None) -> dict[str, jax.Array]:
        inputs = self._losses.inputs
        seen = inputs(batch, keys)
        source = seen.x[..., :3]
        if inputs.labels:
            # Classes as shades of grey.
            classes = jnp.argmax(seen.x[..., : inputs.labels], -1)[..., None]
            grey = classes / max(inputs.labels - 1, 1) * 2.0 - 1.0
            source = jnp.broadcast_to(grey, seen.target.shape)
        found = {"source": to_bytes(source)}
        if inputs.second:
            found["second"] = to_bytes(seen.x[..., 3:6])
        return {**found, "target": to_bytes(seen.target)}

    def _all(self, state: TranslatorState, pairs: Pairs):
        for batch, count in batches(pairs, AT_A_TIME):
            output, distances = jax.device_get(self._step(state, self._frozen, batch))
            yield output[:count], {k: v[:count] for k, v in distances.items()}

    def _measure(self, state: TranslatorState, frozen: Any, batch: Any) -> Any:
        """Outputs uint8 and distances [N] by name of one batch.

        L1 is a mean over values in [-1, 1], as in training.
        """
        own = self._losses
        with jax.default_matmul_precision("highest"):
            seen = own.inputs(batch, None)
            output, _ = own.generate(state, state.ema_params, seen)
            distances = own.distances(output, seen.target, frozen)

        def l1(pictures: jax.Array) -> jax.Array:
            return translation.per_picture(jnp.abs(pictures - seen.target))

        found = {"l1": l1(output), **distances}
        if not own.inputs.labels:
            found["l1_source"] = l1(seen.x[..., :3])
        return to_bytes(output), found
