"""Lets a run save its state before it ends on SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
from types import FrameType

import jax
from jax.experimental import multihost_utils


class StopSignal:
    """Notes SIGTERM and SIGINT while the context is open; a second one ends at once.

    Attributes:
        number: the signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        """Installs the handlers."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *unused: object) -> None:
        """Puts back what was there."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number = number

    def agreed(self, step: int) -> bool:
        """Whether to stop before this step; the same answer in every process."""
        if jax.process_count() == 1:
            return self.number is not None
        return multihost_utils.reached_preemption_sync_point(step)
