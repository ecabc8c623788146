"""Where the labels of a map go: near their points, none over another."""

from __future__ import annotations

import numpy as np

# Boxes are pushed apart so often before they are put on a grid instead; so many of
# them, since rounds take the longer the more there are and come to rest the less.
ROUNDS, PUSHED = 300, 150


def place_boxes(
    points: np.ndarray, box: tuple[float, float], page: tuple[float, float]
) -> np.ndarray:
    """Centres of equal boxes near points, inside a page, none over another.

    1. Boxes that overlap push each other apart, along the axis where that is less.
    2. Where that does not come to rest, or they are many, they go to the places of a
       grid, so that the sum of the squared ways is least.

    Args:
        points: [N, 2] float64, x and y in pixels of the page.
        box: width and height of every box, its gap included.
        page: width and height; N boxes must fit on a grid in it (`boxes_that_fit`).

    Returns:
        [N, 2] float64.
    """
    size, room = np.array(box), np.array(page)
    assert len(points) <= boxes_that_fit(box, page)
    low, high = size / 2, room - size / 2
    # Boxes at one point have no direction to be pushed in: a hair apart, by number.
    angle = 2.4 * np.arange(len(points))
    hair = 1e-3 * np.stack([np.cos(angle), np.sin(angle)], 1)
    centres = np.clip(points + hair, low, high)
    for _ in range(ROUNDS if len(points) <= PUSHED else 0):
        pushes = _pushes(centres, size)
        if not pushes.any():
            return centres
        centres = np.clip(centres + pushes, low, high)
    return _on_a_grid(points, size, room)


def boxes_that_fit(box: tuple[float, float], page: tuple[float, float]) -> int:
    """How many boxes a grid in a page has room for."""
    return int(page[0] // box[0]) * int(page[1] // box[1])


def overlaps(centres: np.ndarray, size: np.ndarray) -> np.ndarray:
    """By how much pairs of boxes overlap on each axis: [N, N, 2], 0 where they don't.

    Args:
        centres: [N, 2].
        size: [2], width and height.
    """
    apart = np.abs(centres[:, None] - centres[None])  # [N,N,2]
    over = size - apart
    over[~(over > 1e-6).all(2)] = 0
    over[np.diag_indices(len(centres))] = 0
    return over


def _pushes(centres: np.ndarray, size: np.ndarray) -> np.ndarray:
    """How far every box moves in one round: [N, 2]."""
    over = overlaps(centres, size)
    away = np.where(centres[:, None] >= centres[None], 1.0, -1.0)
    least = over == over.min(2, keepdims=True)
    least[..., 1] &= ~least[..., 0]
    # Half each, and a little more, so that rounding does not keep them touching.
    return (0.55 * over * away * least).sum(1)


def _on_a_grid(points: np.ndarray, size: np.ndarray, room: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    columns, rows = (room // size).astype(int)
    step = room / (columns, rows)
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    places = (np.stack([x.ravel(), y.ravel()], 1) + 0.5) * step  # [M,2]
    ways = ((points[:, None] - places[None]) ** 2).sum(2)
    mine, chosen = linear_sum_assignment(ways)
    found = np.empty_like(points)
    found[mine] = places[chosen]
    return found
