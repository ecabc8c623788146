"""Pictures with values of named attributes, as a trainer of readers sees them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from stylegan_jax.data import prepare, sources
from stylegan_jax.data.attribute_labels import (
    Attribute,
    attribute_values,
    read_rows,
)
from stylegan_jax.data.converted import default_cache, ready_source
from stylegan_jax.data.dataset import ImageDataset
from stylegan_jax.data.parallel import Progress
from stylegan_jax.errors import UserError


class LabelledItem(TypedDict):
    """One sample: ``image`` uint8 [H, W, 3] and ``values`` float32 [A]."""

    image: np.ndarray
    values: np.ndarray


class LabelledPictures:
    """Random access to pictures and their attributes.

    Attributes:
        name: a short name.
        image_shape: (H, W, 3).
        num_images: pictures.
        label_dim: 0; the pictures have no class.
        attributes: names and kinds of the values.
        values: float32 [num_images, A], binary attributes as 0 and 1.
        fingerprint: of the pictures, and of the attributes and values.
    """

    label_dim = 0

    def __init__(
        self,
        pictures: ImageDataset,
        values: np.ndarray,
        attributes: Sequence[Attribute],
    ):
        """Args: pictures, and float32 [N, A] values of as many."""
        if values.shape != (pictures.num_images, len(attributes)):
            raise ValueError(
                f"values have shape {values.shape}, expected "
                f"{(pictures.num_images, len(attributes))}."
            )
        self._pictures = pictures
        self.values, self.attributes = values, tuple(attributes)
        self.name, self.num_images = pictures.name, pictures.num_images
        self.image_shape = pictures.image_shape
        said = json.dumps([[a.name, a.kind, a.texts] for a in self.attributes])
        digest = hashlib.sha256(f"{pictures.fingerprint} {said} ".encode())
        digest.update(np.ascontiguousarray(values, "<f4").tobytes())
        self.fingerprint = digest.hexdigest()

    def part(self, places: np.ndarray) -> LabelledPictures:
        """Some of the pictures, as a set of its own."""
        pictures = self._pictures.part(places)
        return LabelledPictures(pictures, self.values[places], self.attributes)

    def __len__(self) -> int:
        """Number of pictures."""
        return self.num_images

    def __getitem__(self, index: int) -> LabelledItem:
        """A picture and its values."""
        image = self._pictures[index]["image"]
        return {"image": image, "values": self.values[index]}


def open_labelled(
    path: str | os.PathLike,
    *,
    attributes: Sequence[Attribute],
    labels: str | None = None,
    resolution: int | None = None,
    skip_unlabelled: bool = False,
    skip_broken: bool = False,
    cache_dir: str | os.PathLike | None = None,
    progress: Progress = True,
) -> LabelledPictures:
    """Opens pictures with attributes; `dataset.open_dataset` tells how they are made.

    Args:
        path: whatever `sources.open_source` takes.
        attributes: what is wanted.
        labels: where values are, see `attribute_labels.read_rows`.
        resolution: side of the pictures; None takes their own, the same for all.
        skip_unlabelled: leave pictures out that lack a value instead of refusing.
        skip_broken: leave broken pictures out instead of refusing.
        cache_dir: for converted pictures; None means the user's cache.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: broken or missing pictures, or what `attribute_values` refuses.
    """
    source = sources.open_source(path)
    if not len(source):
        raise UserError(f"{path} holds no pictures: check the path.")
    rows, where = read_rows(source, labels)
    wanted = None if resolution is None else prepare.parse_resolution(resolution)
    cache = Path(cache_dir) if cache_dir is not None else default_cache()
    fingerprint = source.fingerprint()
    ready, shape = ready_source(
        source, fingerprint, wanted, 3, cache, skip_broken, progress
    )
    values, known, places = attribute_values(
        rows,
        picture_names(source, ready),
        attributes,
        where,
        skip_unlabelled=skip_unlabelled,
    )
    pictures = ImageDataset(
        ready, shape=(*shape, 3), fingerprint=fingerprint, name=source.name
    )
    if len(places) < pictures.num_images:
        pictures = pictures.part(places)
    return LabelledPictures(pictures, values, known)


def picture_names(
    source: sources.Source, ready: sources.Source
) -> list[tuple[str, ...]]:
    """The names that each picture has in the set, and had before that was prepared.

    Args:
        source: the set as it was given.
        ready: the same pictures as they are read, perhaps converted.
    """
    own = source.names if ready is source else _originals(ready)
    before = dict(zip(source.names, _originals(source), strict=True))
    return [tuple(dict.fromkeys((name, before.get(name, name)))) for name in own]


def _originals(source: sources.Source) -> Sequence[str]:
    names = source.provenance().get("original_names")
    if isinstance(names, list) and len(names) == len(source):
        return [str(name) for name in names]
    return source.names
