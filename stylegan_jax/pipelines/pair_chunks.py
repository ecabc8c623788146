"""The files of a set of drawn pairs: what is there, chunk by chunk.

A chunk is done once its record is there, which is written last. It holds the lines of
the manifest and the sizes of the pictures' files, so that a picture that was lost or
cut short later on is found without decoding any.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.atomic import replacing, write_bytes, write_text
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.records import write_arrayrecord
from stylegan_jax.data.sources import open_source
from stylegan_jax.errors import UserError

# Folder of what is not finished: records of chunks, and pictures on their way into
# ArrayRecord files.
PARTS = ".parts"
# What the record of a chunk knows of a pair and the manifest does not say.
SIZES = "bytes"


class Chunks:
    """A set's chunks on disk.

    Attributes:
        storage: ``folder`` or ``arrayrecord``.
        num: pairs of the set.
        sides: that have pictures.
    """

    def __init__(
        self,
        out: Path,
        storage: str,
        num: int,
        size: int,
        sides: Sequence[str] = manifest.SIDES,
    ):
        """Looks at nothing yet.

        Args:
            out: folder of the set.
            storage: ``folder`` or ``arrayrecord``.
            num: pairs of the set.
            size: pairs of a chunk.
            sides: that have pictures, such as ``A`` and ``B``.
        """
        self.sides = tuple(sides)
        self.storage, self.num = storage, num
        self._out, self._size = out, size
        # Pictures in a folder are written where they stay.
        self._root = out if storage == "folder" else out / PARTS

    def __len__(self) -> int:
        """How many chunks there are."""
        return -(-self.num // self._size)

    def pairs(self, chunk: int) -> range:
        """The indices of a chunk's pairs."""
        first = chunk * self._size
        return range(first, min(first + self._size, self.num))

    def is_done(self, chunk: int) -> bool:
        """Whether the record names the chunk's pairs and their files are there."""
        pairs, lines = self.pairs(chunk), self._lines(chunk)
        return (
            [line["index"] for line in lines] == list(pairs)
            and zipfile.is_zipfile(self._latents(chunk))
            and self._has_pictures(pairs, lines)
        )

    def is_whole(self) -> bool:
        """Whether all files of a complete set are there; no picture is decoded.

        What `PARTS` holds may be gone: it is for sets that grow.
        """
        if not (self._out / "manifest.jsonl").is_file():
            return False
        if not zipfile.is_zipfile(self._out / "w.npz"):
            return False
        if self.storage == "arrayrecord":
            return all(self._is_packed(side) for side in self.sides)
        return all(
            self._has_pictures(self.pairs(chunk), self._lines(chunk))
            for chunk in range(len(self))
        )

    def begin(self, chunk: int) -> None:
        """Takes the record away before the chunk's files are written anew."""
        self._record(chunk).unlink(missing_ok=True)

    def write_pair(
        self, line: Mapping[str, Any], pictures: Sequence[bytes]
    ) -> dict[str, Any]:
        """Writes the pictures of a pair.

        Args:
            line: of the pair in the manifest.
            pictures: every side's PNG.

        Returns:
            The line for `end`.
        """
        for side, data in zip(self.sides, pictures, strict=True):
            write_bytes(self._file(side, line["index"]), data)
        return {**line, SIZES: [len(data) for data in pictures]}

    def end(
        self, chunk: int, lines: Sequence[Mapping[str, Any]], latents: Mapping[str, Any]
    ) -> None:
        """Writes the latents and then the record, with which the chunk is done.

        Args:
            chunk: its number.
            lines: what `write_pair` returned, in order.
            latents: arrays by name, a row per pair.
        """
        _save(self._latents(chunk), latents)
        write_text(self._record(chunk), json.dumps(lines))

    def join(self) -> list[dict[str, Any]]:
        """Writes ``w.npz`` and the ArrayRecord files from the chunks.

        Returns:
            The lines of ``manifest.jsonl``.

        Raises:
            UserError: a chunk is not done.
        """
        joined: list[dict[str, Any]] = []
        arrays: dict[str, list[np.ndarray]] = {}
        for chunk in range(len(self)):
            if not self.is_done(chunk):
                raise UserError(
                    f"chunk {chunk} of {self._out} is not there: processes do not see "
                    "one folder, or it was changed meanwhile; run the command again."
                )
            for line in self._lines(chunk):
                line.pop(SIZES, None)
                joined.append(line)
            with np.load(self._latents(chunk)) as found:
                for name in found.files:
                    arrays.setdefault(name, []).append(found[name])
        _save(self._out / "w.npz", {k: np.concatenate(v) for k, v in arrays.items()})
        if self.storage == "arrayrecord":
            for side in self.sides:
                self._pack(side)
        return joined

    def clean(self) -> None:
        """Removes pictures that were packed, and what killed processes left."""
        if self.storage == "arrayrecord":
            for side in self.sides:
                shutil.rmtree(self._root / side, ignore_errors=True)
        for folder in (
            self._out,
            self._out / PARTS,
            *map(self._root.joinpath, self.sides),
        ):
            for leftover in folder.glob(".*.part*"):
                if leftover.name != PARTS:
                    leftover.unlink(missing_ok=True)

    def _record(self, chunk: int) -> Path:
        return self._out / PARTS / f"{chunk:06d}.json"

    def _latents(self, chunk: int) -> Path:
        return self._out / PARTS / f"{chunk:06d}.npz"

    def _file(self, side: str, index: int) -> Path:
        return self._root / side / f"{manifest.picture_name(index)}.png"

    def _lines(self, chunk: int) -> list[dict[str, Any]]:
        """The record's lines; none where it is absent or damaged."""
        try:
            return json.loads(self._record(chunk).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []

    def _has_pictures(
        self, pairs: Iterable[int], lines: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Whether pictures are there, of their recorded size where there is one."""
        sizes = {line["index"]: line.get(SIZES) for line in lines}
        for index in pairs:
            wanted = sizes.get(index) or [None] * len(self.sides)
            if len(wanted) != len(self.sides):
                return False
            for side, size in zip(self.sides, wanted, strict=True):
                try:
                    found = self._file(side, index).stat().st_size
                except OSError:
                    return False
                if found == 0 or size not in (None, found):
                    return False
        return True

    def _is_packed(self, side: str) -> bool:
        """Whether an ArrayRecord file is there and has its end."""
        try:
            return len(open_source(self._out / f"{side}.arrayrecord")) == self.num
        except UserError:
            return False

    def _pack(self, side: str) -> None:
        indices = range(self.num)
        names = [f"{manifest.picture_name(i)}.png" for i in indices]
        pictures = (self._file(side, i).read_bytes() for i in indices)
        with replacing(self._out / f"{side}.arrayrecord") as aside:
            write_arrayrecord(str(aside), pictures, lambda: {"names": names})


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes an ``.npz``, atomically; equal arrays give equal bytes."""
    with replacing(path) as aside:
        np.savez(aside, **arrays)
