"""The endless deterministic stream of training batches, through grain."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

from stylegan_jax.data import check
from stylegan_jax.data.dataset import Samples
from stylegan_jax.data.parallel import default_workers
from stylegan_jax.errors import UserError

Batch = dict[str, np.ndarray]
# Whole batches read ahead of the consumer.
_READ_AHEAD = 4


class BatchIterator:
    """Yields batches forever and knows where it is.

    Attributes:
        position: images of the global stream consumed so far, including
            ``start_image``. It is the whole state of the stream.
    """

    def __init__(
        self,
        batches: grain.IterDataset,
        *,
        batch: int,
        start_image: int,
        copy: bool,
        identity: dict[str, Any],
    ):
        """Starts reading ahead at the first call of ``next``."""
        # Held in a list that closing empties: grain's iterators complain in their own
        # __del__ when they live until the interpreter's modules are gone.
        self._open = [iter(batches)]
        self._close = weakref.finalize(self, _close_all, self._open)
        self._batch = batch
        self._copy = copy
        self._identity = identity
        self.position = start_image

    def __iter__(self) -> BatchIterator:
        """Returns itself."""
        return self

    def __next__(self) -> Batch:
        """Returns ``image`` uint8 [rows, H, W, C] and ``label`` float32 [rows, c]."""
        if not self._open:
            raise ValueError("the stream is closed")
        batch = next(self._open[0])
        self.position += self._batch
        # Batches of worker processes lie in shared memory that grain reuses.
        return {k: np.array(v) for k, v in batch.items()} if self._copy else batch

    def state(self) -> dict[str, Any]:
        """Returns position, seed and the datasets' fingerprint, ready for JSON."""
        return {"position": self.position, **self._identity}

    def close(self) -> None:
        """Ends threads and worker processes; calling it twice is fine."""
        self._close()

    def __enter__(self) -> BatchIterator:
        """Returns itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes."""
        self.close()


def _close_all(iterators: list[Any]) -> None:
    while iterators:
        iterators.pop().close()


class _Positions:
    """Maps this process's local sample number to the position in the global stream."""

    def __init__(
        self, stream: grain.MapDataset, batch: int, rows: np.ndarray, start_image: int
    ):
        self._stream = stream
        self._batch = batch
        self._rows = rows
        self._start = start_image

    def __len__(self) -> int:
        # Endless for any purpose; grain multiplies lengths, so stay below its limit.
        return 2**62 // self._batch * len(self._rows)

    def __getitem__(self, index: int) -> Any:
        step, row = divmod(int(index), len(self._rows))
        position = self._start + step * self._batch + int(self._rows[row])
        return self._stream[position]


def make_stream(
    datasets_and_weights: Sequence[tuple[Samples, float]],
    *,
    batch: int,
    rows: np.ndarray | None = None,
    seed: int,
    start_image: int = 0,
    workers: int = 0,
) -> BatchIterator:
    """Makes the stream of batches that one process consumes.

    Position p of the global stream is always the same sample, whatever the batch, the
    rows, the workers and the restarts: every dataset is shuffled anew in each epoch, by
    a seed made of ``seed`` and its place in the list, and the datasets are interleaved
    in the proportion of their weights.

    Args:
        datasets_and_weights: as `mixture.open_mixture` returns them.
        batch: size of the global batch.
        rows: int [R], which samples of each global batch to yield, in which order;
            None means all.
        seed: from 0 to 2**32 - 1.
        start_image: position of the first global batch.
        workers: processes that decode; 0 means threads of this process.

    Raises:
        UserError: fewer pictures than a batch, or an argument out of range.
    """
    rows = np.arange(batch) if rows is None else np.asarray(rows)
    _check_arguments(datasets_and_weights, batch, rows, seed, start_image, workers)
    shuffled = [
        grain.MapDataset.source(dataset).shuffle(seed=_seed(seed, place)).repeat()
        for place, (dataset, _) in enumerate(datasets_and_weights)
    ]
    stream = shuffled[0]
    if len(shuffled) > 1:
        weights = [weight for _, weight in datasets_and_weights]
        stream = grain.MapDataset.mix(shuffled, weights=weights)
    positions: Any = _Positions(stream, batch, rows, start_image)
    # Batched before threads or processes take their shares: element k is then always
    # global batch k, whoever makes it.
    batches = grain.MapDataset.source(positions).batch(len(rows), drop_remainder=True)
    threads = min(default_workers(), _READ_AHEAD)
    iterable = batches.to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=_READ_AHEAD)
    )
    if workers:
        # grain reads its absl flags when it starts processes, which fails in programs
        # that do not use absl's own main.
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()
        iterable = iterable.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers)
        )
    prints = [[d.fingerprint, float(weight)] for d, weight in datasets_and_weights]
    fingerprint = hashlib.sha256(repr(prints).encode()).hexdigest()
    return BatchIterator(
        iterable,
        batch=batch,
        start_image=start_image,
        copy=workers > 0,
        identity={"seed": seed, "fingerprint": fingerprint},
    )


def _seed(seed: int, place: int) -> int:
    """Returns a 32-bit seed for one dataset.

    Hashed, because grain adds the epoch to it: with the plain number, seed 1 would be
    seed 0 one epoch later, and two datasets of a list would be shuffled alike.
    """
    digest = hashlib.sha256(f"{seed} {place}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _check_arguments(
    datasets_and_weights: Sequence[tuple[Samples, float]],
    batch: int,
    rows: np.ndarray,
    seed: int,
    start_image: int,
    workers: int,
) -> None:
    if not datasets_and_weights:
        raise UserError("no dataset was given.")
    if batch < 1 or start_image < 0 or workers < 0:
        raise UserError(
            f"batch is {batch} (at least 1), start_image {start_image} and workers "
            f"{workers} (at least 0): one is out of range."
        )
    if not 0 <= seed < 2**32:
        raise UserError(f"seed is {seed}, expected a number from 0 to {2**32 - 1}.")
    if rows.ndim != 1 or not rows.size or rows.min() < 0 or rows.max() >= batch:
        raise UserError(f"rows is {rows!r}, expected numbers from 0 to {batch - 1}.")
    num = sum(dataset.num_images for dataset, _ in datasets_and_weights)
    if num < batch:
        names = " + ".join(dataset.name for dataset, _ in datasets_and_weights)
        raise UserError(check.too_few(names, num, batch) + ".")
