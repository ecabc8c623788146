"""What every trainer gives to the one loop: networks, steps, data, and an observer.

A trainer is a folder beside this file with a `Run` of its own. The loop, compiling,
checkpoints, resuming and the command know nothing of it but what stands here.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from stylegan_jax.data.mixture import Weighted
from stylegan_jax.training import spmd

# A trainer's state is a flax PyTreeNode; the loop needs nothing of it but that it is a
# tree of arrays, which a checkpoint holds whole.
State = Any
Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]

# What XLA may do with float32 operands of matrix products.
_MATMUL = {
    "float32": "float32",
    "tf32": "tensorfloat32",
    "bfloat16": "tensorfloat32",
    "float16": "tensorfloat32",
}


@dataclasses.dataclass(frozen=True)
class Phase:
    """One kind of update.

    Attributes:
        name: such as g_main.
        interval: runs at the steps that are multiples of it.
        step: the update ``(state, batch, key, *constants) -> (state, metrics)``, see
            ``spmd.data_parallel``.
    """

    name: str
    interval: int
    step: Callable[..., tuple[State, Metrics]]


class Observer(Protocol):
    """Looks at a run in training and writes what it sees; process 0 has one."""

    def begin(self, state: State) -> None:
        """Writes what there is to see before the first step."""

    def measure(self, state: State) -> dict[str, float]:
        """Measures by name; empty where nothing is measured."""

    def draw(self, state: State, name: str) -> np.ndarray:
        """Writes the samples called ``name``; returns the grid [H, W, C] uint8."""

    def write(
        self, state: State, nimg: int, measured: Mapping[str, float] | None
    ) -> None:
        """Writes model files, and removes those that need not be kept."""

    def warnings(self, figures: Mapping[str, Any]) -> list[str]:
        """What a person should know about the newest figures."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(abc.ABC):
    """The parts of a run.

    Attributes:
        SHOWN: names of the figures that the bar shows, and the lines.
        RARE: names of the figures that come seldom and are worth a line.
        REMEDY: what to try where numbers stay non-finite.
        TO_GO_ON: what to do with a run that is at its end.
        config: with every derived number filled in.
        mesh: the devices.
        rows: order of a global batch over devices and accumulation steps.
        data: weighted datasets.
        held_out: pictures of the same datasets that are not trained on, perhaps none.
        hyper: numbers of the step, with a field ``accumulate`` of their own.
        accumulate: parts that a device's share of the batch is processed in.
    """

    SHOWN: ClassVar[tuple[str, ...]] = ()
    RARE: ClassVar[tuple[str, ...]] = ()
    REMEDY: ClassVar[str] = ""
    TO_GO_ON: ClassVar[str] = "to go on, raise --config.train.total_kimg"

    config: ConfigDict
    mesh: Mesh
    rows: np.ndarray
    data: Weighted
    held_out: Weighted
    hyper: Any
    accumulate: int = 1

    @property
    def batch(self) -> int:
        """Images in the global batch."""
        return self.config.train.batch

    @property
    def stream_data(self) -> Weighted:
        """What batches are read from: ``data``, perhaps in another form."""
        return self.data

    @property
    def stage(self) -> str:
        """The stage that its programs are of, in words; "" for a run of one stage."""
        return ""

    @property
    def ends(self) -> int | None:
        """Images at which its programs end and another stage's begin; None for none."""
        return None

    def at(self, nimg: int) -> Self:
        """The run as it is once ``nimg`` images are seen: its stage."""
        del nimg
        return self

    def stages(self) -> list[Self]:
        """The run at every stage, the first one first."""
        return [self]

    def planned(self) -> Self:
        """The stage that plans and benchmarks look at."""
        return self

    @property
    def unit(self) -> int:
        """Samples that must stay on one device and in one accumulation step."""
        return 1

    @property
    def local_rows(self) -> np.ndarray:
        """This process's part of ``rows``."""
        return spmd.local_rows(self.rows, self.mesh)

    @property
    def data_identity(self) -> list[list[Any]]:
        """Fingerprint and weight of every dataset, as a checkpoint keeps them."""
        return [[dataset.fingerprint, weight] for dataset, weight in self.data]

    @property
    def judges_snapshots(self) -> bool:
        """Whether every snapshot is measured, not only those that are due.

        The best on what is held out is only found among those that are judged.
        """
        return bool(self.held_out) and self.config.eval.every_kimg > 0

    @property
    def images_at_a_time(self) -> int:
        """Images that a device computes with at once."""
        return self.batch // (self.mesh.size * self.accumulate)

    def with_accumulation(self, accumulate: int) -> Self:
        """The same run with a device's share processed in so many parts."""
        rows = spmd.batch_rows(self.batch, self.mesh.size * accumulate, self.unit)
        hyper = dataclasses.replace(self.hyper, accumulate=accumulate)
        return dataclasses.replace(self, rows=rows, hyper=hyper, accumulate=accumulate)

    def matmul_precision(self) -> contextlib.AbstractContextManager:
        """The context in which the steps are traced."""
        return jax.default_matmul_precision(_MATMUL[self.config.train.precision])

    def constants(self) -> tuple[Any, ...]:
        """Trees of frozen arrays that every step takes and no checkpoint holds."""
        return ()

    def adopt(self, state: State) -> State:
        """What a fresh state takes over from files."""
        return state

    def begun_with(self) -> dict[str, tuple[Any, str]]:
        """What a run cannot go on with another of: its value, and how to say it."""
        return {}

    @property
    @abc.abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the pictures that are drawn."""

    @abc.abstractmethod
    def phases(self) -> list[Phase]:
        """The phases of a step, in their order."""

    @abc.abstractmethod
    def init(self, key: jax.Array) -> State:
        """A fresh state from the root key; pure, it is compiled."""

    @abc.abstractmethod
    def end_step(self, state: State) -> State:
        """Moves averages and counters after the phases of a step; pure."""

    @abc.abstractmethod
    def batch_shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape of one sample and dtype of everything in a batch but ``index``."""

    @abc.abstractmethod
    def introduction(self, state: State) -> list[str]:
        """Lines about the run; ``state`` has shapes alone."""

    @abc.abstractmethod
    def observer(self, workdir: Path) -> Observer:
        """Makes what looks at the run."""
