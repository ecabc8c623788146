"""A function of rows over all devices of this machine, a fixed number at a time.

Float rounding depends on the shapes that XLA compiles for. A program that takes as many
rows per device whatever is asked for makes a result depend on its own row alone, not on
its neighbours or on the number of devices.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stylegan_jax.checkpoints.drawing import AXIS, pad


def in_flight(
    started: Iterable[tuple[jax.Array, int]], most: int = 2
) -> Iterator[np.ndarray]:
    """Brings results to the host in order, while a few are computed.

    Args:
        started: results and how many of each one's first rows count.
        most: of them at a time.
    """
    pending: collections.deque[tuple[jax.Array, int]] = collections.deque()
    for item in started:
        pending.append(item)
        if len(pending) >= most:
            result, count = pending.popleft()
            yield np.asarray(result)[:count]
    for result, count in pending:
        yield np.asarray(result)[:count]


class Tiles:
    """Runs ``function(variables, rows) -> rows`` in tiles."""

    def __init__(self, function: Callable[[Any, jax.Array], Any], variables: Any):
        """Compiles nothing yet.

        Args:
            function: maps every row [n, ...] by itself.
            variables: copied to the devices once.
        """
        self._function, self._variables = function, variables
        self._programs: dict[int, tuple[Callable[..., jax.Array], Mesh]] = {}
        self._placed: dict[int, Any] = {}

    def with_variables(self, variables: Any) -> Tiles:
        """The same function of other variables; what is compiled is shared."""
        other = Tiles(self._function, variables)
        other._programs = self._programs
        return other

    @staticmethod
    def devices(rows: int, tile: int) -> int:
        """How many devices are worth while for so many rows."""
        # A single tile would leave all devices but one idle anyway.
        return len(jax.local_devices()) if rows > tile else 1

    def start(self, rows: np.ndarray, tile: int, devices: int) -> jax.Array:
        """Begins with one group.

        Args:
            rows: [n, ...], at most a tile for every device; filled up to that.
            tile: rows that a device takes at a time.
            devices: how many take part.

        Returns:
            The results of all rows, those that it was filled up with too.
        """
        program, variables, sharding = self._on(devices)
        placed = jax.device_put(pad(rows, tile * devices), sharding)
        return program(variables, placed)

    def run(self, rows: np.ndarray, tile: int) -> np.ndarray:
        """The results of any number of rows, at least one.

        Args:
            rows: [N, ...].
            tile: rows that a device takes at a time.
        """
        devices = self.devices(len(rows), tile)
        group = tile * devices
        parts = [rows[i : i + group] for i in range(0, len(rows), group)]
        found = [(self.start(part, tile, devices), len(part)) for part in parts]
        return np.concatenate([np.asarray(x)[:count] for x, count in found])

    def _on(self, number: int) -> tuple[Callable[..., jax.Array], Any, Any]:
        """The program, the variables and the sharding on so many devices."""
        rows = PartitionSpec(AXIS)
        if number not in self._programs:
            mesh = Mesh(np.array(jax.local_devices()[:number]), (AXIS,))
            mapped = jax.jit(
                jax.shard_map(
                    self._function,
                    mesh=mesh,
                    in_specs=(PartitionSpec(), rows),
                    out_specs=rows,
                    check_vma=False,  # Pallas operators need it
                )
            )
            self._programs[number] = mapped, mesh
        program, mesh = self._programs[number]
        if number not in self._placed:
            replicated = NamedSharding(mesh, PartitionSpec())
            self._placed[number] = jax.device_put(self._variables, replicated)
        return program, self._placed[number], NamedSharding(mesh, rows)
