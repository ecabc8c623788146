"""Files that are either whole or absent: written aside, synced, renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from stylegan_jax.errors import UserError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` that takes its place on success.

    The temporary file keeps the suffix of ``path``, so that writers which choose a
    format by suffix work. On any exception it is removed and ``path`` stays as it was.

    Args:
        path: the file to write; its folder is made if absent.

    Yields:
        The path to write to; it must exist when the block ends.

    Raises:
        UserError: the folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    aside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = f".{path.stem[:40]}-{secrets.token_hex(4)}.part{path.suffix}"
        # Not tempfile: its files are private, and the finished one should not be.
        os.close(os.open(path.parent / name, os.O_CREAT | os.O_EXCL, 0o666))
        aside = path.parent / name
        yield aside
        _sync(aside)
        os.replace(aside, path)
        aside = None
        _sync(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; choose another place or make room."
        ) from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes ``data`` to ``path`` atomically; see `replacing` for what it raises."""
    with replacing(path) as aside:
        aside.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Writes ``text`` as UTF-8 to ``path`` atomically; see `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def _sync(path: Path) -> None:
    """Flushes a file or folder to disk, where the system can (not on Windows)."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems cannot sync folders
    finally:
        os.close(handle)
