"""Bytes that a kernel's pipeline moves: the blocks that its grid asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import jax.numpy as jnp

Index = Callable[..., tuple[int, ...]]


def block_bytes(
    grid: Sequence[int], block: Sequence[int], index: Index, itemsize: int
) -> int:
    """Bytes of one operand's blocks over the whole grid.

    Programs run in order, the last grid axis fastest, and a block is not copied again
    while its index stays the same, as the pipeline has it.

    Args:
        grid: programs along each axis.
        block: shape of a block.
        index: program numbers to a block's index; plain integers in and out.
        itemsize: bytes of an element.
    """
    copies, last = 0, None
    for program in itertools.product(*(range(size) for size in grid)):
        here = index(*program)
        copies += here != last
        last = here
    return copies * math.prod(block) * itemsize


def total_bytes(
    grid: Sequence[int], operands: Iterable[tuple[Sequence[int], Index, str]]
) -> int:
    """Sum of ``block_bytes`` over (block, index, dtype) of every operand and result."""
    return sum(
        block_bytes(grid, block, index, jnp.dtype(dtype).itemsize)
        for block, index, dtype in operands
    )
