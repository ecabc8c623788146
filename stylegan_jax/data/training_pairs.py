"""Sets of pairs as training sees them: what an encoder is shown, what is to come out.

Side A of a set of pairs is the source, side B the target, unless it is said otherwise;
some sets have a third side. Pictures are matched by the set's manifest, and a set whose
sources are its targets is refused unless that is said: an encoder that is shown its
targets learns to copy, and fails on what it was made for.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from PIL import Image

from stylegan_jax.data import images, label_maps, pair_checks
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.dataset import MEMORY_BYTES
from stylegan_jax.data.pairs import PairDataset
from stylegan_jax.data.parallel import Progress
from stylegan_jax.data.prepare import MAX_SIDE
from stylegan_jax.errors import UsageError, UserError

MAX_LABELS = 256
# What a source, a target or a second picture can be.
PICTURES = ("a", "b", "c")


class PairItem(TypedDict):
    """One pair: ``source`` uint8 [h, w, c] and ``target`` uint8 [H, W, 3].

    Where they were asked for, ``second`` uint8 [h, w, c], a second picture beside the
    source, and ``instances`` uint8 [h, w, 1], the numbers of instances.
    """

    source: np.ndarray
    target: np.ndarray
    second: NotRequired[np.ndarray]
    instances: NotRequired[np.ndarray]


class TrainingPairs:
    """Random access to decoded pairs; safe in threads and across processes.

    Attributes:
        name: a short name.
        image_shape: (H, W, 3) of targets.
        source_shape: (h, w, c) of sources.
        source_labels: number of classes where sources are label maps, whose single
            channel holds class numbers; else 0.
        stored_side: side of targets as they lie on disk.
        num_images: pairs.
        licence: that of the models that drew the pictures; None where not known.
        label_dim: 0; pairs have no class.
        fingerprint: sha256 over the kept entries of the manifest, sizes and samples of
            the pictures' files, and how they are presented (sizes, channels, classes),
            not over times, places or scores.
    """

    label_dim = 0

    def __init__(
        self,
        pairs: PairDataset,
        *,
        name: str,
        source_size: int,
        target_size: int,
        source_labels: int = 0,
        more: Sequence[str] = (),
        licence: str | None = None,
    ):
        """Wraps pairs that were checked; `open_training_pairs` does both.

        Args:
            pairs: its sides are the source, the target, and what ``more`` names.
            name: a short name.
            source_size: side of sources, in pixels.
            target_size: side of targets, in pixels.
            source_labels: classes of label maps; 0 for pictures.
            more: what the pairs' further sides are called in samples.
            licence: that of the models that drew the pictures; None where not known.
        """
        self._pairs = pairs
        self.licence = licence
        self.name = name
        self.source_labels = source_labels
        self._names = ("source", "target", *more)
        sizes = (source_size, target_size, *(source_size,) * len(more))
        self._shapes = {
            name: (size, size, pairs.shapes[side][2])
            for name, size, side in zip(self._names, sizes, pairs.sides, strict=True)
        }
        self.source_shape = self._shapes["source"]
        self.image_shape = self._shapes["target"]
        self.stored_side = pairs.image_shape[0]
        self._places = np.arange(len(pairs))
        self.num_images = len(pairs)
        said = [pairs.fingerprint(), self.source_shape, self.image_shape, source_labels]
        self.fingerprint = _digest(said + [self._shapes[name] for name in more])
        self._start_memory()

    def part(self, places: np.ndarray) -> TrainingPairs:
        """Some of the pairs, as a set of its own.

        Args:
            places: int [K], which pairs, each from 0 to ``num_images`` - 1.
        """
        chosen = copy.copy(self)
        chosen._places = self._places[places]
        chosen.num_images = len(places)
        chosen.fingerprint = _digest([self.fingerprint, [int(i) for i in places]])
        chosen._start_memory()
        return chosen

    def _start_memory(self) -> None:
        shapes = self._shapes.values()
        self._memory = self._filled = None
        if self.num_images * sum(int(np.prod(s)) for s in shapes) < MEMORY_BYTES:
            # Pages are only taken from the system as pairs are decoded.
            self._memory = [np.empty((self.num_images, *s), np.uint8) for s in shapes]
            self._filled = np.zeros(self.num_images, np.bool_)

    def __getstate__(self) -> dict:
        """Leaves the decoded pairs behind."""
        return {**self.__dict__, "_memory": None, "_filled": None}

    def __setstate__(self, state: dict) -> None:
        """Starts with no decoded pairs."""
        self.__dict__.update(state)
        self._start_memory()

    def __len__(self) -> int:
        """Number of pairs."""
        return self.num_images

    def __getitem__(self, index: int) -> PairItem:
        """Returns a pair.

        Raises:
            IndexError: beyond the last pair.
            UserError: a file was damaged or changed after it had been checked.
        """
        index = int(index)
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        pictures = [picture.copy() for picture in self._all(index)]
        item: PairItem = {"source": pictures[0], "target": pictures[1]}
        for name, picture in zip(self._names[2:], pictures[2:], strict=True):
            if name == "second":
                item["second"] = picture
            else:
                item["instances"] = picture
        return item

    def entry(self, index: int) -> dict:
        """The manifest's object of a pair: its index, names and scores."""
        return dict(self._pairs.entries[int(self._places[index])])

    def _all(self, index: int) -> Sequence[np.ndarray]:
        memory, filled = self._memory, self._filled
        if memory is None or filled is None:
            return self._decode(index)
        if not filled[index]:
            # Two threads may decode the same pair: both write the same bytes, and the
            # flag is set after them.
            for side, picture in zip(memory, self._decode(index), strict=True):
                side[index] = picture
            filled[index] = True
        return [side[index] for side in memory]

    def _decode(self, index: int) -> Sequence[np.ndarray]:
        place = int(self._places[index])
        try:
            pictures = self._pairs.pictures(place)
        except images.BrokenPicture as error:
            raise UserError(
                f"{self._pairs.path}/{error.name} was damaged after the pairs were "
                f"opened ({error.reason}): mend it, or set keep to false in "
                "manifest.jsonl."
            ) from error
        labels = self.source_labels
        if labels and (most := int(pictures[0].max())) >= labels:
            entry = self._pairs.entries[place]
            raise pair_checks.labels_beyond(self._pairs.path, labels, [(entry, most)])
        maps = {"instances", "source"} if labels else {"instances"}
        return [
            _fitted(picture, self._shapes[name][0], labels=name in maps)
            for name, picture in zip(self._names, pictures, strict=True)
        ]


def open_training_pairs(
    path: str | os.PathLike,
    *,
    source: str = "a",
    target: str = "b",
    second: str | None = None,
    instances: bool = False,
    target_size: int | None = None,
    source_size: int | None = None,
    source_channels: int = 3,
    source_labels: int = 0,
    reconstruct: bool = False,
    progress: Progress = True,
) -> TrainingPairs:
    """Opens the kept pairs of a set for training.

    Pictures of another size than asked for are resized as they are read: Lanczos, or
    nearest for label maps.

    Args:
        path: folder of the set.
        source: the side that the source is, ``a``, ``b`` or ``c``.
        target: the side that the target is.
        second: the side that is shown beside the source, such as a second person; None
            leaves it out.
        instances: samples have maps of instances, which are as large as sources.
        target_size: side of targets in pixels; None takes what is stored.
        source_size: side of sources in pixels; None takes what is stored.
        source_channels: 3, or 1 to see sources in grey. Label maps always have 1.
        source_labels: classes of label maps; 0 where sources are pictures.
        reconstruct: sources may be the targets.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: no complete set of pairs; pictures that are missing, damaged, of
            another size than the others, or not square; sources that are the targets
            in more than half of the pairs; label maps where pictures are expected, or
            the other way round; class numbers beyond ``source_labels``. All pictures
            that offend are listed.
    """
    _check_arguments(source_size, target_size, source_channels, source_labels)
    folder = Path(path)
    document = _document(folder)
    more = {"second": second} if second else {}
    _check_sides(path, document, {"source": source, "target": target, **more})
    if instances and manifest.INSTANCES not in document:
        raise UserError(
            f"the pairs in {path} have no maps of instances: make the set anew with "
            "`stylegan-jax data pairs … --instances FOLDER`, or leave them out."
        )
    more |= {manifest.INSTANCES: manifest.INSTANCES} if instances else {}
    labels = manifest.has_labels(document) and source == "a"
    entries = manifest.read_pairs(folder)
    pair_checks.check_kind(path, labels, source_labels)
    pairs = PairDataset(
        folder,
        entries,
        sides=(source, target, *more.values()),
        channels=(source_channels, 3, *(source_channels for _ in more)),
        labels=labels,
        progress=progress,
    )
    height, width, _ = pairs.image_shape
    if height != width:
        raise UserError(
            f"the pictures in {path} are {height}x{width} and pairs are trained on as "
            "squares: make the set anew with one number for --size."
        )
    if labels:
        pair_checks.check_labels(pairs, source_labels, progress)
    elif source_channels == 3 and not reconstruct:
        pair_checks.check_apart(pairs)
    return TrainingPairs(
        pairs,
        name=folder.name or folder.resolve().name,
        source_size=source_size or height,
        target_size=target_size or height,
        source_labels=source_labels,
        more=tuple(more),
        licence=_licence(document, (source, target, *(s for s in (second,) if s))),
    )


def _licence(document: Mapping[str, Any], sides: Sequence[str]) -> str | None:
    """The licences of the models that drew these sides; None where one is unknown.

    An edit of a side's latents is under that side's licence.
    """
    found: list[str] = []
    for side in sides:
        entry = document.get(side) or {}
        if "direction" in entry or entry.get("kind") in ("mix", "second person"):
            entry = document.get("a") or {}
        licence = entry.get("licence")
        if not licence or licence == "not stated":
            return None
        found.append(licence)
    return "; and ".join(dict.fromkeys(found))


def _check_sides(
    path: str | os.PathLike, document: Mapping[str, Any], chosen: Mapping[str, str]
) -> None:
    """Refuses sides that there are not, that are maps, or that come twice."""
    there = [side.lower() for side in manifest.sides(document)]
    wrong = [f"{name}={side}" for name, side in chosen.items() if side not in PICTURES]
    if wrong:
        raise UsageError(
            f"sides of pairs are {', '.join(PICTURES)}, got {', '.join(wrong)}."
        )
    if len({*chosen.values()}) < len(chosen):
        said = ", ".join(f"{name}={side}" for name, side in chosen.items())
        raise UsageError(f"a side of pairs is used once, got {said}.")
    absent = [f"{name}={side}" for name, side in chosen.items() if side not in there]
    if absent:
        raise UserError(
            f"the pairs in {path} have the sides {', '.join(there)} and not "
            f"{', '.join(absent)}: make a set with three (`stylegan-jax pairs --both` "
            "or `--mix-layers`), or choose other sides."
        )
    maps = [name for name, side in chosen.items() if side == "a" and name != "source"]
    if maps and manifest.has_labels(document):
        raise UserError(
            f"side a of the pairs in {path} holds label maps, which can be the source "
            f"alone and not the {maps[0]}."
        )


def _check_arguments(
    source_size: int | None,
    target_size: int | None,
    source_channels: int,
    source_labels: int,
) -> None:
    for name, size in (("source_size", source_size), ("target_size", target_size)):
        if size is not None and not 0 < size <= MAX_SIDE:
            raise UserError(f"{name} is {size}, expected from 1 to {MAX_SIDE} pixels.")
    if source_channels not in (1, 3):
        raise UserError(
            f"source_channels is {source_channels}, expected 1 (grey) or 3 (RGB)."
        )
    if not 0 <= source_labels <= MAX_LABELS:
        raise UserError(
            f"data.source_labels is {source_labels}, expected a number of classes up "
            f"to {MAX_LABELS}, or 0 where sources are pictures."
        )


def _document(folder: Path) -> dict:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: give the folder of a set of pairs.")
    found = manifest.read_document(folder)
    if found is None:
        raise UserError(
            f"{folder} has no manifest.json, so that nobody knows which pictures make "
            "pairs: `stylegan-jax data pairs SOURCES TARGETS OUT` makes a set of two "
            "folders, and pictures without partners are trained on with "
            "--config.data.reconstruct=true."
        )
    if not found.get("complete"):
        raise UserError(
            f"the pairs in {folder} are not complete: run the command that makes them "
            "again, which goes on where it stopped."
        )
    return found


def _fitted(array: np.ndarray, size: int, *, labels: bool) -> np.ndarray:
    """A square picture [h, h, C] uint8 as [size, size, C]."""
    if array.shape[0] == size:
        return array
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    if labels:
        return images.to_array(label_maps.fit(image, (size, size)))
    return images.to_array(images.fit(image, (size, size), "lanczos"))


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
