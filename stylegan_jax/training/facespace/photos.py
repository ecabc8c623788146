"""The photos of a face space, in an order that their own content decides.

Training sees them in the order of their hashes, so neither their names nor the order in
which they are given change what is learnt.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
from PIL import Image

from stylegan_jax.checkpoints.facespace_config import LARGEST_THUMBNAIL
from stylegan_jax.data import images, sources
from stylegan_jax.data.parallel import ordered_map
from stylegan_jax.errors import UserError, printable
from stylegan_jax.faces.detectors import DlibFinder
from stylegan_jax.faces.landmarks import FileFinder, Finder

# A face space of more is a mistake, or takes a machine that has better to do.
LARGEST = 1000
# The original program's spaces are of 6 to 10.
USUAL = 12


@dataclasses.dataclass(frozen=True)
class Photos:
    """Photos at a generator's size; training's number i is photo ``order[i]``.

    Attributes:
        name: a short name.
        names: in the order in which they were given.
        order: [N] int, place in ``names`` of each photo in the order of training.
        pictures: [N, H, W, 3] uint8, in the order of training.
        points: [N, 68, 2] float64, landmarks in these pictures; None without.
        notes: lines that a person should read.
    """

    name: str
    names: tuple[str, ...]
    order: np.ndarray
    pictures: np.ndarray
    points: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def label_dim(self) -> int:
        """There are no classes."""
        return 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the pictures."""
        height, width, channels = self.pictures.shape[1:]
        return height, width, channels

    @property
    def num_images(self) -> int:
        """How many there are."""
        return len(self.pictures)

    @property
    def fingerprint(self) -> str:
        """sha256 over the pictures and landmarks, not over names."""
        digest = hashlib.sha256(json.dumps(self.pictures.shape).encode())
        digest.update(self.pictures.tobytes())
        if self.points is not None:
            digest.update(self.points.tobytes())
        return digest.hexdigest()

    @property
    def ranks(self) -> np.ndarray:
        """[N] int: the number in training of each photo in the order of ``names``."""
        return np.argsort(self.order)

    def __len__(self) -> int:
        """How many there are."""
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``image`` uint8 [H, W, 3] and ``label``, its number in training."""
        return {"image": self.pictures[index], "label": np.int32(index)}

    def part(self, places: np.ndarray) -> Photos:
        """Some of the photos, in the order of training, as a set of its own."""
        order = self.order[places]
        return dataclasses.replace(
            self,
            names=tuple(self.names[i] for i in np.sort(order)),
            order=np.searchsorted(np.sort(order), order),
            pictures=self.pictures[places],
            points=None if self.points is None else self.points[places],
        )

    def given(self) -> np.ndarray:
        """[N, H, W, 3] uint8: the pictures in the order of ``names``."""
        return self.pictures[self.ranks]

    def thumbnails(self) -> np.ndarray:
        """[N, h, w, 3] uint8 in the order of ``names``, at most 64 pixels a side."""
        height, width = self.image_shape[:2]
        scale = min(1.0, LARGEST_THUMBNAIL / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        found = [
            np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX))
            for p in self.given()
        ]
        return np.stack(found)


def open_photos(
    path: Any,
    shape: tuple[int, int],
    *,
    landmarks: str | None = None,
    progress: bool = False,
) -> Photos:
    """Reads all photos at a generator's size.

    Those of another size are cropped around their centre and resized, and a note says
    so.

    Args:
        path: whatever `sources.open_source` takes.
        shape: (H, W) of the generator's pictures.
        landmarks: ``dlib`` to find them, or a file that has them; None without.
        progress: show a bar on a terminal.

    Raises:
        UserError: no pictures, too many, broken ones (all are named), a photo that is
            there twice (both are named), or faces that are not found (all are named).
    """
    source = sources.open_source(path)
    number = len(source)
    if not number:
        raise UserError(f"{path} holds no pictures: check the path.")
    if number > LARGEST:
        raise UserError(
            f"{path} holds {number} pictures and a face space is made of at most "
            f"{LARGEST}: choose 6 to 10 faces, or train a generator of your own."
        )
    read = ordered_map(
        lambda i: _read(source, i, shape), number, progress=progress, label="reading"
    )
    found: list[_Read] = []
    broken: list[images.BrokenPicture] = []
    for item in read:
        if isinstance(item, _Read):
            found.append(item)
        else:
            broken.append(item)
    if broken:
        said = "; ".join(f"{b.name}: {b.reason}" for b in broken)
        raise UserError(
            f"{len(broken)} of the {number} pictures in {path} cannot be used, mend or "
            f"remove them: {said}."
        )
    names = tuple(source.names)
    pictures = [item.fitted for item in found]
    hashes = [hashlib.sha256(p.tobytes()).hexdigest() for p in pictures]
    _check_twice(path, names, hashes)
    order = np.array(sorted(range(number), key=lambda i: hashes[i]))
    points = None
    if landmarks is not None:
        points = _find(path, names, found, shape, landmarks)[order]
    return Photos(
        name=source.name,
        names=names,
        order=order,
        pictures=np.stack(pictures)[order],
        points=points,
        notes=_notes([item.size for item in found], shape),
    )


@dataclasses.dataclass(frozen=True)
class _Read:
    """One photo: as it is, and as the generator draws."""

    original: np.ndarray
    fitted: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        return self.original.shape[0], self.original.shape[1]


def _read(
    source: sources.Source, index: int, shape: tuple[int, int]
) -> _Read | images.BrokenPicture:
    try:
        image = images.decode(source.read(index), source.names[index])
    except images.BrokenPicture as error:
        return error
    fitted = images.fit(image, shape, "lanczos")
    return _Read(images.to_array(image), images.to_array(fitted))


def _check_twice(path: Any, names: tuple[str, ...], hashes: list[str]) -> None:
    """Refuses a photo that is there twice: its two codes would be one face."""
    groups: dict[str, list[str]] = {}
    for name, digest in zip(names, hashes, strict=True):
        groups.setdefault(digest, []).append(name)
    twice = [" and ".join(map(printable, g)) for g in groups.values() if len(g) > 1]
    if twice:
        raise UserError(
            f"{path} has the same picture more than once ({'; '.join(twice)}): each "
            "photo is one axis of the space, so keep one of them."
        )


def _notes(sizes: list[tuple[int, int]], shape: tuple[int, int]) -> tuple[str, ...]:
    """What is done to the photos, and whether they are many."""
    lines = []
    others = sorted({size for size in sizes if size != shape})
    if others:
        said = ", ".join(f"{h}x{w}" for h, w in others[:4])
        more = f" and {len(others) - 4} sizes more" if len(others) > 4 else ""
        lines.append(
            f"note: photos of {said}{more} are fitted to the generator's "
            f"{shape[0]}x{shape[1]}"
        )
    if len(sizes) > USUAL:
        lines.append(
            f"note: {len(sizes)} photos: spaces are usually of 6 to 10, time grows "
            "with their number, and the encoder may not hold all of them"
        )
    if len(sizes) == 1:
        lines.append(
            "note: a single photo can be drawn again, and there is nothing to blend "
            "it with"
        )
    return tuple(lines)


def _find(
    path: Any,
    names: tuple[str, ...],
    found: list[_Read],
    shape: tuple[int, int],
    landmarks: str,
) -> np.ndarray:
    """The landmarks [N, 68, 2] of the largest face of each, in fitted pictures."""
    finder: Finder = DlibFinder() if landmarks == "dlib" else FileFinder(landmarks)
    points, faceless = [], []
    for name, item in zip(names, found, strict=True):
        faces = finder.find(name, item.original)
        if not faces:
            faceless.append(printable(name))
            continue
        height, width = item.size
        left, top, right, bottom = images.crop_box((width, height), shape)
        scale = np.array([shape[1] / (right - left), shape[0] / (bottom - top)])
        # A point counts from the centre of the first pixel.
        middle = np.array([left, top]) - 0.5
        points.append((faces[0].points - middle) * scale - 0.5)
    if faceless:
        where = "dlib finds no face" if landmarks == "dlib" else f"{landmarks} has none"
        raise UserError(
            f"{where} in {len(faceless)} of the {len(names)} pictures in {path} "
            f"({', '.join(faceless)}): leave them out, or give their landmarks with "
            "--landmarks FILE.json."
        )
    return np.stack(points)
