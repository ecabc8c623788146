"""Random access to sets of pairs, which docs/pairs.md describes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from stylegan_jax.data import images, label_maps, records, sources
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.errors import UserError

# Enough of a file for the header of nearly any picture.
_HEAD_BYTES = 2**16


class PairDataset:
    """The pictures of pairs, in the order of their entries.

    Attributes:
        path: folder of the set.
        entries: one object per pair, as in ``manifest.jsonl``.
        sides: the sides that are read, such as ``a`` and ``b``.
        image_shape: (H, W, C) of every picture of the second of them.
        shapes: (H, W, C) by side; H and W are the same.
        labels: whether side A holds label maps, whose values are class numbers.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        entries: Sequence[Mapping[str, Any]],
        *,
        sides: Sequence[str] = ("a", "b"),
        channels: int | Sequence[int] = 3,
        labels: bool = False,
        progress: Progress = False,
    ):
        """Opens the pictures and checks all of their files and sizes.

        Args:
            path: folder of the set.
            entries: what to read of it, at least one; each has ``index`` and the
                sides.
            sides: what is read of every pair, two at least: ``a``, ``b``, ``c`` or
                ``instances``.
            channels: 1, 3 or 4; what pictures are read as. Several numbers are for
                the sides in turn.
            labels: side A holds label maps; they have one channel whatever
                ``channels`` says, and their numbers are not changed. So do maps of
                instances.
            progress: False, True (bar on a terminal), or called with (done, total).

        Raises:
            UserError: pictures are missing, damaged or of another size than the first
                one, or label maps have colours; all are listed.
        """
        each = [channels] * len(sides) if isinstance(channels, int) else channels
        for number in each:
            images.check_channels(number)
        self.sides = tuple(sides)
        self.labels = labels
        self._channels = {
            side: 1 if self._is_map(side) else number
            for side, number in zip(self.sides, each, strict=True)
        }
        if not entries:
            raise UserError(f"{path} has no pairs to read: are all of them left out?")
        self.path = os.fspath(path)
        self.entries = list(entries)
        self._stored = self._open()
        found = list(
            ordered_map(
                self._problem_or_size,
                len(self.sides) * len(self.entries),
                progress=progress,
                label="checking pairs",
            )
        )
        size = self._one_size(found)
        self.shapes = {side: (*size, self._channels[side]) for side in self.sides}
        self.image_shape = self.shapes[self.sides[1]]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.entries)

    def get(self, i: int) -> tuple[np.ndarray, np.ndarray, Mapping[str, Any]]:
        """Reads the first two sides of a pair.

        Args:
            i: its place in `entries`.

        Returns:
            Both pictures, uint8 [H, W, C] as in ``shapes``, and the entry.

        Raises:
            UserError: a picture was damaged or changed after the set was opened.
        """
        entry = self.entries[i]
        a, b = (self._picture(entry, side) for side in self.sides[:2])
        return a, b, entry

    def pictures(self, i: int) -> list[np.ndarray]:
        """Reads all sides of a pair, in the order of ``sides``, as `get` does."""
        return [self._picture(self.entries[i], side) for side in self.sides]

    def fingerprint(self) -> str:
        """Returns a sha256 over what is read, and samples of the pictures' bytes.

        Scores, reasons, times and places do not count: a copy of the set, or one that
        was judged anew with the same outcome, has the same.
        """
        read = [
            [entry[key] for key in ("index", *self.sides)] for entry in self.entries
        ]
        digest = hashlib.sha256(json.dumps([read, self.labels]).encode())
        for name in sorted(self._stored):
            digest.update(self._stored[name].fingerprint().encode())
        files = [e[side] for e in self.entries for side in self.sides]
        files = [name for name in files if name not in self._stored]
        for sample in ordered_map(lambda i: self._sample(files[i]), len(files)):
            digest.update(sample)
        return digest.hexdigest()

    def _sample(self, name: str) -> bytes:
        path = Path(self.path, name)
        try:
            size = path.stat().st_size
        except OSError:
            size = -1  # gone since it was opened; whoever decodes it reports it
        return f"{size} ".encode() + sources.sample_of(path)

    def _open(self) -> dict[str, records.ArrayRecordSource]:
        """Opens the ArrayRecord files that entries name."""
        absent = [
            str(entry["index"])
            for entry in self.entries
            if not all(isinstance(entry.get(side), str) for side in self.sides)
        ]
        if absent:
            raise UserError(
                f"{self.path}: pairs have the sides {', '.join(self.sides)} here and "
                f"manifest.jsonl does not name all of them; mend the pairs "
                f"{', '.join(absent)}."
            )
        wrong = [
            f"{entry[side]} ({side} of pair {entry['index']})"
            for entry in self.entries
            for side in self.sides
            if not _is_inside(entry[side])
        ]
        if wrong:
            raise UserError(
                f"{self.path}: pictures of pairs lie in its folder, and manifest.jsonl "
                f"names others; mend it: {', '.join(wrong)}."
            )
        files = {entry[side] for entry in self.entries for side in self.sides}
        stored = {}
        for name in sorted(name for name in files if name.endswith(".arrayrecord")):
            file = Path(self.path, name)
            if not file.is_file():
                raise UserError(
                    f"{file} does not exist: was the set of pairs copied completely?"
                )
            stored[name] = records.ArrayRecordSource(str(file))
        return stored

    def _is_map(self, side: str) -> bool:
        return side == manifest.INSTANCES or (self.labels and side == "a")

    def _said(self, entry: Mapping[str, Any], side: str) -> str:
        where = entry[side]
        return f"{where} record {entry['index']}" if where in self._stored else where

    def _read(self, entry: Mapping[str, Any], side: str, most: int = -1) -> bytes:
        """A picture's bytes, or the first ``most`` of them where it is a file."""
        where = entry[side]
        if where in self._stored:
            source = self._stored[where]
            if not 0 <= entry["index"] < len(source):
                raise images.BrokenPicture(
                    self._said(entry, side), "unreadable", "is not there"
                )
            return source.read(entry["index"])
        try:
            with open(Path(self.path, where), "rb") as file:
                return file.read(most)
        except OSError as error:
            raise images.BrokenPicture(
                where, "unreadable", f"cannot be read ({error.strerror})"
            ) from error

    def _picture(self, entry: Mapping[str, Any], side: str) -> np.ndarray:
        said = self._said(entry, side)
        data = self._read(entry, side)
        if self._is_map(side):
            image = label_maps.decode(data, said)
        else:
            image = images.decode(data, said, channels=self._channels[side])
        array = images.to_array(image)
        if array.shape != self.shapes[side]:
            raise UserError(
                f"{self.path}/{said} is {list(array.shape)} now and was "
                f"{list(self.shapes[side])} when it was opened: do not change pairs "
                "while they are read."
            )
        return array

    def _at(self, place: int) -> tuple[Mapping[str, Any], str]:
        number, side = divmod(place, len(self.sides))
        return self.entries[number], self.sides[side]

    def _problem_or_size(self, place: int) -> str | tuple[int, int]:
        """What is wrong with a picture, else its (height, width)."""
        entry, side = self._at(place)
        said = self._said(entry, side)
        try:
            header = self._header(entry, side, said)
            if self._is_map(side):
                label_maps.check_header(header, said)
        except images.BrokenPicture as error:
            return error.reason
        return header.height, header.width

    def _header(self, entry: Mapping[str, Any], side: str, said: str) -> images.Header:
        head = self._read(entry, side, _HEAD_BYTES)
        try:
            return images.read_header(head, said)
        except images.BrokenPicture:
            if len(head) < _HEAD_BYTES:
                raise
            # Colour profiles and thumbnails may stand before the size.
            return images.read_header(self._read(entry, side), said)

    def _one_size(self, found: Sequence[str | tuple[int, int]]) -> tuple[int, int]:
        size = next((item for item in found if not isinstance(item, str)), (0, 0))
        offenders = []
        for place, item in enumerate(found):
            said = self._said(*self._at(place))
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


def open_pairs(
    path: str | os.PathLike,
    *,
    kept: bool = True,
    channels: int | tuple[int, int] = 3,
    progress: Progress = False,
) -> PairDataset:
    """Opens a set of pairs, drawn or from folders.

    Args:
        path: its folder.
        kept: leave out pairs whose ``keep`` is false.
        channels: 1, 3 or 4; two numbers are for side A and side B. Label maps on side A
            always have 1.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: no complete set of pairs, or pictures that are missing, damaged or of
            another size (all are listed).
    """
    folder = Path(path)
    document = manifest.read_document(folder)
    if document is None or not document.get("complete"):
        raise UserError(
            f"{folder} is no complete set of pairs: make it with `stylegan-jax pairs` "
            "or `stylegan-jax data pairs`."
        )
    return PairDataset(
        folder,
        manifest.read_pairs(folder, kept=kept),
        channels=channels,
        labels=manifest.has_labels(document),
        progress=progress,
    )


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    if "\0" in name:  # no file has such a name, and asking for one is an error
        return False
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
