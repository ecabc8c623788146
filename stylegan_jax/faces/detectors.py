"""dlib's two face detectors, what they see put together, and its 68 landmarks.

``hog`` (Dalal and Triggs 2005; King 2015) is quick and sees frontal faces. ``cnn``
(King 2015, "Max-margin object detection", on a small network) also sees profiles,
bowed heads and faces behind hair, takes ten times as long, and sees no small ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from stylegan_jax.errors import MissingExtra, UsageError
from stylegan_jax.faces.landmarks import NUM_POINTS, Face, by_size
from stylegan_jax.faces.quad import NoSquare, ffhq_quad

# "auto" asks hog, and cnn too where hog sees nothing or every face is wanted; without
# cnn's weights it is hog alone. "both" asks both about every picture.
DETECTORS = ("auto", "hog", "cnn", "both")
# Of either detector; dlib's own is 0. hog: of 800 FFHQ photos at 256 px 12 score less
# than 0.2 and 4 less than 0; patterns that are no faces, such as a badge, score up to
# 0.15. cnn: of 150 FFHQ photos each portrayed face scores more than 0.8, people cut off
# by the edge less, and nothing else scores anything.
THRESHOLD = 0.2
WEIGHTS = "shape_predictor_68"
CNN_WEIGHTS = "mmod_human_face_detector"
# hog finds faces from about 80 px on; looking at the picture doubled finds them from
# 40 px on. Above this many pixels doubling costs gigabytes and minutes.
MAX_DOUBLED_PIXELS = 4_000_000
# cnn looks at a picture made so large, or doubled at most: its time goes with the
# pixels (about 7 s of a core for a million). It sees faces from about 80 px on, so a
# tenth of the longer side; smaller ones are left to hog.
CNN_PIXELS = 500_000
# cnn's boxes lie higher than hog's, which the landmarks were trained with: the median
# over FFHQ, in sides of cnn's box.
CNN_DOWN, CNN_SCALE = 0.05, 0.95
# Boxes are one face where they share more of the smaller one than this.
SAME_FACE = 0.5
# The landmarks were trained with faces that are about upright: of one that is turned
# by more degrees they are found again in the picture turned back (of 150 photos of
# FFHQ none is by more than 3).
MAX_TILT = 15.0

# Left, top, right, bottom in pixels.
Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Detection:
    """One face that a detector saw.

    Attributes:
        box: in pixels of the picture, as hog would draw it.
        scores: detector → its score; the one that drew the box comes first.
    """

    box: Box
    scores: dict[str, float]


def at_hand(detector: str) -> tuple[str, ...]:
    """The detectors that a choice stands for here.

    Args:
        detector: one of `DETECTORS`.

    Returns:
        ``hog``, ``cnn`` or both, in the order in which they are asked.

    Raises:
        UsageError: there is no such choice.
    """
    if detector not in DETECTORS:
        choices = ", ".join(DETECTORS)
        raise UsageError(f"detector is {detector!r}: choose from {choices}.")
    if detector == "auto":
        from stylegan_jax.checkpoints.weights import THERE, weights_state

        return ("hog", "cnn") if weights_state(CNN_WEIGHTS) == THERE else ("hog",)
    return ("hog", "cnn") if detector == "both" else (detector,)


def merge(first: Sequence[Detection], second: Sequence[Detection]) -> list[Detection]:
    """Puts what two detectors saw together, each face once.

    Args:
        first: faces whose boxes stay.
        second: a face among them that lies over one of ``first`` adds its scores to
            the one it shares most with; the others are further faces.

    Returns:
        The faces of ``first`` in their order, then the further ones.
    """
    scores = [dict(detection.scores) for detection in first]
    further = []
    for detection in second:
        shares = [shared(detection.box, other.box) for other in first]
        best = int(np.argmax(shares)) if shares else 0
        if shares and shares[best] > SAME_FACE:
            for name, score in detection.scores.items():
                scores[best][name] = max(score, scores[best].get(name, score))
        else:
            further.append(detection)
    kept = [Detection(d.box, s) for d, s in zip(first, scores, strict=True)]
    return kept + further


def shared(one: Box, two: Box) -> float:
    """The share of the smaller of two boxes that lies in the other, 0 to 1."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (one, two))
    if width <= 0 or height <= 0 or smaller <= 0:
        return 0.0
    return width * height / smaller


class DlibFinder:
    """dlib's face detectors and its 68-point shape predictor.

    Args:
        threshold: detections must score more; see `THRESHOLD`.
        detector: one of `DETECTORS`.
        every: whether every face is wanted, which ``auto`` asks both detectors for.

    Raises:
        MissingExtra: dlib is not installed.
        UsageError: there is no such detector.
        UserError: weights that are needed are not in the cache.
    """

    def __init__(
        self,
        threshold: float = THRESHOLD,
        *,
        detector: str = "auto",
        every: bool = False,
    ):
        asked = at_hand(detector)
        try:
            import dlib
        except ImportError as error:
            raise MissingExtra("dlib", "faces", "Finding faces") from error
        from stylegan_jax.checkpoints.weights import weights_path

        self._dlib = dlib
        self._threshold = threshold
        self._always = every or detector == "both"
        self._predictor = dlib.shape_predictor(str(weights_path(WEIGHTS)))
        self._hog = dlib.get_frontal_face_detector() if "hog" in asked else None
        self._cnn = None
        if "cnn" in asked:
            path = str(weights_path(CNN_WEIGHTS))
            self._cnn = dlib.cnn_face_detection_model_v1(path)

    def find(self, name: str, pixels: np.ndarray) -> list[Face]:
        """Returns the faces that dlib sees, the largest first."""
        del name
        seen = self._see_hog(pixels)
        if self._cnn is not None and (self._always or not seen):
            seen = merge(seen, self._see_cnn(pixels))
        found = []
        for detection in seen:
            points = self._mark(pixels, detection.box)
            if abs(angle := tilt(points)) > MAX_TILT:
                points = turned_back(self._mark, pixels, detection.box, angle)
            found.append(Face(points, detection.scores))
        return by_size(found)

    def _mark(self, pixels: np.ndarray, box: Box) -> np.ndarray:
        """The landmarks [68, 2] of the face in a box."""
        around = self._dlib.rectangle(*(round(edge) for edge in box))
        shape = self._predictor(pixels, around)
        points = [(shape.part(i).x, shape.part(i).y) for i in range(NUM_POINTS)]
        return np.array(points, np.float64)

    def _see_hog(self, pixels: np.ndarray) -> list[Detection]:
        if self._hog is None:
            return []
        height, width = pixels.shape[:2]
        doublings = int(height * width <= MAX_DOUBLED_PIXELS)
        boxes, scores, _ = self._hog.run(pixels, doublings, self._threshold)
        return [
            Detection(_edges(box), {"hog": float(score)})
            for box, score in zip(boxes, scores, strict=True)
        ]

    def _see_cnn(self, pixels: np.ndarray) -> list[Detection]:
        assert self._cnn is not None
        height, width = pixels.shape[:2]
        scale = min(2.0, math.sqrt(CNN_PIXELS / (height * width)))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
        return [
            Detection(as_hog(_edges(one.rect), scale), {"cnn": float(one.confidence)})
            for one in self._cnn(np.asarray(image), 0)
            if one.confidence > self._threshold
        ]


def tilt(points: np.ndarray) -> float:
    """Degrees by which a face is turned in the picture's plane, clockwise.

    Args:
        points: [68, 2] landmarks.

    Returns:
        0 for a face that is upright, or whose landmarks fall together.
    """
    try:
        corners = ffhq_quad(points)
    except NoSquare:
        return 0.0
    across = corners[3] - corners[0]
    return math.degrees(math.atan2(across[1], across[0]))


def turned_back(
    mark: Callable[[np.ndarray, Box], np.ndarray],
    pixels: np.ndarray,
    box: Box,
    angle: float,
) -> np.ndarray:
    """Landmarks of a tilted face, found where it is upright.

    Args:
        mark: finds the landmarks of the face in a box of a picture.
        pixels: [H, W, 3] uint8.
        box: of the face.
        angle: degrees by which the face is turned clockwise.

    Returns:
        [68, 2] float64, in pixels of the picture.
    """
    half = (box[2] - box[0]) / 2
    x, y = round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2)
    # Three sides of the box across: its surroundings stay in whatever the angle.
    reach = math.ceil(3 * half)
    patch = Image.fromarray(pixels).crop(
        (x - reach, y - reach, x + reach + 1, y + reach + 1)
    )
    turned = np.asarray(patch.rotate(angle, Image.Resampling.BILINEAR))
    inner = (reach - half, reach - half, reach + half, reach + half)
    points = mark(turned, inner) - reach
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def as_hog(box: Box, scale: float) -> Box:
    """The box that hog would draw around the face of one of cnn's.

    Args:
        box: cnn's, in pixels of a picture ``scale`` times as large.
        scale: above 0.

    Returns:
        In pixels of the picture itself.
    """
    left, top, right, bottom = (edge / scale for edge in box)
    side = right - left
    x, y = (left + right) / 2, (top + bottom) / 2 + CNN_DOWN * side
    half = side * CNN_SCALE / 2
    return x - half, y - half, x + half, y + half


def _edges(box: Any) -> Box:
    """The edges of one of dlib's rectangles."""
    return box.left(), box.top(), box.right(), box.bottom()
