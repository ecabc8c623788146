"""``align.json``: what became of every photo, kept while the work goes on.

::

    {"format": 1,
     "settings": {"size", "mode", "face", "landmarks", "threshold", "detector"},
     "pictures": {"sub/a.jpg": {
        "width", "height",    of the upright photo
        "found",              faces seen
        "stamp",              changes when the photo does
        "reason",             why there is no crop; also a face left out of several
        "faces": [{
            "index",          0 is the largest face of the photo
            "output",         the crop's file in this folder
            "detector",       that drew the face's box: hog or cnn; null from a file
            "scores",         {detector: score} of each that saw it; {} from a file
            "quad",           corners of the square in the photo, [4][x, y], whole
                              numbers at the centres of pixels: top left, bottom left,
                              bottom right, top right of the crop
            "side",           of the square, in pixels of the photo
            "transform",      3×3: (x, y, 1) of the crop → photo, continuous pixels
            "padded",         share of the crop outside of the photo
            "landmarks"}]}}}  [68][x, y]

While it runs, each finished photo is a line of ``.align.jsonl``: a run that is killed
loses nothing but the photos it was at.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.journal import Journal, no_room, read_journal
from stylegan_jax.errors import UserError
from stylegan_jax.faces.landmarks import read_json
from stylegan_jax.faces.names import is_inside

FILE = "align.json"
JOURNAL = ".align.jsonl"
FORMAT = 1


class Records:
    """The entries of an alignment's folder, old and new.

    Args:
        folder: of the crops; made if absent.
        settings: what all entries must agree on.
        overwrite: take the old crops away and begin anew.

    Raises:
        UserError: the folder has something else in it, or crops with other settings.
    """

    def __init__(
        self, folder: str | os.PathLike, settings: dict[str, Any], *, overwrite: bool
    ):
        self._folder = Path(folder)
        self._settings = settings
        self._journal = Journal(self._folder / JOURNAL, {"settings": self._settings})
        self._entries = self._read(overwrite)

    def done(self, name: str, stamp: str) -> bool:
        """Whether a photo was aligned, has not changed since, and its crops exist."""
        entry = self._entries.get(name)
        return (
            entry is not None
            and entry.get("stamp") == stamp
            and bool(entry["faces"])
            and all((self._folder / f["output"]).is_file() for f in entry["faces"])
        )

    def __enter__(self) -> Self:
        """Opens the journal."""
        self._journal.__enter__()
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes the journal; it stays until `close`."""
        self._journal.__exit__(*unused)

    def add(self, name: str, entry: dict[str, Any]) -> None:
        """Keeps the entry of one photo."""
        old = self._entries.get(name)
        self._entries[name] = entry
        try:
            if old is not None:
                kept = {face["output"] for face in entry["faces"]}
                _remove(self._folder, set(_outputs(old)) - kept)
            self._journal.add(name, entry)
        except OSError as error:
            raise no_room(self._folder, error) from error

    def close(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Writes ``align.json`` and takes the journal away.

        Args:
            names: the photos that there are. Entries and crops of others stay: a
                wrong source must not cost an earlier one's crops.

        Returns:
            The entries of ``names``, in that order.
        """
        others = {k: v for k, v in self._entries.items() if k not in set(names)}
        found = {name: self._entries[name] for name in names}
        self._entries = {**found, **others}
        body = {
            "format": FORMAT,
            "settings": self._settings,
            "pictures": self._entries,
        }
        write_text(self._folder / FILE, json.dumps(body, indent=1) + "\n")
        (self._folder / JOURNAL).unlink(missing_ok=True)
        return found

    def _read(self, overwrite: bool) -> dict[str, dict[str, Any]]:
        """The entries of an earlier run, after checking that they go with this one."""
        folder = self._folder
        settings, entries = read_entries(folder)
        if settings is None:
            if folder.exists() and any(folder.iterdir()):
                raise UserError(
                    f"{folder} holds other files and no {FILE}: choose an empty "
                    "destination."
                )
            return {}
        if overwrite:
            for entry in entries.values():
                _remove(folder, set(_outputs(entry)))
            (folder / FILE).unlink(missing_ok=True)
            (folder / JOURNAL).unlink(missing_ok=True)
            return {}
        if settings != self._settings:
            differ = [
                f"{key} {settings.get(key)} (now {value})"
                for key, value in self._settings.items()
                if settings.get(key) != value
            ]
            raise UserError(
                f"{folder} was aligned with {', '.join(differ)}: choose another "
                "destination, or do it anew with --overwrite."
            )
        return entries


def read_entries(
    folder: str | os.PathLike,
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """Reads an alignment's folder, finished or not.

    Returns:
        The settings (None where the folder is no alignment) and the entries by photo.

    Raises:
        UserError: ``align.json`` is damaged or of another format.
    """
    settings: dict[str, Any] | None = None
    entries: dict[str, dict[str, Any]] = {}
    file = Path(folder) / FILE
    if file.exists():
        document = read_json(file, "an alignment's record, or move it away")
        if not _is_document(document):
            raise UserError(
                f"{file} is not the record of an alignment of format {FORMAT}: move it "
                "away, or choose another destination."
            )
        settings, entries = document["settings"], dict(document["pictures"])
    journal = Path(folder) / JOURNAL
    for item in read_journal(journal):
        if isinstance(item, dict) and isinstance(item.get("settings"), dict):
            settings = settings or item["settings"]
        elif isinstance(item, list) and len(item) == 2 and _is_entry(item[1]):
            entries[str(item[0])] = item[1]
    return settings, entries


def _is_document(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and document.get("format") == FORMAT
        and isinstance(document.get("settings"), dict)
        and isinstance(document.get("pictures"), dict)
        and all(_is_entry(entry) for entry in document["pictures"].values())
    )


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("faces"), list)
        and all(
            isinstance(face, dict)
            # Such files may be deleted later: none but crops of this folder.
            and str(face.get("output")).endswith(".png")
            and is_inside(face["output"])
            for face in entry["faces"]
        )
    )


def _outputs(entry: dict[str, Any]) -> list[str]:
    return [face["output"] for face in entry["faces"]]


def _remove(folder: Path, outputs: set[str]) -> None:
    for output in outputs:
        (folder / output).unlink(missing_ok=True)
