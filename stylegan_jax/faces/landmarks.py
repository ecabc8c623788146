"""Where the faces of a picture are: 68 landmarks each, from dlib or from a file.

The 68 points are those of 300-W (Sagonas et al. 2013): jaw 0–16, brows 17–26, nose
27–35, the eye on the picture's left 36–41, the one on its right 42–47, outer lips
48–59, inner lips 60–67. A point ``(x, y)`` counts whole pixels of the upright picture:
``(0, 0)`` is the centre of its first pixel.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stylegan_jax.errors import UserError, printable

NUM_POINTS = 68
JAW = slice(0, 17)
CHIN = 8
NOSE_TIP = 30
LEFT_EYE = slice(36, 42)
RIGHT_EYE = slice(42, 48)
LEFT_MOUTH = 48
RIGHT_MOUTH = 54

# A coordinate beyond this is no place in any picture that can be opened.
_MAX_COORDINATE = 1e6


@dataclasses.dataclass(frozen=True)
class Face:
    """One face of a picture.

    Attributes:
        points: [68, 2] float64, (x, y) in pixels of the upright picture.
        scores: detector that saw it → its score, the one whose box the landmarks are
            from first; none from a file. See `detectors`.
    """

    points: np.ndarray
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def detector(self) -> str | None:
        """The detector whose box the landmarks are from; None from a file."""
        return next(iter(self.scores), None)

    @property
    def size(self) -> float:
        """Area of the box around the landmarks, in square pixels."""
        width, height = np.ptp(self.points, axis=0)
        return float(width * height)


class Finder(Protocol):
    """Finds the faces of one picture."""

    def find(self, name: str, pixels: np.ndarray) -> list[Face]:
        """Returns the faces of the picture ``name``, the largest first.

        Args:
            name: the picture's name in its source.
            pixels: [H, W, 3] uint8, upright.
        """


class FileFinder:
    """Landmarks that a file holds.

    The file is JSON: ``{"a.jpg": [[[x, y], … 68 points], … one list per face], …}``,
    with the names that the pictures have in their folder (``sub/a.jpg``) and pixels of
    the picture after its EXIF orientation was applied. An ``align.json`` is read as
    well.

    Args:
        path: the file.

    Attributes:
        names: the pictures that it knows.

    Raises:
        UserError: it cannot be read, or is not of that format (names all offenders).
    """

    def __init__(self, path: str | os.PathLike):
        self.path = str(path)
        document = read_json(path, "a landmarks file")
        if isinstance(document, dict) and isinstance(document.get("pictures"), dict):
            document = {
                name: [face.get("landmarks") for face in entry.get("faces", [])]
                for name, entry in document["pictures"].items()
                if isinstance(entry, dict) and entry.get("faces")
            }
        if not isinstance(document, dict):
            raise UserError(
                f"{path} is not a landmarks file: it must be one JSON object, from a "
                "picture's name to a list of faces of 68 points [x, y]."
            )
        self._faces: dict[str, list[Face]] = {}
        wrong = []
        for name, faces in document.items():
            parsed = parse_faces(faces)
            if parsed is None:
                wrong.append(printable(name))
            else:
                self._faces[name] = parsed
        if wrong:
            raise UserError(
                f"{path} does not hold a list of faces of {NUM_POINTS} points [x, y] "
                f"for {', '.join(wrong)}: mend or remove these entries."
            )
        self.names = frozenset(self._faces)

    def find(self, name: str, pixels: np.ndarray) -> list[Face]:
        """Returns the faces that the file gives for ``name``, the largest first."""
        del pixels
        return by_size(self._faces.get(name, []))

    def stamp(self, name: str) -> str:
        """Returns what changes when the landmarks of one picture change."""
        faces = [face.points.tolist() for face in self._faces.get(name, [])]
        return hashlib.sha256(json.dumps(faces).encode()).hexdigest()[:16]


def by_size(faces: list[Face]) -> list[Face]:
    """Sorts faces by the area of their landmarks, the largest first; ties stay."""
    return sorted(faces, key=lambda face: -face.size)


def read_json(path: str | os.PathLike, what: str) -> Any:
    """Parses a JSON file.

    Args:
        path: the file.
        what: what it should be, with its article, for the message.

    Raises:
        UserError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path} cannot be read ({reason}): give {what}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): give {what}.") from error


def parse_faces(faces: Any) -> list[Face] | None:
    """Reads a list of faces of 68 points [x, y].

    Args:
        faces: as JSON has it.

    Returns:
        The faces; None where it is anything else, or has no finite coordinates.
    """
    if not isinstance(faces, list):
        return None
    parsed = []
    for face in faces:
        try:
            points = np.array(face, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            return None
        if points.shape != (NUM_POINTS, 2) or not np.all(
            np.abs(points) <= _MAX_COORDINATE
        ):
            return None
        parsed.append(Face(points))
    return parsed
