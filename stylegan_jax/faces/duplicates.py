"""Near-duplicates among pictures, by perceptual hash and, where asked, by LPIPS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

# Two pictures whose hashes differ in more bits are not even looked at by LPIPS. Of
# FFHQ's 256 px photos no two are closer than 12 bits, and recompressed, resized or
# brightened copies of one are 0 to 8 apart.
LPIPS_BITS = 16
LPIPS_SIDE = 128
_BATCH = 16

# Given the indices of one picture and of others: the LPIPS distances.
Distance = Callable[[int, Sequence[int]], np.ndarray]


def near_duplicates(
    hashes: Sequence[int],
    order: Sequence[int],
    *,
    bits: int,
    lpips: float | None = None,
    distance: Distance | None = None,
) -> dict[int, tuple[int, str]]:
    """Chooses which pictures to leave out so that no two alike remain.

    Goes through the pictures in ``order`` and leaves out each that is alike to one that
    stays, so that the first of every group stays.

    Args:
        hashes: `quality.perceptual_hash` of each picture.
        order: the indices to look at, the best first.
        bits: pictures whose hashes differ in at most so many bits are alike.
        lpips: pictures whose hashes differ in at most `LPIPS_BITS` bits and whose LPIPS
            distance is at most this are alike as well; None asks the hashes alone.
        distance: gives the LPIPS distances; needed with ``lpips``.

    Returns:
        Index of a picture to leave out → the index it is alike to, and how close.
    """
    values = np.array(hashes, np.uint64)
    kept = np.zeros(len(order), np.int64)
    number = 0
    found: dict[int, tuple[int, str]] = {}
    for index in order:
        stay = kept[:number]
        differ = np.bitwise_count(values[stay] ^ values[index])
        nearest = int(np.argmin(differ)) if number else -1
        if number and differ[nearest] <= bits:
            close = f"{differ[nearest]} of 64 bits differ"
            found[index] = (int(stay[nearest]), close)
            continue
        if lpips is not None and distance is not None:
            others = stay[differ <= LPIPS_BITS].tolist()
            distances = distance(index, others) if others else np.zeros(0)
            if len(distances) and distances.min() <= lpips:
                nearest = int(np.argmin(distances))
                found[index] = (others[nearest], f"LPIPS {distances[nearest]:.3f}")
                continue
        kept[number] = index
        number += 1
    return found


def lpips_distance(read: Callable[[int], np.ndarray]) -> Distance:
    """LPIPS (AlexNet; Zhang et al. 2018) between pictures by their indices.

    Args:
        read: returns [`LPIPS_SIDE`, `LPIPS_SIDE`, 3] uint8.

    Raises:
        UserError: the weights lpips_alex are not in the cache; says how to get them.
    """
    from stylegan_jax.checkpoints.load import load
    from stylegan_jax.checkpoints.weights import weights_path

    network = load(weights_path("lpips_alex"))

    def distance(index: int, others: Sequence[int]) -> np.ndarray:
        x = _unit(read(index)[None])
        found = []
        for start in range(0, len(others), _BATCH):
            some = others[start : start + _BATCH]
            y = _unit(np.stack([read(other) for other in some]))
            # One shape for all: jit compiles once.
            full = np.concatenate([y, np.repeat(y[-1:], _BATCH - len(some), axis=0)])
            values = network(np.broadcast_to(x, full.shape), full)
            found.append(np.asarray(values).reshape(-1)[: len(some)])
        return np.concatenate(found)

    return distance


def _unit(pixels: np.ndarray) -> np.ndarray:
    """From uint8 to float32 in [−1, 1]."""
    return pixels.astype(np.float32) / 127.5 - 1
