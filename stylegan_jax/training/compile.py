"""Compiles the programs of a run before its first step, and says what they need."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from stylegan_jax.errors import UserError
from stylegan_jax.training import spmd
from stylegan_jax.training.run import Phase, Run, State

Say = Callable[[str], None]

# Share of a device's memory that a program may claim: the rest is for what the
# allocator cannot use and for the sample grids.
USABLE = 0.92


@dataclasses.dataclass(frozen=True)
class Programs:
    """The compiled programs of a run.

    Attributes:
        run: what they were compiled for; its accumulation is the one that fitted.
        phases: (name, interval, program) in the order of a step.
        end: moves averages and counters.
        constants: what every phase takes behind state, batch and key.
        needs: bytes per device by program, as the compiler counts them.
        flops: floating point operations per device by program, where it counts them.
    """

    run: Run
    phases: list[tuple[str, int, Any]]
    end: Any
    constants: tuple[Any, ...]
    needs: Mapping[str, int]
    flops: Mapping[str, float]


def make_init(run: Run) -> Any:
    """A function from the root key to a fresh state, replicated over the mesh."""
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    return jax.jit(run.init, out_shardings=replicated)


def root_key(run: Run, seed: int) -> jax.Array:
    """The run's root key, replicated over the mesh."""
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    return jax.jit(lambda: jax.random.key(seed), out_shardings=replicated)()


def abstract_state(run: Run) -> State:
    """Shapes, dtypes and shardings of the state, without computing it."""
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    shapes = jax.eval_shape(make_init(run), jax.eval_shape(lambda: jax.random.key(0)))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), shapes
    )


def compile_programs(run: Run, say: Say = lambda text: None) -> Programs:
    """Compiles every phase; halves a device's part of the batch until all fit.

    Args:
        run: what to compile.
        say: called with a line of text as the work goes on.

    Raises:
        UserError: if the smallest part of the batch does not fit the device.
    """
    limit = memory_limit()
    adapt = run.config.train.batch_per_device in (None, "auto")
    while True:
        programs = _compile_all(run, say)
        worst = max(programs.needs, key=lambda name: programs.needs[name])
        need = programs.needs[worst]
        if limit is None or need <= limit * USABLE:
            return programs
        share = run.images_at_a_time
        text = (
            f"{worst} needs {need / 2**30:.1f} GiB per device for {share} images at a "
            f"time, and the device has {limit / 2**30:.1f} GiB"
        )
        smaller = _next_accumulation(run) if adapt else None
        if smaller is None:
            raise UserError(
                f"The run does not fit: {text}. Lower train.batch_per_device or "
                "data.resolution, take a smaller model, or use more devices."
            )
        say(f"{text}: accumulating over {smaller.accumulate} parts instead")
        run = smaller


def memory_plan(programs: Programs) -> str:
    """What the programs take of a device's memory, as a sentence."""
    run, limit = programs.run, memory_limit()
    needs = ", ".join(
        f"{name} {need / 2**30:.2f}" for name, need in programs.needs.items()
    )
    has = "" if limit is None else f" of {limit / 2**30:.1f}"
    parts = f" ({run.accumulate} parts a step)" if run.accumulate > 1 else ""
    return (
        f"memory of a device for {run.images_at_a_time} images at a time{parts}: "
        f"{needs}{has} GiB"
    )


def memory_limit() -> int | None:
    """Bytes that a program may use on a device; None where that is not known."""
    stats = jax.local_devices()[0].memory_stats()
    return stats.get("bytes_limit") if stats else None


def _next_accumulation(run: Run) -> Run | None:
    """The run with the next larger number of parts that keeps groups whole."""
    units = run.batch // (run.unit * run.mesh.size)
    for parts in range(run.accumulate + 1, units + 1):
        if units % parts == 0:
            return run.with_accumulation(parts)
    return None


def _compile_all(run: Run, say: Say) -> Programs:
    state = abstract_state(run)
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    constants = jax.device_put(run.constants(), replicated)
    phases = run.phases()
    compiled, needs, flops = [], {}, {}
    with run.matmul_precision():
        for i, phase in enumerate(phases):
            started = time.monotonic()
            program = trace_phase(run, phase, state, constants).lower().compile()
            took = time.monotonic() - started
            say(f"compiled {phase.name} ({i + 1} of {len(phases)}) in {took:.1f} s")
            compiled.append((phase.name, phase.interval, program))
            needs[phase.name] = program_memory(program)
            # XLA counts the body of the loop over parts once.
            flops[phase.name] = _flops(program) * run.accumulate
        end = jax.jit(run.end_step, donate_argnums=0).lower(state).compile()
    return Programs(run, compiled, end, constants, needs, flops)


def trace_phase(
    run: Run, phase: Phase, state: State, constants: tuple[Any, ...]
) -> jax.stages.Traced:
    """The program of a phase, traced but neither lowered nor compiled.

    Args:
        run: what it is a phase of; trace within its ``matmul_precision``.
        phase: one of its phases.
        state: shapes, see `abstract_state`.
        constants: `Run.constants`, or their shapes, on all devices.
    """
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    shape = jax.eval_shape(lambda: jax.random.key(0))
    key = jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=replicated)
    stepper = spmd.data_parallel(phase.step, run.mesh, constants=len(constants))
    return stepper.trace(state, _abstract_batch(run), key, *constants)


def _abstract_batch(run: Run) -> dict[str, jax.ShapeDtypeStruct]:
    sharding = NamedSharding(run.mesh, spmd.SHARDED)
    shapes = {**run.batch_shapes(), "index": ((), jnp.int32)}
    return {
        name: jax.ShapeDtypeStruct((run.batch, *shape), dtype, sharding=sharding)
        for name, (shape, dtype) in shapes.items()
    }


def program_memory(program: Any) -> int:
    """Bytes on a device of a compiled program.

    Arguments, results, scratch and code; donated buffers count once. 0 where the
    compiler does not tell.
    """
    analysis = program.memory_analysis()
    if analysis is None:
        return 0
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        + analysis.temp_size_in_bytes
        + analysis.generated_code_size_in_bytes
    )


def _flops(program: Any) -> float:
    cost = program.cost_analysis() or {}
    return float(cost.get("flops", 0.0))
