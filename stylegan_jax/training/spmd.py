"""One program over a mesh with the axis ``data``: layout of a batch, and the wrapper.

Steps are written against the axis name alone. Inside a step, parameters are made
"varying" before they are differentiated, the loss stays local, and the gradients are
averaged afterwards: with the collective inside the differentiated function they would
be wrong by the number of devices.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stylegan_jax.errors import UsageError

AXIS = "data"
REPLICATED = PartitionSpec()
SHARDED = PartitionSpec(AXIS)


def make_mesh(devices: Any = None) -> Mesh:
    """A one-dimensional mesh over ``devices`` (all of them by default)."""
    devices = jax.devices() if devices is None else devices
    return Mesh(np.asarray(devices), (AXIS,))


def layout_unit(mbstd_group_size: int, pl_batch_shrink: int) -> int:
    """Samples that must stay together on one device and in one accumulation step."""
    return math.lcm(mbstd_group_size, pl_batch_shrink)


def batch_rows(batch: int, shards: int, unit: int) -> np.ndarray:
    """The order in which a global batch lies over devices and accumulation steps.

    Minibatch-std groups are those of NVIDIA's strided reshape over the *global* batch:
    sample i is in group i mod (batch / group size). Samples that agree modulo
    batch / unit form a unit of whole groups, and every shard gets whole units. Inside a
    shard the order keeps the local strided reshape equal to the global one, and its
    first 1/s are the samples i < batch/s for every s that divides the unit.

    Args:
        batch: global batch N.
        shards: devices x accumulation steps.
        unit: see ``layout_unit``.

    Returns:
        [N] int: the sample that stands at each place; shard k holds places
        [k*N/shards, (k+1)*N/shards).

    Raises:
        UsageError: if the batch cannot be laid out so.
    """
    if batch % (unit * shards):
        raise UsageError(
            f"A batch of {batch} cannot be split over {shards} shards (devices times "
            f"accumulation steps) in whole groups of {unit} images: make train.batch a "
            f"multiple of {unit * shards}, or use fewer devices or a larger "
            f"train.batch_per_device."
        )
    units = batch // unit
    per_shard = units // shards
    index = np.arange(batch).reshape(unit, shards, per_shard)  # i = m*units + u
    return index.transpose(1, 0, 2).reshape(batch)


def local_rows(rows: np.ndarray, mesh: Mesh) -> np.ndarray:
    """The part of ``rows`` that lies on this process's devices, in their order."""
    devices = mesh.devices.ravel()
    per_device = rows.reshape(len(devices), -1)
    mine = [i for i, d in enumerate(devices) if d.process_index == jax.process_index()]
    return per_device[mine].reshape(-1)


def to_devices(mesh: Mesh, local: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Puts this process's rows of a batch on its devices as one global array each."""
    sharding = NamedSharding(mesh, SHARDED)
    return {
        name: jax.make_array_from_process_local_data(sharding, value)
        for name, value in local.items()
    }


def data_parallel(
    step: Callable, mesh: Mesh, *, constants: int = 0
) -> jax.stages.Wrapped:
    """Runs ``step(state, batch, key, *constants) -> (state, metrics)`` over the mesh.

    State, key, constants and metrics are replicated, the batch is split along its first
    axis. The state's buffers are donated.

    Args:
        step: written against the axis name.
        mesh: the devices.
        constants: how many further arguments it takes.
    """
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(REPLICATED, SHARDED, REPLICATED, *[REPLICATED] * constants),
        out_specs=(REPLICATED, REPLICATED),
    )
    return jax.jit(mapped, donate_argnums=0)


def varying(tree: Any) -> Any:
    """Marks a replicated tree as differing per device, so gradients stay local."""
    return jax.tree.map(lambda x: jax.lax.pcast(x, AXIS, to="varying"), tree)


def mean(tree: Any) -> Any:
    """Average over the devices."""
    return jax.lax.pmean(tree, AXIS)


def wait_for_all(name: str) -> None:
    """Waits until every process is here; does nothing in a single process."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def join_processes() -> None:
    """Joins the processes of a run, where the environment says that there are several.

    ``STYLEGAN_JAX_COORDINATOR``, ``_NUM_PROCESSES`` and ``_PROCESS_ID`` (as
    ``launch/local.sh`` sets them) name the run. Must come before any use of a device.

    Raises:
        UsageError: where only some of the variables are set, or not to numbers.
    """
    names = ("COORDINATOR", "NUM_PROCESSES", "PROCESS_ID")
    values = [os.environ.get(f"STYLEGAN_JAX_{name}") for name in names]
    if not any(values):
        return
    address, count, rank = values
    if not (address and count and rank and count.isdigit() and rank.isdigit()):
        raise UsageError(
            "STYLEGAN_JAX_COORDINATOR (host:port), STYLEGAN_JAX_NUM_PROCESSES and "
            "STYLEGAN_JAX_PROCESS_ID (numbers) must be set together: start the run "
            "through launch/local.sh, or set all three."
        )
    jax.distributed.initialize(address, int(count), int(rank))
