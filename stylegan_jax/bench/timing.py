"""Times of compiled programs: warm-up first, then the median of several repeats."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import monitoring

# A repeat lasts at least so long: clocks and the host's dispatch are noise below it.
LEAST_SECONDS = 5e-3
MOST_REPEATS = 100
LEAST_REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Budget:
    """How often a measurement is repeated.

    Attributes:
        repeats: exactly so often; None for as often as ``seconds`` allow, from 3 to 100
            times.
        seconds: about how long one measurement may take, without its warm-up.
    """

    repeats: int | None = None
    seconds: float = 3.0

    def count(self, once: float) -> int:
        """Repeats for something that takes ``once`` seconds."""
        if self.repeats is not None:
            return self.repeats
        fitting = self.seconds / max(once, 1e-9)
        return int(min(max(fitting, LEAST_REPEATS), MOST_REPEATS))


DEFAULT = Budget()
SHORT = Budget(seconds=0.5)


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one call, as several repeats measured them.

    Attributes:
        seconds: one figure per repeat, each the mean of ``calls`` calls.
        calls: calls in a repeat.
    """

    seconds: tuple[float, ...]
    calls: int = 1

    @property
    def median(self) -> float:
        """The median of the repeats."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest less fastest repeat, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    def to_json(self) -> dict[str, float | int]:
        """Median, min and max in seconds, the spread as a share, and how often."""
        return {
            "median": self.median,
            "min": min(self.seconds),
            "max": max(self.seconds),
            "spread": self.spread,
            "repeats": len(self.seconds),
            "calls": self.calls,
        }


def timing_of(seconds: Sequence[float]) -> Timing:
    """A timing from figures that were measured elsewhere."""
    return Timing(tuple(seconds))


def measure(
    call: Callable[[], Any], budget: Budget, *, in_flight: bool | None = None
) -> Timing:
    """Times a call of a program that is compiled already.

    The first call is a warm-up and does not count: it allocates. Short calls are
    grouped until a repeat lasts 5 ms.

    Args:
        call: starts the work and returns the arrays that it computes.
        budget: how often it is repeated.
        in_flight: whether the calls of a group wait in the device's queue together;
            False waits for each. None means as the device works: a CPU would run
            several at once, which is another figure.
    """
    if in_flight is None:
        in_flight = jax.default_backend() != "cpu"
    _run(call, 1, in_flight)
    once = _run(call, 1, in_flight)
    if once >= 20 * LEAST_SECONDS:
        # Long calls are few: what told how long they take counts as one of them.
        more = budget.count(once) - 1
        return Timing((once, *(_run(call, 1, in_flight) for _ in range(more))))
    # One slow probe on a busy machine must not decide how calls are grouped.
    once = min(once, *(_run(call, 1, in_flight) for _ in range(3)))
    calls = 1
    if once < LEAST_SECONDS:
        calls = math.ceil(LEAST_SECONDS / max(once, 1e-7))
        once = _run(call, calls, in_flight)
    repeats = budget.count(once * calls)
    return Timing(tuple(_run(call, calls, in_flight) for _ in range(repeats)), calls)


def measure_once(call: Callable[[], Any]) -> float:
    """Seconds of one call, to its end; for sides that take turns."""
    return _run(call, 1, False)


def _run(call: Callable[[], Any], calls: int, in_flight: bool) -> float:
    """Seconds of a call, as the mean of so many in a row."""
    began = time.perf_counter()
    result = None
    for _ in range(calls):
        result = call()
        if not in_flight:
            jax.block_until_ready(result)
    jax.block_until_ready(result)
    return (time.perf_counter() - began) / calls


class Compilation:
    """Times compiling, and counts what came from jax's persistent cache instead.

    Used with ``with``; afterwards the attributes hold.

    Attributes:
        seconds: from the first line of the block to its last.
        cached: programs that were read from the cache and not compiled.
    """

    _EVENT = "/jax/compilation_cache/cache_hits"

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cached = 0

    def __enter__(self) -> Compilation:
        """Begins."""
        monitoring.register_event_listener(self._heard)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *unused: object) -> None:
        """Ends."""
        self.seconds = time.perf_counter() - self._began
        monitoring.unregister_event_listener(self._heard)

    def _heard(self, event: str, **unused: object) -> None:
        self.cached += event == self._EVENT
