"""Maps of latents: many dimensions laid out in two, near ones near each other.

Four ways. ``random`` and ``pca`` are straight: they turn the space and look at it from
one side, so distances only shrink. ``tsne`` and ``lle`` bend it: they keep neighbours
together, and what lies far apart says little.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stylegan_jax.errors import MissingExtra, UsageError, UserError

# What each is called in captions.
METHODS: Mapping[str, str] = {
    "random": "random orthogonal axes",
    "pca": "principal axes",
    "tsne": "t-SNE",
    "lle": "locally linear embedding",
}
# Bent maps of fewer points are arrangements of nothing.
FEWEST_BENT = 4
PERPLEXITY, NEIGHBOURS = 30.0, 12
# Distances that differ by less of their mean are all the same distance.
SAME_DISTANCE = 1e-4
# Of these pairs of points the distances are looked at.
PAIRS = 4096


@dataclasses.dataclass(frozen=True)
class Map:
    """Points in two dimensions, or as many as were asked for.

    Attributes:
        points: [N, dims] float64, their mean at 0.
        method: one of `METHODS`.
        axes: one name per axis.
        notes: sentences that a caption needs: what was adapted, what it cannot show.
        figures: JSON values by name: ``explained`` (shares of the variance) of pca and
            random; ``perplexity`` and ``kl_divergence`` of tsne; ``neighbours`` and
            ``reconstruction_error`` of lle.
    """

    points: np.ndarray
    method: str
    axes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def lay_out(
    points: np.ndarray,
    method: str,
    *,
    seed: int = 0,
    dims: int = 2,
    perplexity: float | None = None,
    neighbours: int | None = None,
) -> Map:
    """Lays points out in few dimensions; the same for the same seed.

    Args:
        points: [N, D], N ≥ 2; taken as they are, without scaling.
        method: one of `METHODS`.
        seed: of the axes (random) and of the start (tsne, lle).
        dims: how many dimensions the map has.
        perplexity: of tsne: about how many neighbours a point has. None means 30, or
            fewer where there are few points, which is said.
        neighbours: of lle: points that each one is put together from. None means 12,
            or fewer.

    Returns:
        The map.

    Raises:
        UsageError: an unknown method, or a perplexity or neighbours that cannot be.
        UserError: too few points, or numbers that are not finite.
        MissingExtra: tsne and lle without scikit-learn.
    """
    if method not in METHODS:
        raise UsageError(
            f"unknown method {method!r}: choose from {', '.join(METHODS)}."
        )
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise UserError(
            "a map needs at least two points [N, D] of finite numbers, got "
            f"{list(points.shape)}."
        )
    if method in ("tsne", "lle") and len(points) < FEWEST_BENT:
        raise UserError(
            f"{METHODS[method]} needs at least {FEWEST_BENT} points, got {len(points)}:"
            " take pca for so few."
        )
    points = points - points.mean(0)
    notes = tuple(_notes(points, dims))
    if not points.any():
        # Every method would invent an order of what has none.
        axes = tuple(f"axis {i + 1}" for i in range(dims))
        return Map(np.zeros((len(points), dims)), method, axes, notes)
    if points.shape[1] < dims:
        points = np.pad(points, [(0, 0), (0, dims - points.shape[1])])
    if method == "random":
        found = _random(points, dims, seed)
    elif method == "pca":
        found = _pca(points, dims)
    elif method == "tsne":
        found = _tsne(points, dims, seed, perplexity)
    else:
        found = _lle(points, dims, seed, neighbours)
    return dataclasses.replace(found, notes=(*found.notes, *notes))


def random_axes(width: int, dims: int, seed: int) -> np.ndarray:
    """Axes at right angles, every direction as likely as any: [width, dims] float64.

    The Q of a normal matrix's QR, its signs those that make R's diagonal positive
    (Mezzadri 2007, "How to generate random matrices from the classical compact
    groups", section 5).
    """
    normal = np.random.default_rng(seed).standard_normal((width, dims))
    q, r = np.linalg.qr(normal)
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


def principal_axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The axes of the greatest variance of points whose mean is 0.

    Args:
        points: [N, D] float64.

    Returns:
        Axes [min(N, D), D], of which each one's largest entry is positive, and the
        share of the variance of each [min(N, D)].
    """
    _, sizes, axes = np.linalg.svd(points, full_matrices=False)
    largest = np.abs(axes).argmax(1)
    signs = np.where(axes[np.arange(len(axes)), largest] < 0, -1.0, 1.0)
    return axes * signs[:, None], sizes**2 / (sizes**2).sum()


def _random(points: np.ndarray, dims: int, seed: int) -> Map:
    laid = points @ random_axes(points.shape[1], dims, seed)
    shares = (laid**2).sum(0) / (points**2).sum()
    return Map(
        laid,
        "random",
        tuple(f"axis {i + 1} ({_percent(share)})" for i, share in enumerate(shares)),
        (f"{_percent(shares.sum())} of the variance lies in this plane",),
        {"explained": shares.tolist()},
    )


def _pca(points: np.ndarray, dims: int) -> Map:
    axes, shares = principal_axes(points)
    laid = np.zeros((len(points), dims))
    count = min(dims, len(axes))
    laid[:, :count] = points @ axes[:count].T
    told = np.zeros(dims)
    told[:count] = shares[:count]
    return Map(
        laid,
        "pca",
        tuple(f"axis {i + 1} ({_percent(share)})" for i, share in enumerate(told)),
        (f"{_percent(told.sum())} of the variance lies in this plane",),
        {"explained": told.tolist()},
    )


def _tsne(points: np.ndarray, dims: int, seed: int, perplexity: float | None) -> Map:
    """t-SNE (van der Maaten and Hinton 2008), from the principal axes on.

    They are a better start than chance (Kobak and Linderman 2021); the seed moves it
    by a tenth of its size.
    """
    # A third of the points: above it, all of them are everybody's neighbours.
    most = (len(points) - 1) / 3
    value = min(PERPLEXITY, most) if perplexity is None else perplexity
    if not 1 <= value < len(points):
        raise UsageError(
            f"a perplexity is from 1 to below the {len(points)} points, got {value:g}."
        )
    start = _pca(points, dims).points
    start = start / start[:, 0].std() * 1e-4
    start += np.random.default_rng(seed).normal(0, 1e-5, start.shape)

    def fit() -> tuple[np.ndarray, float]:
        from sklearn.manifold import TSNE

        # The exact gradient up to where it becomes slow.
        how = "exact" if len(points) <= 500 or dims > 3 else "barnes_hut"
        model = TSNE(
            n_components=dims,
            perplexity=value,
            init=start.astype(np.float32),
            random_state=seed,
            method=how,
        )
        found = model.fit_transform(points).astype(np.float64)
        return found, float(model.kl_divergence_)

    laid, divergence = _on_one_thread(fit, "A t-SNE map")
    notes = [f"perplexity {value:.3g}"]
    if perplexity is None and value < PERPLEXITY:
        notes[0] += f", fewer than {PERPLEXITY:g} for {len(points)} points"
    return Map(
        laid - laid.mean(0),
        "tsne",
        tuple(f"axis {i + 1}" for i in range(dims)),
        (*notes, "only who is near whom counts"),
        {"perplexity": value, "kl_divergence": divergence},
    )


def _lle(points: np.ndarray, dims: int, seed: int, neighbours: int | None) -> Map:
    """Locally linear embedding (Roweis and Saul 2000)."""
    number = len(points)
    own = min(NEIGHBOURS, max(dims + 1, number // 2), number - 1)
    value = own if neighbours is None else neighbours
    if not 1 <= value < number:
        raise UsageError(
            f"neighbours are from 1 to {number - 1} of {number} points, got {value}."
        )

    def fit() -> tuple[np.ndarray, float]:
        from sklearn.manifold import LocallyLinearEmbedding

        model = LocallyLinearEmbedding(
            n_neighbors=value,
            n_components=min(dims, number - 1),
            random_state=seed,
            eigen_solver="dense" if number <= 1000 else "arpack",
        )
        found = model.fit_transform(points).astype(np.float64)
        return found, float(model.reconstruction_error_)

    laid, wrong = _on_one_thread(fit, "A map by locally linear embedding")
    # Eigenvectors have no sign of their own.
    largest = np.abs(laid).argmax(0)
    laid = laid * np.where(laid[largest, np.arange(laid.shape[1])] < 0, -1.0, 1.0)
    note = f"{value} neighbours"
    if neighbours is None and value < NEIGHBOURS:
        note += f", fewer than {NEIGHBOURS} for {number} points"
    return Map(
        laid - laid.mean(0),
        "lle",
        tuple(f"axis {i + 1}" for i in range(dims)),
        (note, "only who is near whom counts"),
        {"neighbours": value, "reconstruction_error": wrong},
    )


def _on_one_thread(fit: Callable[[], Any], why: str) -> Any:
    """What ``fit`` returns; sums over threads would differ from machine to machine."""
    try:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return fit()
    except ImportError as error:
        if (error.name or "").split(".")[0] not in ("sklearn", "threadpoolctl"):
            raise
        raise MissingExtra("scikit-learn", "maps", why) from error


def _percent(share: float) -> str:
    """A share for people, small ones with two digits."""
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{100 * share:.2g}%"


def _notes(points: np.ndarray, dims: int) -> list[str]:
    """What no map of these points can show."""
    if not points.any():
        return ["all points are the same"]
    notes = []
    if points.shape[1] < dims:
        notes.append(f"the points have {points.shape[1]} dimension")
    first, second = np.triu_indices(min(len(points), 91), 1)
    apart = np.linalg.norm(points[first[:PAIRS]] - points[second[:PAIRS]], axis=1)
    if len(points) > 3 and np.ptp(apart) < SAME_DISTANCE * apart.mean():
        notes.append(
            "all points are equally far apart, so who is near whom here is chance"
        )
    return notes
