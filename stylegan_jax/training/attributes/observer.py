"""What a run leaves besides its checkpoints: grids, models, figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.attributes import (
    fit_pictures,
    fixed_batches,
    read_outputs,
)
from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.drawing import to_bytes
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data.mixture import Weighted
from stylegan_jax.models.attributes import BINARY
from stylegan_jax.training.attributes.augment import jitter_pictures
from stylegan_jax.training.attributes.build import AttributeRun
from stylegan_jax.training.attributes.judge import judge
from stylegan_jax.training.attributes.state import AttributeState
from stylegan_jax.training.attributes.steps import losses, total_of
from stylegan_jax.training.grids import local
from stylegan_jax.training.snapshots import LICENCE, SnapshotFolder, licence_after
from stylegan_jax.training.updates import to_model_range

# Pictures that are read together when a network is judged.
AT_A_TIME = 32
# Pictures in a row of a grid, and attributes in their captions.
COLUMNS, NAMED = 8, 4


class AttributeObserver:
    """See `stylegan_jax.training.run.Observer`."""

    def __init__(self, run: AttributeRun, workdir: Path):
        """Reads the pictures that grids show and that figures are made of."""
        self._run = run
        self._folder = workdir / "samples"
        seed, section = run.config.train.seed, run.config
        shown = run.held_out or run.data
        self._shown = some_pictures(shown, section.snapshot.grid, seed)
        self._judged = (
            some_pictures(run.held_out, section.eval.num, seed)
            if run.judges_snapshots
            else None
        )
        self._outputs = jax.jit(self._compute)
        self._files = SnapshotFolder(
            workdir,
            parts=("attributes",),
            keep=section.snapshot.keep,
            kept_parts=("attributes",),
        )

    def begin(self, state: AttributeState) -> None:
        """Writes pictures as they are and as the network is shown them in training."""
        run, images = self._run, self._shown[0]
        size, jitter = run.module.input_size, run.hyper.jitter
        key = jax.random.key(run.config.train.seed)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, np.arange(len(images)))
        changed = jax.jit(
            lambda x, k: to_bytes(jitter_pictures(to_model_range(x), k, size, jitter))
        )(images, keys)
        own = to_bytes(fit_pictures(jnp.asarray(images), size))
        rows = []
        for start in range(0, len(images), COLUMNS):
            for label, part in (("as they are", own), ("as shown", changed)):
                rows.append(Row(label, list(np.asarray(part[start : start + COLUMNS]))))
        title = "what the network is shown in training"
        sheet = draw_sheet([Section(title, [""] * COLUMNS, rows)], cell=_cell(size))
        save_png(self._folder / "augmented.png", sheet)

    def measure(self, state: AttributeState) -> dict[str, float]:
        """Loss and figures of the held-out pictures, as ``val/…``."""
        if self._judged is None:
            return {}
        run, (images, values) = self._run, self._judged
        outputs = self._all(state, images)
        by_name = losses(run.module, run.hyper, outputs, values)
        found = {"val/loss": float(total_of(by_name))}
        read = np.asarray(run.module.values(jnp.asarray(outputs)))
        for a, name in enumerate(run.module.names):
            figures = judge(run.module.kinds[a], read[:, a], values[:, a])
            found |= {f"val/{name}_{what}": value for what, value in figures.items()}
        return found

    def draw(self, state: AttributeState, name: str) -> np.ndarray:
        """Writes ``read-NAME.png``: pictures, and above them what is read and true."""
        module, (images, values) = self._run.module, self._shown
        read = np.asarray(module.values(jnp.asarray(self._all(state, images))))
        fitted = fit_pictures(jnp.asarray(images), module.input_size)
        pictures = np.asarray(to_bytes(fitted))
        some = range(min(NAMED, len(module.names)))
        sections = []
        for start in range(0, len(images), COLUMNS):
            rows = range(start, min(start + COLUMNS, len(images)))
            heads = [
                " ".join(_said(module.kinds[a], read[i, a], values[i, a]) for a in some)
                for i in rows
            ]
            said = " ".join(module.names[a] for a in some)
            title = f"{said}: read (true)" if not start else ""
            row = Row("", [pictures[i] for i in rows])
            sections.append(Section(title, heads, [row]))
        sheet = draw_sheet(sections, cell=_cell(module.input_size))
        save_png(self._folder / f"read-{name}.png", sheet)
        return sheet

    def write(
        self, state: AttributeState, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Writes the network, and removes those that need not be kept."""
        run, kimg = self._run, nimg // 1000
        start = run.start
        self._files.write(
            kimg,
            {"attributes": ("attributes", run.module, state.ema_variables())},
            provenance={
                "made_by": "stylegan-jax train",
                "started_from": {} if start is None else dict(start.source),
                "nimg": nimg,
                "data": [[d.name, d.fingerprint, w] for d, w in run.data],
                "framing": run.config.data.framing,
                "measured": dict(measured or {}),
            },
            licence=LICENCE if start is None else licence_after(start.licence),
        )
        if measured and "val/loss" in measured:
            self._files.note_best(kimg, "val/loss", measured["val/loss"])
        self._files.remove_old()

    def warnings(self, figures: Mapping[str, Any]) -> list[str]:
        """Nothing is watched for."""
        return []

    def _all(self, state: AttributeState, images: np.ndarray) -> np.ndarray:
        """The averaged network's outputs [N, A]; one program for any number."""
        variables = local(state.ema_variables())
        parts = [
            np.asarray(self._outputs(variables, batch))[:count]
            for batch, count in fixed_batches(images, AT_A_TIME)
        ]
        return np.concatenate(parts)

    def _compute(self, variables: Any, images: jax.Array) -> jax.Array:
        # Held-out pictures are framed as the training pictures: they are read whole.
        module = self._run.module
        return read_outputs(module, variables, fit_pictures(images, module.input_size))


def some_pictures(data: Weighted, num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to ``num`` different pictures of the data, in an order made of the seed.

    Returns:
        uint8 [N, H, W, 3] and float32 [N, A].
    """
    places = [(dataset, i) for dataset, _ in data for i in range(dataset.num_images)]
    order = np.random.default_rng(seed).permutation(len(places))[:num]
    items: list[Any] = [places[k][0][places[k][1]] for k in order]
    images, values = (
        np.stack([item[k] for item in items]) for k in ("image", "values")
    )
    return images, values


def _said(kind: str, read: float, true: float) -> str:
    """What is read, and in brackets what is true."""
    if kind == BINARY:
        return f"{read:.2f} ({true:.0f})"
    return f"{read:.3g} ({true:.3g})"


def _cell(side: int) -> int:
    return max(96, min(256, side))
