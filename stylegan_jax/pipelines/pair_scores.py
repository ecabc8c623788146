"""Figures of pairs: how far apart the two pictures are, and how sharp."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.drawing import pad
from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.weights import THERE, weights_path, weights_state
from stylegan_jax.errors import UsageError
from stylegan_jax.models.features import lpips

LPIPS, IDENTITY = "lpips_alex", "arcface_irse50"
# Pictures that a network looks at together: always as many, since rounding depends on
# shapes, and a score on its pair alone.
TILE = 8
# ITU-R BT.601, as Pillow's mode L.
LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Curation:
    """Which pairs are kept.

    Attributes:
        lpips: (low, high): pairs that are nearer show no change, those farther apart
            are not of one face.
        identity: smallest cosine between the identities of the two faces.
        sharpness: smallest share of the set's median sharpness, on either side.
    """

    lpips: tuple[float, float] = (0.05, 0.8)
    identity: float = 0.1
    sharpness: float = 0.3

    def check(self) -> None:
        """Raises `UsageError` where a bound makes no sense."""
        low, high = self.lpips
        if not 0 <= low < high:
            raise UsageError(
                f"the LPIPS band is two numbers from 0 up, the lower one first, got "
                f"{low} and {high}."
            )
        if not -1 <= self.identity <= 1 or not 0 <= self.sharpness <= 1:
            raise UsageError(
                f"the identity is a cosine from -1 to 1 and the sharpness a share from "
                f"0 to 1, got {self.identity} and {self.sharpness}."
            )


def pixel_scores(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Scores that need no network.

    Args:
        a: [H, W, C] uint8.
        b: the same H and W. Where it has other channels, grey is compared with each
            colour and alpha with nothing.

    Returns:
        ``difference``: mean absolute difference, from 0 to 1; ``sharpness_a`` and
        ``sharpness_b``: variance of the Laplacian of the luma, which is from 0 to 1.
    """
    x, y = (side.astype(np.int32) for side in (a, b))
    if a.shape != b.shape:
        x, y = x[:, :, :3], y[:, :, :3]
    difference = np.abs(x - y).mean() / 255
    return {
        "difference": rounded(difference),
        "sharpness_a": rounded(sharpness(a)),
        "sharpness_b": rounded(sharpness(b)),
    }


def sharpness(image: np.ndarray) -> float:
    """Variance of the 4-neighbour Laplacian of a picture [H, W, C] uint8."""
    x = image[:, :, :3].astype(np.float64) / 255
    luma = x @ np.array(LUMA) if x.shape[2] == 3 else x[:, :, 0]
    inner = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float(np.var(around - 4 * inner)) if inner.size else 0.0


def rounded(value: float) -> float:
    """Six significant digits, which is what a manifest shows."""
    return float(f"{float(value):.6g}")


class Networks:
    """The frozen networks that score pairs, where their weights are in the cache.

    Attributes:
        not_scored: a sentence for every score that cannot be had.
        names: the scores that can.
        record: the beginning of the names of files that keep the scores.
        sides: the pictures that `score` takes.
    """

    record = "scores"
    sides = ("a", "b")

    def __init__(self, image_shape: tuple[int, int, int]):
        """Loads what is there.

        Args:
            image_shape: (H, W, C) of the pictures.

        Raises:
            UserError: stored weights are damaged.
        """
        self.not_scored: list[str] = []
        self._lpips = self._identity = None
        height, width, channels = image_shape
        if channels != 3:
            self.not_scored.append("LPIPS and identity: they need pictures in RGB")
            return
        if min(height, width) < lpips.SMALLEST["alex"]:
            self.not_scored.append("LPIPS: the pictures are too small for it")
        else:
            self._lpips = self._open(LPIPS, "LPIPS")
        self._identity = self._open(IDENTITY, "identity")

    def _open(self, name: str, what: str) -> Any:
        if weights_state(name) != THERE:
            how = "get" if name == LPIPS else "import"
            self.not_scored.append(
                f"{what}: the weights {name} are not in the cache (stylegan-jax "
                f"weights {how} {name})"
            )
            return None
        return load(weights_path(name))

    @property
    def names(self) -> tuple[str, ...]:
        """The scores that `score` gives."""
        found = [("lpips", self._lpips), ("identity", self._identity)]
        return tuple(name for name, network in found if network is not None)

    def score(self, *pictures: np.ndarray) -> list[dict[str, float]]:
        """Scores pairs.

        Args:
            *pictures: sides A and B, both [N, H, W, 3] uint8, N ≥ 1.

        Returns:
            For every pair the scores of `names`: ``lpips`` from 0 up and ``identity``,
            the cosine of the faces' embeddings.
        """
        a, b = pictures
        scores: list[dict[str, float]] = [{} for _ in a]
        ours, theirs = pad(a, TILE), pad(b, TILE)
        for start in range(0, len(ours), TILE):
            x, y = (
                jnp.asarray(part[start : start + TILE], jnp.float32) / 127.5 - 1
                for part in (ours, theirs)
            )
            found: dict[str, np.ndarray] = {}
            if self._lpips is not None:
                found["lpips"] = np.asarray(self._lpips(x, y))
            if self._identity is not None:
                one, two = (
                    np.asarray(self._identity.aligned(side)["embedding"])
                    for side in (x, y)
                )
                found["identity"] = np.sum(one * two, axis=1)
            for i in range(start, min(start + TILE, len(a))):
                scores[i] = {k: rounded(v[i - start]) for k, v in found.items()}
        return scores


def judge(
    lines: Sequence[Mapping[str, Any]], curation: Curation
) -> list[dict[str, Any]]:
    """Says of every pair whether it is kept.

    Args:
        lines: of a manifest, with scores.
        curation: the bounds; those on scores that are not there have no effect.

    Returns:
        The lines with ``keep`` and ``reasons`` anew.
    """
    curation.check()
    sides = ("sharpness_a", "sharpness_b", "sharpness_c")
    medians = {
        side: float(np.median(found))
        for side in sides
        if (found := [x["scores"][side] for x in lines if side in x["scores"]])
    }
    low, high = curation.lpips
    judged = []
    for line in lines:
        scores, reasons = line["scores"], []
        if "lpips" in scores and scores["lpips"] < low:
            reasons.append(f"LPIPS {scores['lpips']:.3f} is below {low:g}: no change")
        if "lpips" in scores and scores["lpips"] > high:
            reasons.append(f"LPIPS {scores['lpips']:.3f} is above {high:g}: too far")
        if scores.get("identity", 1.0) < curation.identity:
            reasons.append(
                f"identity {scores['identity']:.3f} is below {curation.identity:g}"
            )
        for side in medians:
            least = curation.sharpness * medians[side]
            if scores.get(side, least) < least:
                reasons.append(
                    f"{side[-1].upper()} is blurred: sharpness {scores[side]:.3g} is "
                    f"below {least:.3g}"
                )
        judged.append({**line, "keep": not reasons, "reasons": reasons})
    return judged
