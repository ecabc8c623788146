"""How the numbers of `toy_measure.ToyReader` are made: from faces that are drawn.

``python -m stylegan_jax.data.toy_calibration`` rewrites ``toy_numbers.py``, in some
minutes; to be run when the drawing or the measuring changes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, ImageFilter

from stylegan_jax.data import toy, toy_measure
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.data.toy_canvas import Style

# The seeds are far from any that the program draws by itself.
NUM, FIRST_SEED = 4000, 20_000_000
# Lines are drawn a whole number of pixels wide, so each size has its own proportions.
SIZES = (32, 64)
# Of the face: half of the faces are learned blurred too, as a generator draws them.
BLUR = 0.02
# Of the ridge regressions, whose terms have unit variance.
RIDGE = {"smile": 0.01, "skin": 1e-4, "style": 0.01}


def calibrate(
    num: int = NUM, *, first_seed: int = FIRST_SEED, progress: Progress = False
) -> dict[str, np.ndarray]:
    """Regresses the known attributes of drawn faces on what `toy_measure.look` sees.

    Args:
        num: faces in each style.
        first_seed: of the first.
        progress: False, True, or called with (done, total).

    Returns:
        Weights of `toy_measure.ToyReader`, by name.
    """
    weights: dict[str, np.ndarray] = {}
    seen: dict[str, dict[str, np.ndarray]] = {}
    for style in get_args(Style):
        pictures, truth = _faces(style, num, first_seed, progress)
        seen[style] = _looked_at(pictures)
        for name, terms in (("smile", "mouth"), ("skin", "skin")):
            target = np.array([face[name] for face in truth])
            weights[f"{name}_{style}"] = _ridge(seen[style][terms], target, RIDGE[name])
    both = np.concatenate([seen["photo"]["style"], seen["comic"]["style"]])
    is_comic = np.repeat([0.0, 1.0], len(both) // 2)
    weights["style"] = _ridge(both, is_comic, RIDGE["style"])
    return weights


def _faces(
    style: Style, num: int, first_seed: int, progress: Progress
) -> tuple[list[np.ndarray], list[dict]]:
    """Pictures and attributes of faces, then those of blurred ones."""

    def face(index: int) -> tuple[Image.Image, dict]:
        size = SIZES[index % len(SIZES)]
        return toy.draw(first_seed + index, style, size)

    drawn = list(ordered_map(face, num, progress=progress, label=f"drawing {style}"))
    # Every size has blurred ones.
    drawn += [
        (image.filter(ImageFilter.GaussianBlur(BLUR * image.width)), truth)
        for image, truth in drawn[: num // 2]
    ]
    return [np.asarray(image) for image, _ in drawn], [truth for _, truth in drawn]


def _looked_at(pictures: list[np.ndarray], chunk: int = 250) -> dict[str, np.ndarray]:
    """What is seen in pictures of several sizes, in their order."""
    order, parts = [], []
    for size in SIZES:
        places = [i for i, picture in enumerate(pictures) if len(picture) == size]
        for start in range(0, len(places), chunk):
            part = places[start : start + chunk]
            order += part
            parts.append(toy_measure.look(np.stack([pictures[i] for i in part])))
    back = np.argsort(order)
    return {name: np.concatenate([p[name] for p in parts])[back] for name in parts[0]}


def _ridge(terms: np.ndarray, target: np.ndarray, strength: float) -> np.ndarray:
    """Weights of [N, K] terms, whose first is a 1 that goes free."""
    mean, deviation = terms[:, 1:].mean(0), terms[:, 1:].std(0) + 1e-6
    scaled = (terms[:, 1:] - mean) / deviation
    square = scaled.T @ scaled + strength * len(terms) * np.eye(scaled.shape[1])
    found = np.linalg.solve(square, scaled.T @ (target - target.mean())) / deviation
    return np.concatenate([[target.mean() - mean @ found], found])


def source_of(weights: Mapping[str, np.ndarray], origin: str) -> str:
    """The text of ``toy_numbers.py``.

    Args:
        weights: as `calibrate` returns them.
        origin: how they were made, for provenance.
    """
    numbers = " ".join(f"{x:.4g}" for values in weights.values() for x in values)
    lengths = "".join(f'    "{k}": {len(v)},\n' for k, v in weights.items())
    return (
        '"""Numbers of `toy_measure`; written by `toy_calibration`, not by hand."""\n\n'
        f'ORIGIN = "{origin}"\n'
        "# How many belong to what, in this order.\n"
        f"LENGTHS = {{\n{lengths}}}\n"
        f'NUMBERS = """\n{textwrap.fill(numbers, 88)}\n"""\n'
    )


def main() -> None:
    """Rewrites the numbers."""
    origin = (
        f"ridge regression on {NUM} toy faces of each style, seeds from {FIRST_SEED}"
    )
    text = source_of(calibrate(progress=True), origin)
    (Path(__file__).parent / "toy_numbers.py").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
