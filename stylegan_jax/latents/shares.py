"""Shares of faces: as people write them, drawn at random, and on the way from blend
to blend.

A row of shares says how much of each face a blend has. Only ratios count, so rows are
brought to a sum of 1 of their absolute values.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from stylegan_jax.errors import UsageError, UserError, printable
from stylegan_jax.latents.morph import EASINGS

PATHS = ("simplex", "spherical")
# Stream of random numbers under a seed: blends are other draws than latents.
_STREAM = 0x5AFE


def find_face(word: str, names: Sequence[str]) -> int | None:
    """Which face a word means: its name, a part of it that is its alone, or its number.

    Args:
        word: as it was typed. A photo's name may be left without its suffix and its
            folder; names count before numbers, which count from 1.
        names: of all faces.

    Returns:
        Its index; None where no face, or more than one, is meant.
    """
    # A file system may write an accent as a letter of its own, and a keyboard not.
    word = unicodedata.normalize("NFC", word)
    whole = [unicodedata.normalize("NFC", name) for name in names]
    for shorten in _SHORTER:
        short = [shorten(name) for name in whole]
        if short.count(word) == 1:
            return short.index(word)
    if word.isascii() and word.isdigit() and 1 <= int(word[:9]) <= len(names):
        return int(word[:9]) - 1
    return None


def _without_suffix(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last)


def _without_folder(name: str) -> str:
    return name.rpartition("/")[2] or name


# From the whole name of a photo to the shortest.
_SHORTER: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    _without_suffix,
    _without_folder,
    lambda name: _without_suffix(_without_folder(name)),
)


def labels(names: Sequence[str]) -> list[str]:
    """What pictures call faces: number and name, the shortest that tells them apart.

    Args:
        names: of all faces.

    Returns:
        Such as ``1 anna``; `find_face` knows both words.
    """
    return [f"{i} {name}" for i, name in enumerate(short_names(names), 1)]


def short_names(names: Sequence[str]) -> list[str]:
    """The shortest names that tell all faces apart."""
    short = list(names)
    for shorten in _SHORTER:
        shorter = [shorten(name) for name in names]
        if len(set(shorter)) == len(names):
            short = shorter
    return short


def parse_faces(words: Sequence[str], names: Sequence[str]) -> list[int]:
    """The faces that words mean, in their order.

    Args:
        words: names or numbers from 1.
        names: of all faces.

    Raises:
        UsageError: words that mean no face; all are listed, with what is nearest.
    """
    found = [find_face(word.strip(), names) for word in words]
    unknown = [w.strip() for w, face in zip(words, found, strict=True) if face is None]
    if unknown:
        short = short_names(names)
        listed = "; ".join(_nearest(word, short) for word in dict.fromkeys(unknown))
        raise UsageError(
            f"no such face: {listed}. Give names or numbers from 1 to {len(names)} "
            f"({_some(short)})."
        )
    return [face for face in found if face is not None]


def _nearest(word: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, names, 1, 0.5)
    hint = f" (did you mean {printable(near[0])}?)" if near else ""
    return f"'{printable(word)}'{hint}"


def _some(names: Sequence[str]) -> str:
    """The first names; a face space may have hundreds."""
    shown = ", ".join(printable(name) for name in names[:12])
    return f"{shown}, …" if len(names) > 12 else shown


def parse_shares(text: str, names: Sequence[str]) -> np.ndarray:
    """Reads ``a=.6,b=.4`` as shares.

    Args:
        text: faces and their weights, apart by commas; without one it is 1, and a face
            that is named twice has the sum. Negative weights go away from a face,
            beyond what was fitted.
        names: of all faces.

    Returns:
        [N] float64, the absolute values add up to 1.

    Raises:
        UsageError: it is written otherwise, faces are unknown (all are listed), or
            nothing remains.
    """
    # A name may hold commas and equals signs: the whole text goes first.
    if (alone := find_face(text.strip(), names)) is not None:
        return np.eye(len(names))[alone]
    parts = [part.strip() for part in text.split(",") if part.strip()] or [text]
    pairs = [
        part.rpartition("=")[::2] if "=" in part else (part, "1") for part in parts
    ]
    wrong = [f"{face}={weight}" for face, weight in pairs if not _is_number(weight)]
    if wrong:
        raise UsageError(
            f"'{printable(', '.join(wrong))}' has no number as its weight: write "
            "weights like anna=.6,bela=.4, and faces by number (3=.5) where their "
            "names hold commas or equals signs."
        )
    faces = parse_faces([face for face, _ in pairs], names)
    shares = np.zeros(len(names))
    for face, (_, weight) in zip(faces, pairs, strict=True):
        shares[face] += float(weight)
    if not shares.any():
        raise UsageError(
            f"the weights '{printable(text)}' come to nothing, which is nobody: give "
            "at least one face a weight that is not 0."
        )
    return normalised(shares)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def normalised(shares: np.ndarray) -> np.ndarray:
    """Shares [..., N] with absolute values that add up to 1; none may be all zeros."""
    shares = np.asarray(shares, np.float64)
    return shares / np.abs(shares).sum(-1, keepdims=True)


def random_shares(
    num: int, faces: int, *, seed: int = 0, concentration: float = 1.0
) -> np.ndarray:
    """Blends drawn from the simplex, by a symmetric Dirichlet distribution.

    Args:
        num: how many.
        faces: N.
        seed: blend i of a seed is the same whatever ``num`` is.
        concentration: above 0; 1 makes all blends equally likely, less prefers blends
            of few faces, more prefers equal shares.

    Returns:
        [num, N] float64, at least 0, sums of 1.

    Raises:
        UsageError: a number out of range.
    """
    if num < 1:
        raise UsageError(f"at least 1 blend is drawn, got {num}.")
    if not (math.isfinite(concentration) and concentration > 0):
        raise UsageError(f"a concentration is above 0, got {concentration:g}.")
    rows = []
    for i in range(num):
        rng = np.random.default_rng((seed, _STREAM, i))
        # Logs of gamma draws (Marsaglia and Tsang 2000, section 6): small
        # concentrations would round to zeros.
        drawn = rng.standard_gamma(concentration + 1, faces)
        logs = np.log(drawn) + np.log1p(-rng.random(faces)) / concentration
        rows.append(np.exp(logs - logs.max()))
    return normalised(np.stack(rows))


def shares_at(
    stops: np.ndarray,
    codes: np.ndarray,
    times: Sequence[tuple[int, int]],
    frames_per: int,
    *,
    easing: str = "cosine",
    path: str = "simplex",
) -> np.ndarray:
    """The shares of a film's frames.

    On the simplex, shares go straight. Since an encoder sees the direction of its input
    alone, the pictures between two faces are the same on both paths; spherically the
    input turns at an even rate, where straight shares turn it quickest half-way.

    Args:
        stops: [K, N] float64, the blends that the film passes.
        codes: [N, D] the faces' inputs.
        times: of the frames, as `latents.morph.frame_times` gives them.
        frames_per: frames from one stop to the next.
        easing: one of `latents.morph.EASINGS`.
        path: one of `PATHS`.

    Returns:
        [T, N] float64, the absolute values add up to 1; at a stop exactly the stop.

    Raises:
        UsageError: an unknown easing or path.
        UserError: two stops that follow each other are opposite inputs, so that the
            way between them passes nobody.
    """
    if easing not in EASINGS:
        raise UsageError(
            f"unknown easing {easing!r}: choose from {', '.join(EASINGS)}."
        )
    if path not in PATHS:
        raise UsageError(f"unknown path {path!r}: choose from {', '.join(PATHS)}.")
    legs = {key for key, frame in times if frame}
    angles = {key: _angle(stops, codes, key) for key in legs}
    frames = []
    for key, frame in times:
        start, end = stops[key], stops[(key + 1) % len(stops)]
        if frame == 0:
            frames.append(start)
            continue
        share, angle = EASINGS[easing](frame / frames_per), angles[key]
        if path == "simplex" or math.sin(angle) < 1e-6:
            frames.append((1 - share) * start + share * end)
            continue
        ours = math.sin((1 - share) * angle) / np.linalg.norm(start @ codes)
        theirs = math.sin(share * angle) / np.linalg.norm(end @ codes)
        frames.append(ours * start + theirs * end)
    return normalised(np.stack(frames))


def _angle(stops: np.ndarray, codes: np.ndarray, key: int) -> float:
    """The angle between the inputs of a stop and of the next, in radians."""
    after = (key + 1) % len(stops)
    a, b = stops[key] @ codes, stops[after] @ codes
    cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = math.acos(float(np.clip(cosine, -1, 1)))
    if angle > math.pi - 1e-3:
        raise UserError(
            f"the blends {key + 1} and {after + 1} of the film are opposites, and the "
            "way from one to the other passes nobody: put another one between them."
        )
    return angle
