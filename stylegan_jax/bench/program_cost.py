"""What a compiled program computes, moves and holds, as XLA counts it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from stylegan_jax.bench.counts import count
from stylegan_jax.bench.machine import analysis, counted_flops, lowering_platform
from stylegan_jax.training.compile import program_memory


@dataclasses.dataclass(frozen=True)
class Cost:
    """Figures of one run of a program on one device.

    Attributes:
        flops: floating point operations; None where nothing counts them.
        flops_source: "XLA" for the compiled program, "counted" for the traced one
            (see ``counts``), or "none".
        bytes: bytes that the compiled program reads and writes; None where XLA does
            not tell. What a fusion keeps in registers does not count, what a cache
            holds does.
        memory: bytes of arguments, results and scratch, donated buffers once.
        plain: operations if every convolution were computed tap by tap, as the rate of
            the machine's best convolution is counted; None where nobody counted.
    """

    flops: float | None
    flops_source: str
    bytes: float | None
    memory: int
    plain: float | None = None

    def times(self, number: int) -> Cost:
        """The cost of a loop, of whose body XLA counts one round."""
        return dataclasses.replace(
            self,
            flops=None if self.flops is None else self.flops * number,
            bytes=None if self.bytes is None else self.bytes * number,
        )


def cost_of(compiled: Any) -> Cost:
    """Reads what XLA says of a program, ``jax.stages.Compiled``."""
    flops = counted_flops(compiled)
    moved = analysis(compiled).get("bytes accessed", 0.0)
    return Cost(
        flops=flops,
        flops_source="none" if flops is None else "XLA",
        bytes=float(moved) if moved > 0 else None,
        memory=program_memory(compiled),
    )


def or_counted(cost: Cost, trace: Callable[[], Any]) -> Cost:
    """The cost, with operations counted where the compiler counts none.

    Args:
        cost: as XLA tells it.
        trace: gives the ``jax.stages.Traced`` of the program; only called if needed.
    """
    if cost.flops is not None:
        return cost
    found = count(trace().jaxpr, lowering_platform())
    return dataclasses.replace(cost, flops=found.flops, flops_source="counted")


def with_plain(cost: Cost, traced: Any) -> Cost:
    """The cost, with the operations of a program without Winograd's convolutions.

    Args:
        cost: as XLA tells it.
        traced: the program, ``jax.stages.Traced``.
    """
    # No platform's own forms: those of every other one.
    return dataclasses.replace(cost, plain=count(traced.jaxpr, "any").flops)


def peak_memory(programs: list[Cost]) -> dict[str, Any]:
    """The most memory that a device needed, and who says so.

    Args:
        programs: of what ran, for devices that keep no account.

    Returns:
        ``bytes`` and ``source``.
    """
    stats = jax.local_devices()[0].memory_stats() or {}
    peak = stats.get("peak_bytes_in_use")
    if peak is not None:
        return {"bytes": int(peak), "source": "the device, over the whole process"}
    largest = max((cost.memory for cost in programs), default=0)
    return {"bytes": largest, "source": "the compiler, for the largest program"}
