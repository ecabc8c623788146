"""Paths between latents: easing, interpolation in z, w or w_plus."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from stylegan_jax.errors import UsageError

SPACES = ("z", "w", "w_plus")
# From the share of the time to the share of the way between two latents, 0 to 1.
EASINGS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "cosine": lambda t: 0.5 - 0.5 * math.cos(math.pi * t),
    # Third and fifth order: at rest at both ends, the fifth without a jerk.
    "smooth": lambda t: t * t * (3 - 2 * t),
    "smoother": lambda t: t**3 * (10 - 15 * t + 6 * t * t),
}


def frame_times(keys: int, frames_per: int, *, loop: bool) -> list[tuple[int, int]]:
    """The frames of a film, as (key, frame after it).

    Args:
        keys: latents that the film passes, in order.
        frames_per: frames from one to the next.
        loop: whether it goes back to the first one, whose frame is not repeated, so
            that the film can run in a circle.

    Returns:
        keys · frames_per frames in a loop, else (keys - 1) · frames_per + 1.

    Raises:
        UsageError: fewer than two latents, or no frames.
    """
    if keys < 2:
        raise UsageError("a film needs at least two latents to move between.")
    if frames_per < 1:
        raise UsageError(f"there is at least 1 frame per step, got {frames_per}.")
    steps = keys if loop else keys - 1
    times = [(key, frame) for key in range(steps) for frame in range(frames_per)]
    return times if loop else [*times, (keys - 1, 0)]


def latents_at(
    latents: np.ndarray,
    times: list[tuple[int, int]],
    frames_per: int,
    *,
    easing: str = "linear",
    spherical: bool = False,
) -> np.ndarray:
    """The latents of frames.

    Args:
        latents: [K, …] float32, the keys.
        times: of the frames, see `frame_times`; the key after the last is the first.
        frames_per: frames from one key to the next.
        easing: one of `EASINGS`.
        spherical: along great circles (Shoemake 1985) and not straight lines, as is
            right for z, whose length has no meaning to a generator.

    Returns:
        [N, …] float32; at a key itself exactly that key.

    Raises:
        UsageError: an unknown easing.
    """
    if easing not in EASINGS:
        raise UsageError(
            f"unknown easing {easing!r}: choose from {', '.join(EASINGS)}."
        )
    between = slerp if spherical else lerp
    frames = []
    for key, frame in times:
        start, end = latents[key], latents[(key + 1) % len(latents)]
        share = EASINGS[easing](frame / frames_per)
        frames.append(start if frame == 0 else between(start, end, share))
    return np.stack(frames).astype(np.float32)


def lerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """The point at a share of the straight way."""
    return start + np.float32(share) * (end - start)


def slerp(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """The point at a share of the arc between two vectors; lengths go straight.

    Args:
        start: [D], not zero.
        end: [D], not zero.
        share: from 0 to 1.

    Returns:
        [D].
    """
    a, b = start.astype(np.float64), end.astype(np.float64)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    cosine = float(np.clip(np.dot(a, b) / (lengths[0] * lengths[1]), -1, 1))
    angle = math.acos(cosine)
    # Where the arc is none or not unique, the straight way is as good as any.
    if math.sin(angle) < 1e-6:
        return lerp(start, end, share)
    ours = math.sin((1 - share) * angle) / math.sin(angle)
    theirs = math.sin(share * angle) / math.sin(angle)
    length = lengths[0] + share * (lengths[1] - lengths[0])
    point = ours * a / lengths[0] + theirs * b / lengths[1]
    return (length * point).astype(np.float32)
