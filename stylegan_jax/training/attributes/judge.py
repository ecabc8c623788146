"""How good readings are: accuracy and AUC, error and correlation."""

from __future__ import annotations

import numpy as np

from stylegan_jax.models.attributes import BINARY


def judge(kind: str, read: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Figures of one attribute.

    Args:
        kind: ``binary`` or ``number``.
        read: [N] probabilities, or numbers in the data's units.
        true: [N] 0 and 1, or numbers.

    Returns:
        ``accuracy`` (a probability of 1/2 or more counts as 1), ``accuracy_balanced``
        (the mean over both classes) and ``auc``, or ``mae``, ``correlation`` and
        ``spearman``. What is not defined, such as the AUC of a single class, is left
        out.
    """
    read, true = np.asarray(read, np.float64), np.asarray(true, np.float64)
    if kind == BINARY:
        right = (read >= 0.5) == (true >= 0.5)
        found = {"accuracy": float(right.mean())}
        ones = true >= 0.5
        if 0 < ones.sum() < len(ones):
            both = (right[ones].mean() + right[~ones].mean()) / 2
            found |= {"accuracy_balanced": float(both), "auc": auc(read, ones)}
        return found
    found = {"mae": float(np.abs(read - true).mean())}
    if np.ptp(read) > 0 and np.ptp(true) > 0:
        found["correlation"] = float(np.corrcoef(read, true)[0, 1])
        found["spearman"] = float(np.corrcoef(ranks(read), ranks(true))[0, 1])
    return found


def auc(read: np.ndarray, ones: np.ndarray) -> float:
    """The share of couples of a 1 and a 0 whose order is right; ties count half.

    Args:
        read: [N] readings.
        ones: [N] bool, some of each.
    """
    many, few = int(ones.sum()), int((~ones).sum())
    above = ranks(read)[ones].sum() - many * (many - 1) / 2
    return float(above / (many * few))


def ranks(values: np.ndarray) -> np.ndarray:
    """Places in ascending order from 0, [N] float64; equals share their mean place."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts) + (ends - 1))[inverse] / 2
