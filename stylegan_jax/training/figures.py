"""Collects the steps' metrics and watches for numbers that are not finite."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from stylegan_jax.errors import UserError


class Figures:
    """Metrics since the last tick, fetched from the devices once per tick.

    Metrics arrive as device arrays and stay there until the tick, so that no step waits
    for the host.
    """

    def __init__(self, patience: int, remedy: str):
        """Starts empty.

        Args:
            patience: steps in a row with non-finite numbers that stop the run.
            remedy: what to try then.
        """
        self._patience, self._remedy = patience, remedy
        self._steps: list[tuple[int, dict[str, jax.Array]]] = []
        # Per metric: images at the first bad step of the current streak, its length.
        self._streaks: dict[str, tuple[int, int]] = {}

    def add(self, nimg: int, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of the step that began at ``nimg`` images."""
        self._steps.append((nimg, metrics))

    def fetch(self) -> dict[str, float]:
        """Averages the metrics since the last call, by name.

        ``nonfinite`` is the number of gradient elements that were replaced. Other
        metrics average the finite values only.

        Raises:
            UserError: if a metric has been non-finite for too many steps in a row.
        """
        steps = jax.device_get(self._steps)
        self._steps = []
        values: dict[str, list[float]] = {}
        replaced = 0.0
        for nimg, metrics in steps:
            for name, value in metrics.items():
                if name.startswith("nonfinite/"):
                    replaced += float(value)
                    network = name.removeprefix("nonfinite/")
                    self._watch(f"gradient of {network}", nimg, value == 0)
                else:
                    values.setdefault(name, []).append(float(value))
                    self._watch(name, nimg, bool(np.isfinite(value)))
        averages: dict[str, Any] = {}
        for name, numbers in sorted(values.items()):
            finite = [v for v in numbers if np.isfinite(v)]
            averages[name] = float(np.mean(finite)) if finite else None
        return {**averages, "nonfinite": replaced}

    def _watch(self, name: str, nimg: int, good: bool) -> None:
        if good:
            self._streaks.pop(name, None)
            return
        first, count = self._streaks.get(name, (nimg, 0))
        self._streaks[name] = (first, count + 1)
        if count + 1 >= self._patience:
            raise UserError(
                f"{name} has not been finite for {count + 1} steps in a row, from "
                f"image {first} to image {nimg}: go back to an earlier checkpoint with "
                f"{self._remedy}."
            )
