"""Lets a run save its state before it ends on SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

import jax
from jax.experimental import multihost_utils

# Seconds after which a second Ctrl-C is a person's, not an echo of the first.
IMPATIENCE = 1.0


class StopSignal:
    """Notes SIGTERM and SIGINT while the context is open.

    Schedulers repeat SIGTERM, and `timeout` sends it twice: only a second Ctrl-C, a
    second or more after the first signal, ends the run without saving.

    Attributes:
        number: the signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._noted = 0.0
        self._several = jax.process_count() > 1
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        """Installs the handlers.

        In a run of several processes SIGTERM is left to jax's own handler, which tells
        the other processes; Ctrl-C is passed on to it.
        """
        numbers = (signal.SIGINT,) if self._several else (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *unused: object) -> None:
        """Puts back what was there."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is not None:
            if number == signal.SIGINT and now - self._noted >= IMPATIENCE:
                signal.signal(number, signal.default_int_handler)
                signal.raise_signal(number)
            return
        self.number, self._noted = number, now
        if self._several:
            os.kill(os.getpid(), signal.SIGTERM)

    def agreed(self, step: int) -> bool:
        """Whether to stop before this step; the same answer in every process."""
        if not self._several:
            return self.number is not None
        reached = multihost_utils.reached_preemption_sync_point(step)
        if reached and self.number is None:
            self.number = signal.SIGTERM
        return reached
