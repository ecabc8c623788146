"""Some pairs of the data, to be looked at and measured by observers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.data.mixture import Weighted

# Arrays by name, such as source and target, [N, …] each.
Pairs = Mapping[str, np.ndarray]


def some_pairs(data: Weighted, num: int, seed: int) -> dict[str, np.ndarray]:
    """Up to ``num`` different pairs of the data, in an order made of the seed."""
    places = [(dataset, i) for dataset, _ in data for i in range(dataset.num_images)]
    order = np.random.default_rng(seed).permutation(len(places))[:num]
    items: list[Any] = [places[k][0][places[k][1]] for k in order]
    return {name: np.stack([item[name] for item in items]) for name in items[0]}


def batches(pairs: Pairs, size: int) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Batches of one size, filled up from the first pairs, and how many count."""
    num = len(pairs["target"])
    for start in range(0, num, size):
        rows = np.arange(start, start + size) % num
        batch = {name: value[rows] for name, value in pairs.items()}
        yield batch, min(size, num - start)


def parts_of(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """A sequence in parts of one size; the last may be shorter."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def cell_of(pictures: np.ndarray) -> int:
    """Side at which pictures [N, H, W, C] stand in a grid, in pixels."""
    return max(96, min(256, pictures.shape[1]))
