"""``stylize.json``: what became of every picture, kept while the work goes on.

::

    {"format": 1,
     "model": {"file", "sha256", "family", "provenance", "licence"},
     "settings": {…},          the options that pictures depend on
     "pictures": {"sub/a.jpg": {
        "stamp",               changes when the picture does
        "outputs",             files in this folder, one per factor
        "reason"}}}            instead: why there is none

While it runs, each finished picture is a line of ``.stylize.jsonl``, so that a run that
is killed loses nothing but the pictures it was at. Latents, where they are wanted, are
``w.npz``: ``names`` [N], the outputs' files, and ``w_plus`` [N, num_ws, w_dim] float32;
in parts while it runs.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from stylegan_jax.checkpoints.atomic import replacing, write_text
from stylegan_jax.checkpoints.journal import Journal, no_room, read_journal
from stylegan_jax.errors import UserError
from stylegan_jax.faces.names import is_inside

FILE = "stylize.json"
JOURNAL = ".stylize.jsonl"
LATENTS = "w.npz"
PARTS = ".w-*.npz"
SHEET = "sheet.png"
FORMAT = 1


class Records:
    """The entries of a folder of outputs, old and new."""

    def __init__(
        self, folder: str | os.PathLike, begun: Mapping[str, Any], *, overwrite: bool
    ):
        """Reads what is there.

        Args:
            folder: of the outputs; made if absent.
            begun: ``model`` and ``settings``, which all entries must agree on.
            overwrite: take the old outputs away and begin anew.

        Raises:
            UserError: the folder has something else in it, or outputs of another model
                or other settings, or its record is damaged.
        """
        self._folder = Path(folder)
        # As JSON has them: tuples become lists.
        self._begun = json.loads(json.dumps(begun))
        self._journal = Journal(self._folder / JOURNAL, self._begun)
        self._entries = self._read(overwrite)

    def done(self, name: str, stamp: str) -> bool:
        """Whether a picture's outputs are there and it has not changed since."""
        entry = self._entries.get(name, {})
        return (
            entry.get("stamp") == stamp
            and bool(entry.get("outputs"))
            and all((self._folder / file).is_file() for file in entry["outputs"])
        )

    def __enter__(self) -> Self:
        """Opens the journal."""
        self._journal.__enter__()
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the journal; it stays until `close`."""
        self._journal.__exit__(*unused)

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Keeps the entry of one picture."""
        old = self._entries.get(name, {})
        self._entries[name] = dict(entry)
        try:
            for file in {*old.get("outputs", ())} - {*entry.get("outputs", ())}:
                (self._folder / file).unlink(missing_ok=True)
            self._journal.add(name, entry)
        except OSError as error:
            raise no_room(self._folder, error) from error

    def close(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Writes ``stylize.json`` and takes the journal away.

        Args:
            names: the pictures asked for. Entries and outputs of others stay.

        Returns:
            The entries of ``names``, in that order.
        """
        found = {name: self._entries[name] for name in names}
        others = {k: v for k, v in self._entries.items() if k not in found}
        body = {"format": FORMAT, **self._begun, "pictures": {**found, **others}}
        write_text(self._folder / FILE, json.dumps(body, indent=1) + "\n")
        (self._folder / JOURNAL).unlink(missing_ok=True)
        return found

    def _read(self, overwrite: bool) -> dict[str, dict[str, Any]]:
        """The entries of an earlier run, after checking that they go with this one."""
        folder = self._folder
        begun, entries = read_entries(folder)
        if begun is None:
            if folder.is_dir() and {*os.listdir(folder)} - {JOURNAL}:
                raise UserError(
                    f"{folder} holds other files and no {FILE}: choose an empty "
                    "destination."
                )
            (folder / JOURNAL).unlink(missing_ok=True)  # begun, and nothing in it
            return {}
        if overwrite:
            files = [file for e in entries.values() for file in e.get("outputs", ())]
            parts = [path.name for path in folder.glob(PARTS)]
            for file in (*files, *parts, LATENTS, SHEET, FILE, JOURNAL):
                (folder / file).unlink(missing_ok=True)
            return {}
        differing = _differing(begun, self._begun)
        if differing:
            raise UserError(
                f"{folder} was made with {'; '.join(differing)}: choose another "
                "destination, or do it anew with --overwrite."
            )
        return entries


class Latents:
    """The latents of outputs, by the outputs' files.

    Attributes:
        path: of the file.
        kept: whether latents are kept.
    """

    def __init__(self, folder: str | os.PathLike, *, wanted: bool):
        """Reads what is there.

        Args:
            folder: of the outputs.
            wanted: whether latents are to be kept; they are anyway where an earlier
                run kept them, since outputs that are made again would differ.

        Raises:
            UserError: the file is damaged.
        """
        self.path = Path(folder) / LATENTS
        # The parts that a run left which did not end.
        self._parts = sorted(Path(folder).glob(PARTS))
        files = [path for path in (self.path, *self._parts) if path.exists()]
        self.kept = wanted or bool(files)
        self._rows: dict[str, np.ndarray] = {}
        self._fresh: dict[str, np.ndarray] = {}
        for path in files:
            try:
                with np.load(path, allow_pickle=False) as found:
                    names, w_plus = found["names"].tolist(), found["w_plus"]
                    self._rows |= dict(zip(names, w_plus, strict=True))
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                raise UserError(
                    f"{path} cannot be read ({error}): delete it, or begin anew with "
                    "--overwrite."
                ) from error

    def has(self, files: Sequence[str]) -> bool:
        """Whether the latents of all these outputs are there."""
        return all(file in self._rows for file in files)

    def add(self, file: str, w_plus: np.ndarray) -> None:
        """Keeps the latents [num_ws, w_dim] of an output; see `flush`."""
        self._fresh[file] = w_plus

    def flush(self) -> None:
        """Writes what was added since the last time, as a part of its own."""
        if self._fresh:
            number = len(self._parts)
            path = self.path.with_name(PARTS.replace("*", f"{number:06d}"))
            _save(path, self._fresh)
            self._parts.append(path)
            self._rows |= self._fresh
            self._fresh = {}

    def save(self) -> None:
        """Writes all to one file, in the order of the names, and removes the parts."""
        self.flush()
        if self._parts:
            _save(self.path, self._rows)
            for path in self._parts:
                path.unlink(missing_ok=True)
            self._parts = []


def _save(path: Path, rows: Mapping[str, np.ndarray]) -> None:
    names = sorted(rows)
    with replacing(path) as aside:
        w_plus = np.stack([rows[name] for name in names])
        np.savez(aside, names=np.array(names), w_plus=w_plus)


def read_entries(
    folder: str | os.PathLike,
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """Reads a folder of outputs, finished or not.

    Returns:
        ``model`` and ``settings`` (None where the folder is none), and the entries by
        picture.

    Raises:
        UserError: ``stylize.json`` is damaged or of another format.
    """
    begun: dict[str, Any] | None = None
    entries: dict[str, dict[str, Any]] = {}
    file, journal = Path(folder, FILE), Path(folder, JOURNAL)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{file} cannot be read ({error}): choose another destination."
        ) from error
    if document is not None:
        if not _is_document(document):
            raise UserError(
                f"{file} is not the record of format {FORMAT} that this command "
                "writes: choose another destination."
            )
        begun = {name: document[name] for name in ("model", "settings")}
        entries = dict(document["pictures"])
    for item in read_journal(journal):
        if _is_begun(item):
            begun = begun or item
        elif isinstance(item, list) and len(item) == 2 and _is_entry(item[1]):
            entries[str(item[0])] = item[1]
    return begun, entries


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What a folder was begun with otherwise, in words."""
    said = []
    if found["model"].get("sha256") != wanted["model"]["sha256"]:
        said.append(
            f"the model {found['model'].get('file')} (now {wanted['model']['file']}, "
            "which has other weights)"
        )
    old, new = found["settings"], wanted["settings"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            was, now = json.dumps(old.get(name)), json.dumps(new.get(name))
            said.append(f"{name} {was} (now {now})")
    return said


def _is_begun(item: Any) -> bool:
    return isinstance(item, dict) and all(
        isinstance(item.get(name), dict) for name in ("model", "settings")
    )


def _is_document(document: Any) -> bool:
    return (
        _is_begun(document)
        and document.get("format") == FORMAT
        and isinstance(document.get("pictures"), dict)
        and all(_is_entry(entry) for entry in document["pictures"].values())
    )


def _is_entry(entry: Any) -> bool:
    # Such files may be deleted later: none but outputs in this folder.
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("outputs"), list)
        and all(
            isinstance(file, str) and file.endswith(".png") and is_inside(file)
            for file in entry["outputs"]
        )
    )
