"""Datasets as training sees them: uint8 pictures of one shape, perhaps labelled."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict

import numpy as np

from stylegan_jax.data import images, labels, prepare, sources
from stylegan_jax.data.converted import default_cache, ready_source
from stylegan_jax.data.parallel import Progress
from stylegan_jax.errors import UserError

# Decoded pictures are kept in memory where the whole dataset is smaller than this.
MEMORY_BYTES = 2**30


class Item(TypedDict):
    """One sample: ``image`` uint8 [H, W, C] and ``label`` float32 [label_dim]."""

    image: np.ndarray
    label: np.ndarray


class Samples(Protocol):
    """What training reads: random access to samples, whatever they hold.

    Attributes:
        name: a short name.
        image_shape: (H, W, C) of the pictures that are learnt.
        num_images: samples, not counting mirrored ones.
        label_dim: classes or length of the label vectors; 0 without labels.
        fingerprint: of the samples and how they are presented.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_images: int
    label_dim: int
    fingerprint: str

    def __len__(self) -> int:
        """Number of samples, mirrored ones included."""

    def __getitem__(self, index: int) -> Any:
        """A sample: arrays by name."""

    def part(self, places: np.ndarray) -> Self:
        """Some of the samples, as a set of its own."""


class ImageDataset:
    """Random access to decoded pictures; safe in threads and across processes.

    Attributes:
        name: a short name.
        image_shape: (H, W, C).
        num_images: pictures, not counting mirrored ones.
        label_dim: classes or length of the label vectors; 0 without labels.
        fingerprint: sha256 over the pictures' names, sizes and labels, samples of their
            content (first and last 4 KiB of a file in a folder, a zip's checksums,
            pieces of an ArrayRecord file) and how they are presented (shape, mirror,
            labels), not over times or places.
    """

    def __init__(
        self,
        source: sources.Source,
        *,
        shape: tuple[int, int, int],
        fingerprint: str,
        name: str | None = None,
        mirror: bool = False,
        classes_or_vectors: np.ndarray | None = None,
    ):
        """Wraps a source whose pictures all have the right shape.

        Args:
            source: encoded pictures.
            shape: (H, W, C) of every picture.
            fingerprint: of the pictures' origin.
            name: a short name; None takes the source's.
            mirror: whether indices from ``num_images`` on are flipped pictures.
            classes_or_vectors: int64 [N] or float32 [N, c_dim]; None without labels.
        """
        self._source = source
        self._mirror = mirror
        self._labels = classes_or_vectors
        self.name = name or source.name
        self.image_shape = shape
        self._places = np.arange(len(source))
        self._halvings = 0
        self.num_images = len(source)
        self.label_dim = 0
        if classes_or_vectors is not None:
            self.label_dim = (
                classes_or_vectors.shape[1]
                if classes_or_vectors.ndim == 2
                else int(classes_or_vectors.max()) + 1
            )
        said = json.dumps([fingerprint, shape, mirror, self.label_dim])
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()
        self._start_memory()

    def part(self, places: np.ndarray) -> ImageDataset:
        """Some of the pictures, as a dataset of its own.

        Args:
            places: int [K], which pictures, each from 0 to ``num_images`` - 1.
        """
        chosen = copy.copy(self)
        chosen._places = self._places[places]
        chosen.num_images = len(places)
        said = json.dumps([self.fingerprint, [int(i) for i in places]])
        chosen.fingerprint = hashlib.sha256(said.encode()).hexdigest()
        chosen._start_memory()
        return chosen

    def reduced(self, halvings: int) -> ImageDataset:
        """The same pictures at a lower resolution: means of pixels, rounded once.

        So are the lower resolutions in the TFRecords of NVIDIA's programs.

        Args:
            halvings: how often both sides are halved, which they must allow.

        Raises:
            ValueError: they do not.
        """
        height, width, channels = self.image_shape
        if height % 2**halvings or width % 2**halvings:
            raise ValueError(f"{height}x{width} cannot be halved {halvings} times.")
        smaller = copy.copy(self)
        smaller._halvings += halvings
        smaller.image_shape = (height >> halvings, width >> halvings, channels)
        said = json.dumps([self.fingerprint, "reduced", halvings])
        smaller.fingerprint = hashlib.sha256(said.encode()).hexdigest()
        smaller._start_memory()
        return smaller

    def _start_memory(self) -> None:
        size = self.num_images * int(np.prod(self.image_shape))
        self._memory = self._filled = None
        if size < MEMORY_BYTES:
            # Pages are only taken from the system as pictures are decoded.
            self._memory = np.empty((self.num_images, *self.image_shape), np.uint8)
            self._filled = np.zeros(self.num_images, np.bool_)

    def __getstate__(self) -> dict:
        """Leaves the decoded pictures behind."""
        return {**self.__dict__, "_memory": None, "_filled": None}

    def __setstate__(self, state: dict) -> None:
        """Starts with no decoded pictures."""
        self.__dict__.update(state)
        self._start_memory()

    def __len__(self) -> int:
        """Number of samples: mirroring doubles it."""
        return self.num_images * (2 if self._mirror else 1)

    def __getitem__(self, index: int) -> Item:
        """Returns a sample; ``index >= num_images`` is a mirrored picture.

        Raises:
            IndexError: beyond the last sample.
            UserError: the file was damaged after it had been checked.
        """
        index = int(index)
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        flipped, picture = divmod(index, self.num_images)
        image = self._picture(picture)
        image = image[:, ::-1].copy() if flipped else image.copy()
        return {"image": image, "label": self._label(self._places[picture])}

    def _label(self, index: int) -> np.ndarray:
        """Returns float32 [label_dim], one-hot for classes."""
        if self._labels is None:
            return np.zeros(0, np.float32)
        if self._labels.ndim == 2:
            return self._labels[index].copy()
        onehot = np.zeros(self.label_dim, np.float32)
        onehot[self._labels[index]] = 1
        return onehot

    def _picture(self, index: int) -> np.ndarray:
        memory, filled = self._memory, self._filled
        if memory is None or filled is None:
            return self._decode(index)
        if not filled[index]:
            # Two threads may decode the same picture: both write the same bytes, and
            # the flag is set after them.
            memory[index] = self._decode(index)
            filled[index] = True
        return memory[index]

    def _decode(self, index: int) -> np.ndarray:
        place = int(self._places[index])
        name = self._source.names[place]
        try:
            data = self._source.read(place)
            decoded = images.decode(data, name, channels=self.image_shape[2])
        except images.BrokenPicture as error:
            raise UserError(
                f"{self._source.path}: {name} was damaged after the dataset was opened "
                f"({error.reason}): run `stylegan-jax data check`."
            ) from error
        array = images.to_array(decoded)  # [H,W,C]
        height, width, channels = self.image_shape
        times = 1 << self._halvings
        expected = (height * times, width * times, channels)
        if array.shape != expected:
            raise UserError(
                f"{self._source.path}: {name} is {array.shape}, expected "
                f"{expected}: the dataset changed while it was in use."
            )
        if times == 1:
            return array
        parts = array.reshape(height, times, width, times, channels)  # [H,t,W,t,C]
        return np.rint(parts.mean((1, 3), dtype=np.float32)).astype(np.uint8)


def open_dataset(
    path: str | os.PathLike,
    *,
    resolution: int | tuple[int, int] | None = None,
    mirror: bool = False,
    use_labels: bool = False,
    channels: int = 3,
    cache_dir: str | os.PathLike | None = None,
    skip_broken: bool = False,
    progress: Progress = True,
) -> ImageDataset:
    """Opens any pictures as a dataset of one shape.

    Datasets of the right shape are used where they lie. Others are checked, converted
    and kept as a zip in the cache; the same pictures, at the same place and not written
    since, are converted once.

    Args:
        path: a folder, zip, ArrayRecord file or ``tfds:NAME[/SPLIT]``.
        resolution: side, or (height, width); None takes the pictures' own size, which
            must then be the same for all.
        mirror: also show every picture flipped left to right.
        use_labels: give labels, from `dataset.json` or sub-folders.
        channels: 1, 3 or 4.
        cache_dir: for converted datasets; None means
            ``$XDG_CACHE_HOME/stylegan_jax/data``.
        skip_broken: leave broken pictures out instead of refusing.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: broken pictures (all are listed), mixed sizes without a resolution,
            labels asked for and absent.
    """
    images.check_channels(channels)
    wanted = None if resolution is None else prepare.parse_resolution(resolution)
    source = sources.open_source(path)
    if not len(source):
        raise UserError(f"{path} holds no pictures: check the path.")
    cache = Path(cache_dir) if cache_dir is not None else default_cache()
    fingerprint = source.fingerprint()
    ready, shape = ready_source(
        source, fingerprint, wanted, channels, cache, skip_broken, progress
    )
    found = _read_labels(ready, str(path)) if use_labels else None
    return ImageDataset(
        ready,
        shape=(*shape, channels),
        fingerprint=fingerprint,
        name=source.name,
        mirror=mirror,
        classes_or_vectors=found,
    )


def _read_labels(source: sources.Source, path: str) -> np.ndarray:
    """Returns int64 [N] classes or float32 [N, c_dim] vectors for every picture."""
    found = source.labels()
    if found is None:
        raise UserError(
            f"{path} has no labels: add a {sources.LABEL_FILE} with "
            '{"labels": [["a.png", 0], ...]}, sort the pictures into one sub-folder '
            "per class, or train without labels (data.labels=False)."
        )
    originals = source.provenance().get("original_names")
    if not isinstance(originals, list) or len(originals) != len(source):
        originals = None
    return labels.label_arrays(found, source.names, path, shown=originals)
