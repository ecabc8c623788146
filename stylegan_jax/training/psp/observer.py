"""What a pSp run leaves besides its checkpoints: grids, models, distances."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.losses import encoder as losses
from stylegan_jax.training.grids import local
from stylegan_jax.training.pair_samples import (
    Pairs,
    batches,
    cell_of,
    parts_of,
    some_pairs,
)
from stylegan_jax.training.psp.build import EncoderRun
from stylegan_jax.training.psp.state import EncoderState
from stylegan_jax.training.psp.steps import to_bytes
from stylegan_jax.training.snapshots import SnapshotFolder, licence_after

# Pairs that are looked at together when a model is judged.
AT_A_TIME = 8
# Couples of source, target and output in a row of a grid.
COUPLES = 2


class EncoderObserver:
    """See `stylegan_jax.training.run.Observer`."""

    def __init__(self, run: EncoderRun, workdir: Path):
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
        self._files = SnapshotFolder(
            workdir,
            parts=("psp",),
            keep=section.snapshot.keep,
            kept_parts=("psp",),
        )

    def begin(self, state: EncoderState) -> None:
        """Writes the first pairs as the encoder is shown them, and its first outputs.

        Whoever has mixed up the sides sees it here, before hours are spent.
        """
        source, target = self._validation.shown(self._shown)
        rows = [
            Row("", [picture for pair in part for picture in pair])
            for part in parts_of(list(zip(source, target, strict=True)), COUPLES)
        ]
        heads = ["source", "target"] * COUPLES
        title = "what the encoder is shown, and what is to come out"
        sheet = draw_sheet([Section(title, heads, rows)], cell=cell_of(target))
        save_png(self._folder / "pairs.png", sheet)
        self.draw(state, "init")

    def measure(self, state: EncoderState) -> dict[str, float]:
        """Mean distances on the held-out pairs, as ``val/…``."""
        if self._judged is None:
            return {}
        return self._validation.figures(local(state.ema_variables()), self._judged)

    def draw(self, state: EncoderState, name: str) -> np.ndarray:
        """Writes ``pairs-NAME.png``: source, target, output and their distance."""
        source, target = self._validation.shown(self._shown)
        variables = local(state.ema_variables())
        output, distances = self._validation.outputs(variables, self._shown)
        triples = list(zip(source, target, output, distances, strict=True))
        rows = []
        for part in parts_of(triples, COUPLES):
            label = "L2 " + ", ".join(f"{d:.3f}" for *_, d in part)
            rows.append(Row(label, [p for *pictures, _ in part for p in pictures]))
        heads = ["source", "target", "output"] * COUPLES
        kind = "held-out" if self._run.held_out else "training"
        title = f"{len(triples)} {kind} pairs"
        sheet = draw_sheet([Section(title, heads, rows)], cell=cell_of(target))
        save_png(self._folder / f"pairs-{name}.png", sheet)
        return sheet

    def write(
        self, state: EncoderState, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Writes the whole model, and removes those that need not be kept."""
        run, kimg = self._run, nimg // 1000
        self._files.write(
            kimg,
            {"psp": ("psp", run.psp, state.ema_variables())},
            provenance={
                "made_by": "stylegan-jax train",
                "started_from": run.start.provenance,
                "nimg": nimg,
                "noise_mode": run.hyper.noise_mode,
                "source": "labels" if run.hyper.labels else "pictures",
                "data": [[d.name, d.fingerprint, w] for d, w in run.data],
                "losses": dict(run.hyper.weights),
                "networks": {k: dict(v) for k, v in run.networks.sources.items()},
                "measured": dict(measured or {}),
            },
            licence=licence_after(run.start.licence, run.data),
        )
        if measured and "val/loss" in measured:
            self._files.note_best(
                kimg,
                "val/loss",
                measured["val/loss"],
                measured_with=dict(run.hyper.weights),
            )
        self._files.remove_old()

    def warnings(self, figures: Mapping[str, Any]) -> list[str]:
        """Nothing is watched for."""
        return []


class Validation:
    """Draws and measures pairs ``target`` and perhaps ``source`` [N,…] uint8.

    Nothing is drawn at random. One program does for grids and for measures.
    """

    def __init__(self, run: EncoderRun):
        """Compiles nothing yet."""
        self._losses = run.losses()
        self._frozen = run.networks.variables()
        self._step = jax.jit(self._measure)

    def figures(self, variables: Any, pairs: Pairs) -> dict[str, float]:
        """Mean distances by name, their weighted sum, and L2 of the mean latent."""
        total: dict[str, list[np.ndarray]] = {}
        for _, distances in self._all(variables, pairs):
            for name, value in distances.items():
                total.setdefault(name, []).append(value)
        means = {
            name: float(np.mean(np.concatenate(parts), dtype=np.float64))
            for name, parts in total.items()
        }
        baseline = means.pop("l2_mean_latent")
        weights = self._losses.hyper.weights
        loss = sum(weights[name] * means[name] for name in weights)
        return {
            "val/loss": loss,
            **{f"val/{name}": value for name, value in means.items()},
            "val/l2_mean_latent": baseline,
            "val/l2_ratio": baseline / max(means["l2"], 1e-12),
        }

    def outputs(self, variables: Any, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """Outputs [N, size, size, 3] uint8, and the L2 of each."""
        pictures, distances = [], []
        for output, found in self._all(variables, pairs):
            pictures.append(output)
            distances.append(found["l2"])
        return np.concatenate(pictures), np.concatenate(distances)

    def shown(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """Sources as the encoder sees them, and targets, uint8."""
        parts = [
            jax.jit(self._losses.shown)(batch) for batch, _ in batches(pairs, AT_A_TIME)
        ]
        num = len(pairs["target"])
        source, target = (np.concatenate(x)[:num] for x in zip(*parts, strict=True))
        return source, target

    def _all(self, variables: Any, pairs: Pairs):
        for batch, count in batches(pairs, AT_A_TIME):
            output, distances = jax.device_get(
                self._step(variables, self._frozen, batch)
            )
            yield output[:count], {k: v[:count] for k, v in distances.items()}

    def _draw(self, variables: Any, w_plus: jax.Array) -> Any:
        """Pictures with the noise of training, but the same in every call."""
        own = self._losses
        apply: Any = own.psp.apply
        return apply(variables, w_plus, noise_mode=own.quiet_noise, method="synthesis")

    def _measure(self, variables: Any, frozen: Any, batch: Any) -> Any:
        """Outputs uint8 and distances [N] by name of one batch."""
        own = self._losses
        apply: Any = own.psp.apply
        with jax.default_matmul_precision("highest"):
            source, target = own.inputs(batch, None)
            w_plus = apply(
                variables, source, noise_mode=own.quiet_noise, method="encode"
            )
            drawn = own.pool(self._draw(variables, w_plus))
            mean = jnp.broadcast_to(own.mean_of(variables), (1, *w_plus.shape[1:]))
            average = own.pool(self._draw(variables, mean))
        latent_avg = variables["moving_stats"]["latent_avg"]
        distances = own.compare(w_plus, drawn, target, latent_avg, frozen)
        distances = {"l2": losses.l2(drawn, target)} | distances
        average = jnp.broadcast_to(average, target.shape)
        distances["l2_mean_latent"] = losses.l2(average, target)
        return to_bytes(drawn), distances
