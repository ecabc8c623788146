"""A file of JSON lines that a long job adds to, so that a kill loses little.

Its first line says what the job was begun with, every other one is a finished item,
``[name, entry]``. When the job is done, its owner writes a document and removes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TextIO

from stylegan_jax.errors import UserError


class Journal:
    """Open for adding within its context; it stays on disk until its owner ends it."""

    def __init__(self, path: Path, begun: Mapping[str, Any]):
        """Opens nothing yet.

        Args:
            path: of the file; its folder is made if absent.
            begun: the first line of a new file.
        """
        self._path, self._begun = path, begun
        self._stream: TextIO | None = None

    def __enter__(self) -> Self:
        """Opens the file.

        Raises:
            UserError: it cannot be written to.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            first = "" if self._path.exists() else json.dumps(self._begun)
            self._stream = open(self._path, "a", encoding="utf-8")
            # A line that a killed run left half-written must not swallow the next.
            self._stream.write(f"{first}\n")
            self._stream.flush()
        except OSError as error:
            raise no_room(self._path.parent, error) from error
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Keeps an item; within the context only.

        Raises:
            OSError: it cannot be written; see `no_room`.
        """
        assert self._stream is not None
        self._stream.write(json.dumps([name, entry]) + "\n")
        self._stream.flush()


def read_journal(path: Path) -> list[Any]:
    """The lines of a journal, without those at which a job was killed.

    Returns:
        JSON values, not checked; [] where there is no such file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    items = []
    for line in lines:
        try:
            items.append(json.loads(line))
        except ValueError:
            continue
    return items


def no_room(folder: Path, error: OSError) -> UserError:
    """What to tell whoever's folder cannot be written to."""
    return UserError(
        f"cannot write {folder}: {error.strerror or error}; choose another place or "
        "make room."
    )
