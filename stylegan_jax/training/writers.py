"""Figures of a run as JSON lines, and for TensorBoard where that is installed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.errors import UserError


class StatsWriter:
    """Appends one JSON object per tick to ``stats.jsonl``."""

    def __init__(self, workdir: Path, *, nimg: int):
        """Opens the file; lines beyond ``nimg`` belong to work that was lost.

        Args:
            workdir: the run's folder.
            nimg: images at which the run goes on; -1 for a new one, which keeps no
                line.
        """
        self._path = workdir / "stats.jsonl"
        self._tensorboard = _tensorboard_writer(workdir)
        if self._path.exists():
            text = self._path.read_text(encoding="utf-8", errors="replace")
            kept = [line for line in text.split("\n") if _nimg(line) <= nimg]
            mended = "".join(line + "\n" for line in kept)
            if mended != text:
                write_text(self._path, mended)

    def write(self, figures: Mapping[str, Any]) -> None:
        """Writes one line; it is on disk when this returns."""
        line = json.dumps({k: _plain(v) for k, v in figures.items()})
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {error.strerror}; make room and run the "
                "same command again."
            ) from error
        if self._tensorboard is not None:
            step = int(figures["step"])
            scalars = {k: v for k, v in figures.items() if isinstance(v, float)}
            self._tensorboard.write_scalars(step, scalars)

    def picture(self, step: int, name: str, grid: np.ndarray) -> None:
        """Shows a grid [H, W, C] uint8 in TensorBoard, where that is installed."""
        if self._tensorboard is not None:
            self._tensorboard.write_images(step, {name: grid[None]})

    def close(self) -> None:
        """Flushes what TensorBoard has not read yet."""
        if self._tensorboard is not None:
            self._tensorboard.close()


def _tensorboard_writer(workdir: Path) -> Any:
    """Clu's writer; None without TensorFlow, which it imports."""
    if importlib.util.find_spec("tensorflow") is None:
        return None
    from clu import metric_writers

    return metric_writers.SummaryWriter(str(workdir))


def _nimg(line: str) -> int:
    """Images of a line; a line that a crash cut short counts as lost."""
    try:
        return int(json.loads(line)["nimg"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return 2**62


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
