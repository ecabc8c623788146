"""Narrow layers on a TPU: several pixels of a row side by side on its 128 lanes.

A TPU lays the last axis over 128 lanes, so [N, H, W, 32] fills a quarter of what it
occupies and of what is moved. The same bytes as [N, H, W/4, 128] fill all of it, and a
convolution of pixels is one of such groups: its kernel has the pixels' taps where two
pixels of neighbouring groups meet, zeros elsewhere. Kernels that follow each other hand
groups on: XLA cancels the two reshapes between them.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from stylegan_jax.ops.modulated_conv2d.problem import Problem, phase_taps

LANES = 128


def together(problem: Problem) -> int:
    """Pixels of x in a group, 1 for none: where groups fill the lanes in x and y."""
    _, _, width, inputs = problem.x
    group = LANES // inputs
    whole = inputs * group == LANES and width % group == 0
    if not whole:
        return 1
    if problem.w[0] == 1:
        return group
    fills = problem.w[3] * group * problem.up == LANES
    return group if fills else 1


def is_narrow(problem: Problem) -> bool:
    """Whether its groups, and not its pixels, lie on the lanes, in x or in y."""
    fills = problem.x[3] == problem.w[3] * problem.up == LANES
    return together(problem) > 1 or (problem.up == 2 and fills)


def grouped(problem: Problem) -> Problem:
    """The problem between groups, its columns of y in its channels; or as it is."""
    if not is_narrow(problem):
        return problem
    group = together(problem)
    n, height, width, inputs = problem.x
    return dataclasses.replace(
        problem,
        x=(n, height, width // group, group * inputs),
        w=(*problem.w[:2], group * inputs, group * problem.up * problem.w[3]),
    )


def group_kernel(w: jax.Array, group: int, taps: tuple[float, ...]) -> jax.Array:
    """The kernel between groups: [3, 3, group I, up group O], float32.

    Args:
        w: [3, 3, I, O].
        group: pixels of x in a group.
        taps: four low-pass taps for ``up=2``, whose columns (not rows) are then part of
            the kernel; empty for a convolution at x's size.
    """
    # Pixel v of the result's group is phase v % up at x's pixel v // up.
    phases = np.asarray(phase_taps(taps)) if taps else np.eye(3)[None]
    up = len(phases)
    place = np.zeros((3, group, up * group, 3), np.float32)
    for neighbour in range(3):
        for u in range(group):
            for v in range(up * group):
                offset = 1 + group * (neighbour - 1) + u - v // up
                if 0 <= offset < 3:
                    place[neighbour, u, v] = phases[v % up, offset]
    wide = jnp.einsum(
        "cuvb,abio->acuivo",
        place,
        w.astype(jnp.float32),
        precision=lax.Precision.HIGHEST,
    )
    return wide.reshape(3, 3, group * w.shape[2], up * group * w.shape[3])


def group_pointwise_kernel(w: jax.Array, group: int) -> jax.Array:
    """[1, 1, I, O] to [1, 1, group I, group O]: each pixel of a group on its own."""
    wide = jnp.einsum("uv,io->uivo", jnp.eye(group), w[0, 0].astype(jnp.float32))
    return wide.reshape(1, 1, group * w.shape[2], group * w.shape[3])
