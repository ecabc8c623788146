"""Ordered parallel map over indices, with bounded memory and progress."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
# Called with (done, total) after every item; True means a bar if a person watches.
Progress = Callable[[int, int], None] | bool


def default_workers() -> int:
    """Number of cores that this process may use, at most 16."""
    if hasattr(os, "sched_getaffinity"):
        return min(16, len(os.sched_getaffinity(0)))
    return min(16, os.cpu_count() or 1)


def ordered_map(
    function: Callable[[int], T],
    num: int,
    *,
    workers: int | None = None,
    progress: Progress = False,
    label: str = "",
) -> Generator[T, None, None]:
    """Yields ``function(0), ..., function(num - 1)`` in order, computed by threads.

    Threads and not processes: Pillow decodes, resizes and encodes without the GIL, and
    a process pool would need a guarded ``__main__`` in every script that opens a
    folder of pictures. At most a few results per worker wait to be taken, so a slow
    consumer does not fill the memory.

    Args:
        function: called with an index; its exceptions are raised at that index.
        num: how many indices.
        workers: threads; None means one per core, at most 16.
        progress: False, True (a tqdm bar when stderr is a terminal), or a callable.
        label: words before the bar.
    """
    workers = workers or default_workers()
    with _Ticker(progress, num, label) as tick:
        if workers == 1 or num < 2:
            for index in range(num):
                result = function(index)
                tick()
                yield result
            return
        pool = ThreadPoolExecutor(workers)
        waiting: deque[Future[T]] = deque()
        submitted = 0
        try:
            while waiting or submitted < num:
                while submitted < num and len(waiting) < 4 * workers:
                    waiting.append(pool.submit(function, submitted))
                    submitted += 1
                result = waiting.popleft().result()
                tick()
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Ticker:
    """Reports each finished item to a bar or a callable."""

    def __init__(self, progress: Progress, total: int, label: str):
        self._callback = progress if callable(progress) else None
        self._total = total
        self._done = 0
        watched = progress is True and sys.stderr.isatty()
        self._bar: Any = (
            tqdm(total=total, desc=label, unit="img", leave=False) if watched else None
        )

    def __enter__(self) -> Callable[[], None]:
        return self._tick

    def _tick(self) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update()
        if self._callback is not None:
            self._callback(self._done, self._total)

    def __exit__(self, *unused: object) -> None:
        if self._bar is not None:
            self._bar.close()
