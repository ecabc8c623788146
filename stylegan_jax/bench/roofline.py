"""What binds a program: its arithmetic, its memory traffic, or being called at all."""

from __future__ import annotations

from typing import Any

from stylegan_jax.bench.machine import Peaks
from stylegan_jax.bench.report import ratio

ARITHMETIC, MEMORY, CALL = "arithmetic", "memory", "call"


def roofline(
    seconds: float,
    flops: float | None,
    moved: float | None,
    peaks: Peaks,
    precision: str,
) -> dict[str, Any]:
    """Rates of a program and its shares of what this machine can do.

    Args:
        seconds: of one run.
        flops: floating point operations; None where not known.
        moved: bytes; None where not known.
        peaks: of one device.
        precision: of `machine.PRECISIONS`.

    Returns:
        ``flops``, ``flops_per_second``, ``share_of_matmul`` (of the best matrix
        product), ``bytes``, ``bytes_per_second``, ``share_of_copy``, and ``bound``:
        which of arithmetic, memory and the bare call takes longest at the machine's
        best. What is not known is None.
    """
    computing = ratio(flops, peaks.matmul[precision])
    moving = ratio(moved, peaks.copy)
    least = {ARITHMETIC: computing or 0.0, MEMORY: moving or 0.0, CALL: peaks.call}
    return {
        "flops": flops,
        "flops_per_second": ratio(flops, seconds),
        "share_of_matmul": ratio(computing, seconds),
        "bytes": moved,
        "bytes_per_second": ratio(moved, seconds),
        "share_of_copy": ratio(moving, seconds),
        "bound": max(least, key=lambda name: least[name]),
    }
