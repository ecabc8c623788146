"""Random access to sets of pairs, which docs/pairs.md describes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from stylegan_jax.data import images, records
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.errors import UserError

SIDES = ("a", "b")


class PairDataset:
    """The pictures of pairs, in the order of their entries.

    Attributes:
        path: folder of the set.
        entries: one object per pair, as in ``manifest.jsonl``.
        image_shape: (H, W, C) of every picture.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        entries: Sequence[Mapping[str, Any]],
        *,
        channels: int = 3,
        progress: Progress = False,
    ):
        """Opens the pictures and checks all of their files and sizes.

        Args:
            path: folder of the set.
            entries: what to read of it, at least one; each has ``index``, ``a`` and
                ``b``.
            channels: 1, 3 or 4; what pictures are read as.
            progress: False, True (bar on a terminal), or called with (done, total).

        Raises:
            UserError: pictures are missing, damaged or of another size than the first
                one; all are listed.
        """
        images.check_channels(channels)
        if not entries:
            raise UserError(f"{path} has no pairs to read: are all of them left out?")
        self.path = os.fspath(path)
        self.entries = list(entries)
        self._channels = channels
        self._stored = self._open()
        found = list(
            ordered_map(
                self._problem_or_size,
                2 * len(self.entries),
                progress=progress,
                label="checking pairs",
            )
        )
        self.image_shape = (*self._one_size(found), channels)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.entries)

    def get(self, i: int) -> tuple[np.ndarray, np.ndarray, Mapping[str, Any]]:
        """Reads a pair.

        Args:
            i: its place in `entries`.

        Returns:
            Picture A and picture B, uint8 [H, W, C], and the entry.

        Raises:
            UserError: a picture was damaged or changed after the set was opened.
        """
        entry = self.entries[i]
        a, b = (self._picture(entry, side) for side in SIDES)
        return a, b, entry

    def _open(self) -> dict[str, records.ArrayRecordSource]:
        """Opens the ArrayRecord files that entries name."""
        wrong = [
            f"{entry[side]} ({side} of pair {entry['index']})"
            for entry in self.entries
            for side in SIDES
            if not _is_inside(entry[side])
        ]
        if wrong:
            raise UserError(
                f"{self.path}: pictures of pairs lie in its folder, and manifest.jsonl "
                f"names others; mend it: {', '.join(wrong)}."
            )
        files = {entry[side] for entry in self.entries for side in SIDES}
        stored = {}
        for name in sorted(name for name in files if name.endswith(".arrayrecord")):
            file = Path(self.path, name)
            if not file.is_file():
                raise UserError(
                    f"{file} does not exist: was the set of pairs copied completely?"
                )
            stored[name] = records.ArrayRecordSource(str(file))
        return stored

    def _said(self, entry: Mapping[str, Any], side: str) -> str:
        where = entry[side]
        return f"{where} record {entry['index']}" if where in self._stored else where

    def _read(self, entry: Mapping[str, Any], side: str) -> bytes:
        where = entry[side]
        if where in self._stored:
            source = self._stored[where]
            if not 0 <= entry["index"] < len(source):
                raise images.BrokenPicture(
                    self._said(entry, side), "unreadable", "is not there"
                )
            return source.read(entry["index"])
        try:
            return Path(self.path, where).read_bytes()
        except OSError as error:
            raise images.BrokenPicture(
                where, "unreadable", f"cannot be read ({error.strerror})"
            ) from error

    def _picture(self, entry: Mapping[str, Any], side: str) -> np.ndarray:
        said = self._said(entry, side)
        data = self._read(entry, side)
        array = images.to_array(images.decode(data, said, channels=self._channels))
        if array.shape != self.image_shape:
            raise UserError(
                f"{self.path}/{said} is {list(array.shape)} now and was "
                f"{list(self.image_shape)} when it was opened: do not change pairs "
                "while they are read."
            )
        return array

    def _problem_or_size(self, place: int) -> str | tuple[int, int]:
        """What is wrong with a picture, else its (height, width)."""
        entry, side = self.entries[place // 2], SIDES[place % 2]
        said = self._said(entry, side)
        try:
            header = images.read_header(self._read(entry, side), said)
        except images.BrokenPicture as error:
            return error.reason
        return header.height, header.width

    def _one_size(self, found: Sequence[str | tuple[int, int]]) -> tuple[int, int]:
        size = next((item for item in found if not isinstance(item, str)), (0, 0))
        offenders = []
        for place, item in enumerate(found):
            said = self._said(self.entries[place // 2], SIDES[place % 2])
            if isinstance(item, str):
                offenders.append(f"  {said}: {item}")
            elif item != size:
                offenders.append(f"  {said}: is {item[0]}x{item[1]}")
        if offenders:
            expected = f"{size[0]}x{size[1]}" if any(size) else "pictures"
            listed = "\n".join(offenders)
            raise UserError(
                f"{self.path}: {len(offenders)} pictures of pairs cannot be used where "
                f"{expected} are expected; mend them, or set keep to false in "
                f"manifest.jsonl:\n{listed}"
            )
        return size


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
