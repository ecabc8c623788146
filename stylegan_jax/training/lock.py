"""One run's folder, one job: two would write over each other's files."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from stylegan_jax.errors import UserError


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[str | None]:
    """Holds the lock of a run's folder; the system lets go of it when the process dies.

    Args:
        workdir: the run's folder.

    Yields:
        None, or a sentence for the person where this file system has no locks.

    Raises:
        UserError: another process holds it; says which, and since when.
    """
    path = workdir / ".lock"
    with path.open("a+", encoding="utf-8") as stream:
        warning = _lock(stream, workdir)
        stream.truncate(0)
        stream.write(
            json.dumps(
                {
                    "host": socket.gethostname(),
                    "process": os.getpid(),
                    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                }
            )
        )
        stream.flush()
        yield warning


def _lock(stream, workdir: Path) -> str | None:
    missing = (
        f"note: {workdir} cannot be locked here: make sure that no second job trains "
        "in it"
    )
    try:
        import fcntl
    except ImportError:  # not on Windows
        return missing
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.seek(0)
        raise UserError(
            f"Another job trains in {workdir} ({_owner(stream.read())}): wait for it, "
            "end it, or choose another --workdir."
        ) from error
    except OSError:
        return missing
    return None


def _owner(text: str) -> str:
    try:
        owner = json.loads(text)
        return f"process {owner['process']} on {owner['host']}, since {owner['since']}"
    except (ValueError, KeyError, TypeError):
        return "its owner is not known"
