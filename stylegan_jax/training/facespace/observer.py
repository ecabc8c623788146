"""What a face space's run leaves besides its checkpoints: sheets, models, figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.training.facespace.build import FaceSpaceRun
from stylegan_jax.training.facespace.state import FaceSpaceState
from stylegan_jax.training.snapshots import SnapshotFolder, licence_after

# Faces in a row of a sheet, and the largest and the smallest side of one in it.
COLUMNS = 8
LARGEST_CELL, SMALLEST_CELL = 192, 64


def likeness(model: FaceSpaceModel, photos: np.ndarray) -> dict[str, np.ndarray]:
    """How far a space's faces are from its photos, in pictures as they are shown.

    Args:
        model: the space.
        photos: [N, H, W, 3] uint8 in the order of its names.

    Returns:
        ``faces`` [N, H, W, 3] uint8; ``l2`` [N] of each; ``l2_mean`` [N] of the
        generator's mean face, both mean squared differences on [-1, 1].
    """
    faces = model.images(model.codes)
    shape = (1, model.num_ws, model.w_dim)
    mean = model.draw(np.broadcast_to(model.w_avg, shape))
    return {
        "faces": faces,
        "l2": l2_of(faces, photos),
        "l2_mean": l2_of(mean, photos),
    }


def l2_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean squared differences [N] of uint8 pictures, counted on [-1, 1]."""
    difference = (x.astype(np.float64) - y.astype(np.float64)) / 127.5
    return np.mean(np.square(difference), (1, 2, 3))


def likeness_sheet(
    found: Mapping[str, np.ndarray],
    photos: np.ndarray,
    names: tuple[str, ...],
    *,
    limit: int | None = None,
) -> np.ndarray:
    """Photos above what is drawn of them, with L2 and that of the mean face."""
    sections = []
    count = len(photos) if limit is None else min(limit, len(photos))
    side = max(photos.shape[1:3])
    for start in range(0, count, COLUMNS):
        part = slice(start, min(start + COLUMNS, count))
        heads = [Path(name).stem[-12:] for name in names[part]]
        figures = zip(found["l2"][part], found["l2_mean"][part], strict=True)
        said = "  ".join(f"{own:.4f}/{mean:.3f}" for own, mean in figures)
        rows = [
            Row("photo", list(photos[part])),
            Row("space", list(found["faces"][part])),
        ]
        title = f"L2 of the face / of the mean face: {said}"
        sections.append(Section(title, heads, rows))
    return draw_sheet(sections, cell=max(SMALLEST_CELL, min(side, LARGEST_CELL)))


class FaceSpaceObserver:
    """See `stylegan_jax.training.run.Observer`."""

    def __init__(self, run: FaceSpaceRun, workdir: Path):
        """Keeps the photos as people gave them."""
        self._run = run
        self._folder = workdir / "samples"
        self._photos = run.photos.given()
        self._files = SnapshotFolder(
            workdir,
            parts=("facespace",),
            keep=run.config.snapshot.keep,
            kept_parts=("facespace",),
        )
        self._model: FaceSpaceModel | None = None
        # Of which step, and what was found: a snapshot is measured, then drawn.
        self._found: tuple[Any, dict[str, np.ndarray]] | None = None

    def begin(self, state: FaceSpaceState) -> None:
        """Draws the photos above the mean face, where all begin."""
        self.draw(state, "init")

    def measure(self, state: FaceSpaceState) -> dict[str, float]:
        """L2 of the faces: mean, worst, and how often that of the mean face."""
        found = self._likeness(state)
        ratios = found["l2_mean"] / np.maximum(found["l2"], 1e-12)
        return {
            "val/l2": float(found["l2"].mean()),
            "val/l2_worst": float(found["l2"].max()),
            "val/l2_ratio": float(ratios.min()),
        }

    def draw(self, state: FaceSpaceState, name: str) -> np.ndarray:
        """Writes ``faces-NAME.png``."""
        run = self._run
        found = self._likeness(state)
        limit = run.config.snapshot.grid
        sheet = likeness_sheet(found, self._photos, run.photos.names, limit=limit)
        save_png(self._folder / f"faces-{name}.png", sheet)
        return sheet

    def write(
        self, state: FaceSpaceState, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Writes the space as one file, and removes those that need not be kept."""
        run = self._run
        self._of(state).save(
            self._files.folder / f"facespace-{nimg // 1000:06d}.safetensors",
            provenance={
                "made_by": "stylegan-jax train",
                "started_from": {"init.model": dict(run.start.origin)},
                "nimg": nimg,
                "seed": run.config.train.seed,
                "data": [[d.name, d.fingerprint, w] for d, w in run.data],
                "losses": dict(run.hyper.weights),
                "networks": {k: dict(v) for k, v in run.networks.sources.items()},
                "measured": dict(measured or {}),
            },
            licence=licence_after(run.start.origin["licence"], run.data),
        )
        self._files.remove_old()

    def warnings(self, figures: Mapping[str, Any]) -> list[str]:
        """Nothing is watched for."""
        return []

    def _likeness(self, state: FaceSpaceState) -> dict[str, np.ndarray]:
        """`likeness` of a state, drawn once."""
        if self._found is None or self._found[0] is not state.step:
            self._found = state.step, likeness(self._of(state), self._photos)
        return self._found[1]

    def _of(self, state: FaceSpaceState) -> FaceSpaceModel:
        """The space of a state; what is compiled for one serves the next."""
        new = self._run.model_of(state)
        self._model = new if self._model is None else self._model.with_encoder(new)
        return self._model
