"""Ordered parallel map over processes, for work that holds Python's lock."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from stylegan_jax.errors import UserError

T = TypeVar("T")


def process_map(
    worker: Callable[[int], T], indices: list[int], *, workers: int
) -> Generator[T, None, None]:
    """Yields ``worker(i)`` for each index, in order.

    Each process is started anew ("spawn": a fork of a program with threads may hang)
    and gets its own copy of ``worker``, once. At most a few results per process wait to
    be taken.

    Args:
        worker: called with an index; can be pickled when ``workers`` is above 1. A
            script that calls this needs ``if __name__ == "__main__"``.
        indices: what it is called with.
        workers: processes; 1 means this one.

    Raises:
        UserError: a process was killed, for lack of memory in most cases.
        Exception: whatever ``worker`` raises.
    """
    workers = min(workers, len(indices))
    if workers <= 1:
        for index in indices:
            yield worker(index)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(worker,),
    )
    waiting: deque[Future[T]] = deque()
    submitted = 0
    try:
        while waiting or submitted < len(indices):
            while submitted < len(indices) and len(waiting) < 4 * workers:
                waiting.append(pool.submit(_call, indices[submitted]))
                submitted += 1
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, probably for lack of memory: run the command "
            "again with fewer --workers; it goes on where it stopped."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


# The process's own copy of the worker, set once when it starts.
_worker: Callable[[int], Any] | None = None


def _start(worker: Callable[[int], Any]) -> None:
    global _worker
    _worker = worker
    # Ctrl-C reaches every process of a terminal; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent is killed: nobody would ever call it again."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # the pool started this process
    parent.join()
    os._exit(1)


def _call(index: int) -> Any:
    assert _worker is not None  # _start ran first
    return _worker(index)
