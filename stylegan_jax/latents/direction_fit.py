"""Directions from labelled latents: linear classifiers on w (Shen et al. 2020).

All is computed in float64 on the CPU. Latents are centred, which changes nothing since
the offset is free, and divided by one number, their root mean square over all rows and
columns, so that the weight of the squared length means the same in any model.
Columns are not standardised: lengths and angles in w are the model's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stylegan_jax.errors import UsageError, UserError

# Parts for the held-out accuracy, and the smallest class that can be parted so.
FOLDS = 5
# Rows that the accuracy over the number of rows is measured on, and its steps.
HELD_OUT = 0.2
CURVE = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
MAX_STEPS = 200

# Margins y·f(w) to the loss of each row, its slope and its curvature.
Loss = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _logistic(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log(1 + exp(-m)); neither exp overflows."""
    small = np.exp(-np.abs(margin))
    share = np.where(margin > 0, small, 1.0) / (1.0 + small)
    return np.maximum(-margin, 0) + np.log1p(small), -share, share * (1.0 - share)


def _squared_hinge(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """max(0, 1 - m)², the hinge of a linear SVM made smooth."""
    short = np.maximum(1.0 - margin, 0.0)
    return short**2, -2.0 * short, 2.0 * (short > 0)


METHODS: Mapping[str, Loss] = {"logistic": _logistic, "svm": _squared_hinge}


@dataclasses.dataclass(frozen=True)
class Plane:
    """A plane that parts latents: rows with ``w @ normal + offset > 0`` are positive.

    Attributes:
        normal: [w_dim] float64, not zero.
        offset: float.
    """

    normal: np.ndarray
    offset: float

    def scores(self, w: np.ndarray) -> np.ndarray:
        """[N, w_dim] to [N] float64, positive on the positive side."""
        return w @ self.normal + self.offset

    def within(self, mean: np.ndarray, scale: float) -> np.ndarray:
        """Normal and offset, [w_dim + 1], for latents ``(w - mean) / scale``."""
        return np.append(self.normal * scale, self.offset + self.normal @ mean)

    @property
    def unit(self) -> np.ndarray:
        """The normal at length 1."""
        return self.normal / np.linalg.norm(self.normal)


def scale_of(w: np.ndarray) -> float:
    """Root mean square of latents [N, w_dim] around their mean.

    Raises:
        UserError: all latents are one, or not finite.
    """
    scale = float(np.sqrt(np.mean((w - w.mean(0)) ** 2)))
    if not (np.isfinite(scale) and scale > 0):
        raise UserError(
            "the latents are all one and have no directions: draw them with a psi "
            "above 0."
        )
    return scale


def fit_plane(
    w: np.ndarray,
    positive: np.ndarray,
    *,
    method: str = "logistic",
    l2: float = 100.0,
    start: Plane | None = None,
) -> Plane:
    """Fits a plane, with both classes counting alike however many rows they have.

    It minimises the sum of the rows' losses, each times N / (2 · rows of its class),
    plus l2 / 2 times the squared length of the normal, at latents of scale 1. With
    ``logistic`` this is logistic regression; with ``svm`` a linear support vector
    machine with squared hinges.

    Args:
        w: [N, w_dim].
        positive: [N] bool, with both values.
        method: one of `METHODS`.
        l2: at least 0. The default is right for some thousand rows of 512 columns:
            on simulated latents of known directions, as stretched as StyleGAN2's, it
            found them better than 1, 10 or 1000.
        start: a plane of similar rows, which saves time.

    Returns:
        The plane, in the latents' own units.

    Raises:
        UserError: an unknown method, one class only, or no minimum was found.
    """
    from scipy.optimize import minimize

    check_options(method, l2)
    if positive.all() or not positive.any():
        raise UserError("all rows have one label: a direction needs both.")
    w = np.asarray(w, np.float64)
    mean, scale = w.mean(0), scale_of(w)
    x = (w - mean) / scale
    y = np.where(positive, 1.0, -1.0)
    number = len(y)
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    loss = METHODS[method]

    # A column of ones for the offset, whose size costs nothing.
    x = np.column_stack([x, np.ones(number)])
    decays = np.append(np.full(w.shape[1], l2 / number), 0.0)

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        losses, slopes, _ = loss(y * (x @ theta))
        total = float(weight @ losses + 0.5 * decays @ theta**2)
        return total, (weight * slopes * y) @ x + decays * theta

    def hessian(theta: np.ndarray) -> np.ndarray:
        bends = weight * loss(y * (x @ theta))[2]
        return (x.T * bends) @ x + np.diag(decays)

    # Second order: latents are so stretched that gradients alone take thousands of
    # steps.
    found = minimize(
        value,
        np.zeros(x.shape[1]) if start is None else start.within(mean, scale),
        jac=True,
        hess=hessian,
        method="trust-exact",
        options={
            "maxiter": MAX_STEPS,
            "gtol": 1e-8,
            "initial_trust_radius": 10.0,
            "max_trust_radius": 1e6,
        },
    )
    normal = found.x[:-1] / scale
    if np.abs(found.jac).max() > 1e-6 or not np.isfinite(found.x).all():
        raise UserError(f"no plane was found in {MAX_STEPS} steps: give a larger --l2.")
    if not np.linalg.norm(found.x[:-1]) > 1e-9:
        raise UserError("the labels have nothing to do with the latents.")
    return Plane(normal, float(found.x[-1] - normal @ mean))


def check_options(method: str, l2: float) -> None:
    """Raises `UsageError` unless the method is known and l2 a number from 0 up."""
    if method not in METHODS:
        raise UsageError(
            f"unknown method {method!r}: choose from {', '.join(METHODS)}."
        )
    if not (np.isfinite(l2) and l2 >= 0):
        raise UsageError(f"--l2 is a number from 0 up, got {l2:g}.")


def classes_of(
    readings: np.ndarray,
    *,
    binary: bool,
    threshold: float | None = None,
    tails: float = 0.5,
    keep_confident: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Makes two classes of readings.

    Probabilities are positive above 0.5. Numbers are positive above their median, or
    above a threshold; with tails, only the highest and the lowest share count.

    Args:
        readings: [N] finite.
        binary: whether they are probabilities, or 0 and 1.
        threshold: instead of 0.5 or the median.
        tails: from above 0 to 0.5: the share at either end that is used, of numbers.
        keep_confident: from 0.5 to 1: only rows with a probability of at least this,
            or at most 1 less this, are used.

    Returns:
        Whether a row is used, and whether it is positive: [N] bool each.

    Raises:
        UsageError: a number out of its range, or an option of the other kind.
    """
    readings = np.asarray(readings, np.float64)
    used = np.ones(len(readings), np.bool_)
    if binary:
        if tails != 0.5:
            raise UsageError("--tails is for numbers and this attribute is yes or no.")
        if keep_confident is not None:
            if not 0.5 <= keep_confident <= 1:
                raise UsageError(
                    f"--keep-confident is from 0.5 to 1, got {keep_confident:g}."
                )
            used = np.abs(readings - 0.5) >= keep_confident - 0.5 - 1e-6
        return used, readings > (0.5 if threshold is None else threshold)
    if keep_confident is not None:
        raise UsageError(
            "--keep-confident is for probabilities and this attribute is a number: "
            "give --tails 0.3 for its highest and lowest 30 %."
        )
    if not 0 < tails <= 0.5:
        raise UsageError(f"--tails is a share from above 0 to 0.5, got {tails:g}.")
    if threshold is not None:
        if tails != 0.5:
            raise UsageError("give either --threshold or --tails.")
        return used, readings > threshold
    if tails < 0.5:
        low, high = np.quantile(readings, [tails, 1 - tails])
        return (readings <= low) | (readings >= high), readings >= high
    return used, readings > np.median(readings)


def held_out(
    w: np.ndarray,
    positive: np.ndarray,
    readings: np.ndarray,
    *,
    method: str,
    l2: float,
    seed: int = 0,
) -> dict[str, Any]:
    """How well planes part rows that they were not fitted to.

    Args:
        w: [N, w_dim].
        positive: [N] bool, both classes with at least `FOLDS` rows.
        readings: [N] numbers, whose order the scores are compared with.
        method: see `fit_plane`.
        l2: likewise.
        seed: of the order of the rows.

    Returns:
        JSON values: ``accuracy`` (share of rows on the right side) and
        ``balanced_accuracy`` (mean of the two classes' shares), both over all rows in
        `FOLDS` parts, each held out once; ``spearman`` of scores and readings, the mean
        over the parts, null where readings do not vary; ``curve``, [rows, accuracy] of
        planes fitted to fewer rows, measured on the same `HELD_OUT` share of rows.
    """
    order = np.random.default_rng(seed).permutation(len(w))
    whole = fit_plane(w, positive, method=method, l2=l2)
    right = np.zeros(len(w), np.bool_)
    ranks = []
    for part in range(FOLDS):
        test = np.zeros(len(w), np.bool_)
        # Each class is dealt out on its own, so that every part has both.
        for value in (False, True):
            test[order[positive[order] == value][part::FOLDS]] = True
        plane = fit_plane(w[~test], positive[~test], method=method, l2=l2, start=whole)
        scores = plane.scores(w[test])
        right[test] = (scores > 0) == positive[test]
        ranks.append(spearman(scores, readings[test]))
    known = [rank for rank in ranks if rank is not None]
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(
            np.mean([right[positive == value].mean() for value in (False, True)])
        ),
        "spearman": float(np.mean(known)) if known else None,
        "curve": _curve(w, positive, order, method, l2),
    }


def _curve(
    w: np.ndarray, positive: np.ndarray, order: np.ndarray, method: str, l2: float
) -> list[list[float]]:
    cut = max(1, round(HELD_OUT * len(order)))
    test, rest = order[:cut], order[cut:]
    points: list[list[float]] = []
    for share in CURVE:
        rows = rest[: round(share * len(rest))]
        # A plane needs a few rows of either class.
        if min(positive[rows].sum(), (~positive[rows]).sum()) < 2:
            continue
        plane = fit_plane(w[rows], positive[rows], method=method, l2=l2)
        right = (plane.scores(w[test]) > 0) == positive[test]
        points.append([len(rows), float(right.mean())])
    return points


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Rank correlation of [N] and [N], from -1 to 1; None where either is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(x) - (len(x) + 1) / 2 for x in (a, b)]
    lengths = [np.linalg.norm(rank) for rank in ranks]
    if not all(lengths):
        return None
    return float(ranks[0] @ ranks[1] / (lengths[0] * lengths[1]))


def class_distance(w: np.ndarray, positive: np.ndarray, unit: np.ndarray) -> float:
    """Distance of the classes' means along a direction: one step of a strength."""
    w = np.asarray(w, np.float64)
    return float((w[positive].mean(0) - w[~positive].mean(0)) @ unit)
