"""Compiles the programs of a run for devices that are not there, and reads them.

The programs are those that `training/compile.py` makes: the same steps, wrapper,
donation and precision, with shapes instead of arrays.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import NamedSharding

from stylegan_jax.bench import hlo
from stylegan_jax.bench.counts import Counts, count
from stylegan_jax.bench.plan_memory import Memory, changed_parameters, memory_of
from stylegan_jax.bench.targets import Chip
from stylegan_jax.errors import printable
from stylegan_jax.training import spmd
from stylegan_jax.training.compile import abstract_state, trace_phase
from stylegan_jax.training.run import Run

Say = Callable[[str], None]
# Moves the averages and counters behind the phases of every step.
END = "end"
XLA, COUNTED = "XLA", "counted"

# What XLA's compilers say where a program does not fit: bytes needed, in XLA's units.
_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|[Oo]ut of memory|exceed\w* .*capacity")
_NEEDED = re.compile(
    r"(?:Used|temporaries|requires?|required|needs?)[^0-9.]{0,40}?([\d.]+)([KMGT])"
)
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Program:
    """What one program of a step needs on one device.

    Attributes:
        name: a phase, or ``end``.
        interval: it runs at the steps that are multiples of it.
        compile_seconds: that tracing and compiling took here.
        error: first line of the compiler's error; None where it compiles.
        too_large: whether the error is that the device's memory does not suffice.
        said_need: bytes that the compiler said to need where it failed, if it did.
        memory: its parts; None where it does not compile.
        flops: floating point operations of one run.
        flops_by: who counted them: `XLA` or `COUNTED` (from the traced program).
        arithmetic_seconds: that its products take at the chip's peak.
        bytes: that pass the memory, from the compiled text.
        xla_bytes: the same as XLA counts them, arrays on the chip included.
        memory_seconds: that the bytes take at the memory's bandwidth.
        collectives: bytes handed to collectives, by kind.
        moved_parameters: bytes of the parameters that it changes.
        kernels: how many Pallas kernels run.
        unknown_loops: loops of unknown length, which count as one round.
    """

    name: str
    interval: int
    compile_seconds: float
    flops: float
    flops_by: str
    arithmetic_seconds: float
    moved_parameters: int
    kernels: int = 0
    unknown_loops: int = 0
    error: str | None = None
    too_large: bool = False
    said_need: int | None = None
    memory: Memory | None = None
    bytes: float | None = None
    xla_bytes: float | None = None
    memory_seconds: float | None = None
    collectives: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def need(self) -> int | None:
        """Bytes of a device's memory; what the compiler said where it failed."""
        return self.said_need if self.memory is None else self.memory.total

    @property
    def seconds(self) -> float | None:
        """The roofline: whichever takes longer, arithmetic or memory."""
        if self.memory_seconds is None:
            return None
        return max(self.arithmetic_seconds, self.memory_seconds)

    @property
    def bound(self) -> str | None:
        """Which of the two it is."""
        if self.memory_seconds is None:
            return None
        by_memory = self.memory_seconds > self.arithmetic_seconds
        return "memory" if by_memory else "arithmetic"


def phase_names(run: Run) -> list[str]:
    """Names of the programs of a step, in their order."""
    return [*(phase.name for phase in run.phases()), END]


def compile_program(run: Run, name: str, chip: Chip, say: Say) -> Program:
    """Compiles one program of a run.

    Args:
        run: on the devices to compile for.
        name: of `phase_names`.
        chip: what the devices are.
        say: called with a line of text when it is done.
    """
    started = time.monotonic()
    state = abstract_state(run)
    interval, traced = _trace(run, name, state)
    counts = count(traced.jaxpr, chip.platform)
    known = {
        "name": name,
        "interval": interval,
        "moved_parameters": changed_parameters(traced.jaxpr, state),
        "kernels": counts.kernels,
        **_arithmetic(counts, counts.flops, COUNTED, chip),
    }
    try:
        compiled = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        took = time.monotonic() - started
        program = Program(**known, compile_seconds=took, **_failure(str(error)))
        say(f"{name}: {program.error} ({took:.0f} s)")
        return program
    took = time.monotonic() - started
    say(f"{name} compiled in {took:.0f} s")
    module = hlo.parse(compiled.as_text())
    cost = compiled.cost_analysis() or {}
    if cost.get("flops", 0.0) > 0:
        # XLA counts the body of the loop over parts once.
        flops = float(cost["flops"]) * run.accumulate
        known |= _arithmetic(counts, flops, XLA, chip)
    moved, sent = hlo.moved(module), hlo.collectives(module)
    size = moved.sum + counts.kernel_bytes
    xla_bytes = cost.get("bytes accessed", 0.0) * run.accumulate
    return Program(
        **known,
        compile_seconds=took,
        memory=memory_of(compiled, module, state, run),
        bytes=size,
        xla_bytes=xla_bytes if xla_bytes > 0 else None,
        memory_seconds=size / chip.bandwidth,
        collectives=dict(sent.bytes),
        unknown_loops=moved.unknown_loops,
    )


def _trace(run: Run, name: str, state: Any) -> tuple[int, Any]:
    """The program's interval, and the program as traced over shapes."""
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)

    def placed(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated)

    with run.matmul_precision():
        if name == END:
            return 1, jax.jit(run.end_step, donate_argnums=0).trace(state)
        phase = next(phase for phase in run.phases() if phase.name == name)
        constants = jax.tree.map(placed, run.constants())
        return phase.interval, trace_phase(run, phase, state, constants)


def _arithmetic(counts: Counts, flops: float, by: str, chip: Chip) -> dict[str, Any]:
    """Operations, and the time that they take at the peak of each kind of product.

    Where XLA's figure is given, the shares of the kinds are those of the trace.
    Elementwise operations are done beside the products and take no time of their own.
    """
    seconds = sum(n / chip.peak(kind) for kind, n in counts.products.items())
    if counts.flops > 0:
        seconds *= flops / counts.flops
    return {"flops": flops, "flops_by": by, "arithmetic_seconds": seconds}


def _failure(text: str) -> dict[str, Any]:
    """What a compiler's error says, in one line."""
    too_large = _OUT_OF_MEMORY.search(text) is not None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = {
        "error": printable(lines[0][:300]) if lines else "the compiler says nothing",
        "too_large": too_large,
    }
    if too_large and (match := _NEEDED.search(text)):
        found["said_need"] = int(float(match[1]) * _UNITS[match[2]])
    return found
