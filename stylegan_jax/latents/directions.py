"""Directions in w without labels, projections among directions, moves along them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stylegan_jax.errors import UserError

# A direction shorter than this share of itself after a projection was in the span.
TINY = 1e-6


def principal_directions(w: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of latents (GANSpace; Härkönen et al. 2020).

    Args:
        w: [N, w_dim], N ≥ 2.
        num: how many, at most the number of rows less 1 and of columns.

    Returns:
        Units [num, w_dim] float64, the widest first, signed by `fix_signs`, and the
        standard deviation of the rows along each, [num] (with N - 1 degrees of
        freedom).

    Raises:
        UserError: there are not as many.
    """
    w = np.asarray(w, np.float64)
    _check_num(num, min(len(w) - 1, w.shape[1]))
    values, vectors = np.linalg.eigh(np.cov(w, rowvar=False).reshape((w.shape[1],) * 2))
    units = vectors[:, ::-1][:, :num].T
    return fix_signs(units), np.sqrt(np.maximum(values[::-1][:num], 0))


def closed_form_directions(
    weights: Sequence[np.ndarray], num: int
) -> tuple[np.ndarray, np.ndarray]:
    """The directions that change styles most (SeFa; Shen and Zhou 2021, equation 6).

    With A the affine weights that turn w into styles, below each other, they are the
    eigenvectors of AᵀA with the largest eigenvalues.

    Args:
        weights: [w_dim, channels] of each layer, as dense layers hold them.
        num: how many, at most w_dim.

    Returns:
        Units [num, w_dim] float64, the largest eigenvalue first, signed by
        `fix_signs`, and the eigenvalues [num].

    Raises:
        UserError: there are not as many.
    """
    w_dim = weights[0].shape[0]
    _check_num(num, w_dim)
    gram = np.zeros((w_dim, w_dim))
    for weight in weights:
        weight = np.asarray(weight, np.float64)
        gram += weight @ weight.T
    values, vectors = np.linalg.eigh(gram)
    return fix_signs(vectors[:, ::-1][:, :num].T), values[::-1][:num]


def fix_signs(units: np.ndarray) -> np.ndarray:
    """Turns each row so that its entry of the largest size is positive.

    An eigenvector's sign is up to the library that computes it.

    Args:
        units: [K, D].

    Returns:
        [K, D].
    """
    largest = np.abs(units).argmax(1)
    signs = np.sign(units[np.arange(len(units)), largest])
    return units * np.where(signs == 0, 1, signs)[:, None]


def deviations(w: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Standard deviation of latents [N, w_dim] along units [K, w_dim]: [K]."""
    return np.std(np.asarray(w, np.float64) @ units.T, axis=0, ddof=1)


def span_of(directions: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what directions span, [R, D] with R ≤ K.

    Directions that depend on the others, and zeros, add nothing.

    Args:
        directions: [K, D].
    """
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    rows = np.divide(
        directions,
        lengths,
        out=np.zeros_like(directions, np.float64),
        where=lengths > 0,
    )
    _, values, basis = np.linalg.svd(rows, full_matrices=False)
    return basis[values > TINY]


def project_out(direction: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Takes what other directions span out of a direction (Shen et al. 2020, 3.2).

    It is exact for the whole span, also where the others are not at right angles. With
    a direction per layer among them it is done in every layer, so that the result has
    nothing of the others in any range of layers.

    Args:
        direction: [w_dim] or [num_ws, w_dim].
        others: [w_dim] or [num_ws, w_dim] each.

    Returns:
        [w_dim], or [num_ws, w_dim] where any of them is; float64, shorter.

    Raises:
        UserError: shapes differ, or nothing is left.
    """
    arrays = [np.asarray(x, np.float64) for x in (direction, *others)]
    shape = max((x.shape for x in arrays), key=len)
    if any(x.shape not in (shape, shape[-1:]) for x in arrays):
        raise UserError(
            "directions of one model are [w_dim] or [num_ws, w_dim], got "
            f"{', '.join(str(list(x.shape)) for x in arrays)}."
        )
    layers = np.stack(
        [np.broadcast_to(x, shape).reshape(-1, shape[-1]) for x in arrays]
    )  # [1+K,L,w_dim]
    left = np.stack([_without(x[0], span_of(x[1:])) for x in layers.swapaxes(0, 1)])
    if np.linalg.norm(left) <= TINY * np.linalg.norm(layers[0]):
        raise UserError(
            "nothing is left of the direction without the others: it is among what "
            "they span."
        )
    return left.reshape(shape)


def _without(x: np.ndarray, basis: np.ndarray) -> np.ndarray:
    # Twice, since the first difference's rounding may have a part in the span.
    for _ in range(2):
        x = x - (x @ basis.T) @ basis
    return x


def without_span(w: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Latents [N, w_dim] without what directions [K, w_dim] span; float64."""
    return _without(np.asarray(w, np.float64), span_of(others))


def move_to_coordinates(
    w_plus: np.ndarray,
    other: np.ndarray,
    directions: Sequence[np.ndarray],
    *,
    layers: Sequence[int] | None = None,
    share: float = 1.0,
) -> np.ndarray:
    """Moves latents within a span until they are where others are in it.

    In every chosen layer the result is w + share · P (other - w), where P projects on
    the span of the directions in that layer. With share 1 the result's product with
    each direction is that of the other latent, and all at right angles to them stays.

    Args:
        w_plus: [N, num_ws, w_dim].
        other: the same shape, or [1, num_ws, w_dim].
        directions: [w_dim] or [num_ws, w_dim] each, at least one.
        layers: the layers that move; None means all.
        share: of the way; 0 moves nothing.

    Returns:
        [N, num_ws, w_dim] float32.

    Raises:
        UserError: shapes differ.
    """
    w_plus = np.asarray(w_plus, np.float32)
    other = np.asarray(other, np.float32)
    shape = w_plus.shape[1:]
    if other.shape[1:] != shape or len(other) not in (1, len(w_plus)):
        raise UserError(
            f"the other face's latents are [1, {shape[0]}, {shape[1]}] or one for each "
            f"of the {len(w_plus)}, got {list(other.shape)}."
        )
    wrong = [x.shape for x in directions if x.shape not in (shape, shape[1:])]
    if wrong or not directions:
        raise UserError(
            f"a direction of this model is [{shape[1]}] or [{shape[0]}, {shape[1]}], "
            f"got {', '.join(str(list(s)) for s in wrong) or 'none'}."
        )
    stacked = np.stack([np.broadcast_to(x, shape) for x in directions])
    moved = w_plus.copy()
    for layer in range(shape[0]) if layers is None else layers:
        basis = span_of(stacked[:, layer])
        way = other[:, layer].astype(np.float64) - w_plus[:, layer]
        moved[:, layer] += (share * (way @ basis.T) @ basis).astype(np.float32)
    return moved


def _check_num(num: int, most: int) -> None:
    if not 1 <= num <= most:
        raise UserError(f"there are from 1 to {most} directions here, got {num}.")
