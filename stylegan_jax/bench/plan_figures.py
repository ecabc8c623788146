"""From what each program needs to what a whole step takes, here and on more devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from stylegan_jax.bench.plan_programs import Program
from stylegan_jax.bench.targets import Chip

SCALES = (8, 64, 512)


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Expected efficiency on a number of devices, each with its own share of images.

    Attributes:
        devices: how many.
        communication_seconds: of a mean step, on the links that join so many.
        without_overlap: efficiency where nothing is sent while something is computed.
        with_overlap: where everything that can be is.
    """

    devices: int
    communication_seconds: float
    without_overlap: float
    with_overlap: float


def mean_step(programs: Sequence[Program]) -> float | None:
    """Roofline seconds of a step, phases that run seldom counted by their share."""
    if any(program.seconds is None for program in programs):
        return None
    return sum((p.seconds or 0.0) / p.interval for p in programs)


def sent_bytes(program: Program, devices: int) -> int:
    """Bytes that a device hands to collectives in one run of a program.

    On a single device nothing is sent: there the parameters that move stand for the
    gradients.
    """
    if devices == 1:
        return program.moved_parameters
    return sum(program.collectives.values())


def scaling(
    programs: Sequence[Program], compiled_for: int, chip: Chip, devices: int
) -> Scaling | None:
    """Efficiency against one device that computes the same share and sends nothing.

    A ring all-reduce of b bytes over n devices sends 2 (n - 1) / n * b from each.
    Latency and other traffic on the links are not counted.

    Args:
        programs: of a step.
        compiled_for: devices that the programs were compiled for.
        chip: their kind.
        devices: n.
    """
    computed = mean_step(programs)
    if not computed:
        return None
    ring = 2.0 * (devices - 1) / devices / chip.ring(devices)
    sent = sum(ring * sent_bytes(p, compiled_for) / p.interval for p in programs)
    return Scaling(
        devices=devices,
        communication_seconds=sent,
        without_overlap=computed / (computed + sent),
        with_overlap=computed / max(computed, sent),
    )


def as_document(program: Program, devices: int) -> dict[str, Any]:
    """A program's figures as JSON values, the derived ones included."""
    found = dataclasses.asdict(program)
    found["collectives"] = dict(program.collectives)
    sent = sum(program.collectives.values())
    found |= {
        "need": program.need,
        "seconds": program.seconds,
        "bound": program.bound,
        "collective_bytes": sent,
        "collective_bytes_by_parameter_bytes": (
            sent / program.moved_parameters
            if devices > 1 and program.moved_parameters and program.error is None
            else None
        ),
    }
    if program.memory is not None:
        found["memory"]["total"] = program.memory.total
    return found
