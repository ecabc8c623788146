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
from stylegan_jax.training.build import GanRun
from stylegan_jax.training.gan_steps import end_step, optimisers
from stylegan_jax.training.state import GanState, init_state

Say = Callable[[str], None]

# Share of a device's memory that a program may claim: the rest is for what the
# allocator cannot use and for the sample grids.
_USABLE = 0.92


@dataclasses.dataclass(frozen=True)
class Programs:
    """The compiled programs of a run.

    Attributes:
        run: what they were compiled for; its accumulation is the one that fitted.
        phases: (name, interval, program) in the order of a step.
        end: moves the averaged generator and the counters.
        needs: bytes per device by program, as the compiler counts them.
        flops: floating point operations per device by program, where it counts them.
    """

    run: GanRun
    phases: list[tuple[str, int, Any]]
    end: Any
    needs: Mapping[str, int]
    flops: Mapping[str, float]


def make_init(run: GanRun) -> Any:
    """A function from the root key to a fresh state, replicated over the mesh."""
    nimg = int(run.config.init.resume_kimg * 1000)

    def init(key):
        return init_state(
            run.g,
            run.d,
            *optimisers(run.hyper),
            key,
            augmentation=run.hyper.augmentation,
            nimg=nimg,
            keep_source=run.hyper.correspondence_weight > 0,
        )

    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    return jax.jit(init, out_shardings=replicated)


def root_key(run: GanRun, seed: int) -> jax.Array:
    """The run's root key, replicated over the mesh."""
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    return jax.jit(lambda: jax.random.key(seed), out_shardings=replicated)()


def abstract_state(run: GanRun) -> GanState:
    """Shapes, dtypes and shardings of the state, without computing it."""
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    shapes = jax.eval_shape(make_init(run), jax.eval_shape(lambda: jax.random.key(0)))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), shapes
    )


def compile_programs(run: GanRun, say: Say = lambda text: None) -> Programs:
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
        if limit is None or need <= limit * _USABLE:
            return programs
        share = run.config.train.batch // (run.mesh.size * run.hyper.accumulate)
        text = (
            f"{worst} needs {need / 2**30:.1f} GiB per device for {share} images at a "
            f"time, and the device has {limit / 2**30:.1f} GiB"
        )
        smaller = _next_accumulation(run) if adapt else None
        if smaller is None:
            raise UserError(
                f"The run does not fit: {text}. Lower train.batch_per_device, "
                f"model.channel_base or data.resolution, or use more devices."
            )
        say(f"{text}: accumulating over {smaller.hyper.accumulate} parts instead")
        run = smaller


def memory_limit() -> int | None:
    """Bytes that a program may use on a device; None where that is not known."""
    stats = jax.local_devices()[0].memory_stats()
    return stats.get("bytes_limit") if stats else None


def _next_accumulation(run: GanRun) -> GanRun | None:
    """The run with the next larger number of parts that keeps groups whole."""
    unit = spmd.layout_unit(
        run.config.model.mbstd_group_size, run.config.loss.pl_batch_shrink
    )
    units = run.config.train.batch // (unit * run.mesh.size)
    for parts in range(run.hyper.accumulate + 1, units + 1):
        if units % parts == 0:
            return run.with_accumulation(parts)
    return None


def _compile_all(run: GanRun, say: Say) -> Programs:
    state = abstract_state(run)
    batch = _abstract_batch(run)
    replicated = NamedSharding(run.mesh, spmd.REPLICATED)
    shape = jax.eval_shape(lambda: jax.random.key(0))
    key = jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=replicated)
    phases = run.phases()
    compiled, needs, flops = [], {}, {}
    with run.matmul_precision():
        for i, phase in enumerate(phases):
            started = time.monotonic()
            stepper = spmd.data_parallel(phase.step, run.mesh)
            program = stepper.lower(state, batch, key).compile()
            took = time.monotonic() - started
            say(f"compiled {phase.name} ({i + 1} of {len(phases)}) in {took:.1f} s")
            compiled.append((phase.name, phase.interval, program))
            needs[phase.name] = _memory(program)
            # XLA counts the body of the loop over parts once.
            flops[phase.name] = _flops(program) * run.hyper.accumulate
        end = jax.jit(end_step, static_argnums=1, donate_argnums=0)
        end_program = end.lower(state, run.hyper).compile()
    return Programs(run, compiled, end_program, needs, flops)


def _abstract_batch(run: GanRun) -> dict[str, jax.ShapeDtypeStruct]:
    sharding = NamedSharding(run.mesh, spmd.SHARDED)
    shapes = {
        "image": (run.d.image_shape, jnp.uint8),
        "label": ((run.d.c_dim,), jnp.float32),
        "index": ((), jnp.int32),
    }
    return {
        name: jax.ShapeDtypeStruct((run.hyper.batch, *shape), dtype, sharding=sharding)
        for name, (shape, dtype) in shapes.items()
    }


def _memory(program: Any) -> int:
    """Arguments, results and scratch of a program, donated buffers counted once."""
    analysis = program.memory_analysis()
    if analysis is None:
        return 0
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        + analysis.temp_size_in_bytes
    )


def _flops(program: Any) -> float:
    cost = program.cost_analysis() or {}
    return float(cost.get("flops", 0.0))
