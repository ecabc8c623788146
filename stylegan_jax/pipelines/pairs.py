"""Paired pictures: the same seeds through a base and a blend, or before and after an
edit.

The set is made in chunks of pairs. A chunk is done once its record is there, which is
written last; a chunk without one is made again, with the same result, since a pair
depends on its seed alone. Processes take chunks in turn and share nothing but the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.atomic import replacing, write_bytes, write_text
from stylegan_jax.checkpoints.pictures import encode_png
from stylegan_jax.data.parallel import default_workers
from stylegan_jax.data.records import write_arrayrecord
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines import pair_manifest as manifest
from stylegan_jax.pipelines.pair_curation import curate
from stylegan_jax.pipelines.pair_scores import Curation, Networks, pixel_scores
from stylegan_jax.pipelines.pair_sides import Direction, Sides, check_seed_range
from stylegan_jax.training import lock, spmd

# Folder of what is not finished: records of chunks, and pictures on their way into
# ArrayRecord files.
PARTS = ".parts"
# Pairs of a chunk: about as many pictures as fit in half a GiB, so that little is lost
# when a process is killed.
CHUNK_PIXELS = 2**26
MOST, LEAST = 128, 16


@dataclasses.dataclass(frozen=True)
class Options:
    """How pairs are drawn.

    Attributes:
        num: how many.
        seed: pair i is drawn from seed + i.
        truncation_psi: 1 leaves the latents as they are, 0 gives the mean picture.
        noise_mode: ``none``, so that pictures agree in all that is not style, or
            ``const``.
        label: class, where the models are conditional.
        storage: ``folder`` or ``arrayrecord``.
    """

    num: int
    seed: int = 0
    truncation_psi: float = 0.7
    noise_mode: str = "none"
    label: int | None = None
    storage: str = "folder"

    def check(self) -> None:
        """Raises `UsageError` where a value makes no sense."""
        check_seed_range(self.seed, self.num)
        if self.storage not in manifest.STORAGES:
            raise UsageError(
                f"unknown format {self.storage!r}: choose from "
                f"{', '.join(manifest.STORAGES)}."
            )
        if not np.isfinite(self.truncation_psi):
            raise UsageError("psi is a number such as 0.7.")


def make_pairs(
    out: str | Path,
    base: str | Path,
    other: str | Path | Direction,
    options: Options,
    *,
    curation: Curation | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Makes a set of pairs, or goes on with one; see docs/pairs.md for its files.

    Args:
        out: the folder; what is there already is not drawn again.
        base: the model of the first pictures, a file or a run's folder.
        other: the model of the second ones, or an edit of the first ones' latents.
        options: how many, and how they are drawn.
        curation: also score the pairs with networks, mark those to keep, and write
            ``report.html``.
        progress: called with the number of pairs done since the last call.

    Returns:
        JSON values: ``out``, ``pairs``, ``kept``, ``drawn`` (by this process, in this
        call) and ``left_out``, sentences on scores that could not be had.

    Raises:
        UserError: models that make no pairs, other options than those that the folder
            was begun with, another process at work in it, or a full disk.
    """
    out = Path(out)
    options.check()
    if curation is not None:
        curation.check()
    sides = Sides(
        base,
        other,
        truncation_psi=options.truncation_psi,
        noise_mode=options.noise_mode,
        label=options.label,
    )
    with _held(out):
        task = _Task(out, sides, options, progress)
        drawn = task.draw()
        spmd.wait_for_all("pairs drawn")
        if jax.process_index() == 0:
            task.finish()
        spmd.wait_for_all("pairs listed")
        left_out: list[str] = []
        if curation is not None:
            networks = Networks(sides.image_shape)
            left_out = networks.left_out
            curate(out, curation, networks)
        lines = manifest.read_pairs(out, kept=False)
    return {
        "out": str(out),
        **manifest.counts(lines),
        "drawn": drawn,
        "left_out": left_out,
    }


@contextlib.contextmanager
def _held(out: Path) -> Iterator[None]:
    """Makes the folder, and keeps other jobs out of it."""
    try:
        (out / PARTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make {out / PARTS}: {error.strerror}; choose another folder."
        ) from error
    with contextlib.ExitStack() as stack:
        if jax.process_index() == 0:
            try:
                stack.enter_context(lock.hold(out))
            except UserError as error:
                raise UserError(
                    f"another job makes pairs in {out}: wait for it, or choose another "
                    "folder."
                ) from error
        yield


class _Task:
    """One call of `make_pairs`."""

    def __init__(
        self,
        out: Path,
        sides: Sides,
        options: Options,
        progress: Callable[[int], Any] | None,
    ):
        self._out, self._sides, self._options = out, sides, options
        self._progress = progress or (lambda count: None)
        height, width, _ = sides.image_shape
        self._size = max(LEAST, min(MOST, CHUNK_PIXELS // (height * width)))
        self._document = {
            "kind": manifest.KIND,
            "format": manifest.FORMAT,
            **sides.document,
            "seed": options.seed,
            "truncation_psi": options.truncation_psi,
            "noise_mode": options.noise_mode,
            "label": options.label,
            "z_source": "jax",
            "storage": options.storage,
            "image_shape": list(sides.image_shape),
            "chunk": self._size,
            "num": options.num,
            "complete": False,
        }
        # Pictures in a folder are written where they stay.
        self._root = out if options.storage == "folder" else out / PARTS
        self._whole = self._begin()

    def _begin(self) -> bool:
        """Compares with what is there; whether all of it is done already."""
        found = manifest.read_document(self._out)
        # All processes have looked before one writes.
        spmd.wait_for_all("pairs begin")
        if found is not None:
            manifest.check_same(self._out, found, self._document)
            if found["num"] == self._options.num and found["complete"]:
                return True
        elif (self._out / "manifest.jsonl").exists():
            raise UserError(
                f"{self._out} has a manifest.jsonl and no manifest.json: it is no set "
                "of pairs that could be gone on with, choose another folder."
            )
        if jax.process_index() == 0:
            manifest.write_document(self._out, self._document)
        return False

    def draw(self) -> int:
        """Draws this process's chunks that are not done; how many pairs it drew."""
        if self._whole:
            self._progress(self._options.num)
            return 0
        drawn = 0
        chunks = range(-(-self._options.num // self._size))
        for chunk in chunks[jax.process_index() :: jax.process_count()]:
            pairs = self._pairs(chunk)
            if self._is_done(chunk, pairs):
                self._progress(len(pairs))
                continue
            self._draw(chunk, pairs)
            drawn += len(pairs)
        return drawn

    def _pairs(self, chunk: int) -> range:
        """The indices of a chunk's pairs."""
        first = chunk * self._size
        return range(first, min(first + self._size, self._options.num))

    def _record(self, chunk: int) -> Path:
        return self._out / PARTS / f"{chunk:06d}.json"

    def _latents(self, chunk: int) -> Path:
        return self._out / PARTS / f"{chunk:06d}.npz"

    def _file(self, side: str, index: int) -> Path:
        return self._root / side / f"{manifest.picture_name(index)}.png"

    def _is_done(self, chunk: int, pairs: range) -> bool:
        """Whether the record names these pairs and their files are there."""
        try:
            lines = json.loads(self._record(chunk).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        files = [self._latents(chunk)]
        files += [self._file(side, i) for side in manifest.SIDES for i in pairs]
        return [line["index"] for line in lines] == list(pairs) and all(
            file.is_file() for file in files
        )

    def _draw(self, chunk: int, pairs: range) -> None:
        self._record(chunk).unlink(missing_ok=True)
        seeds = [self._options.seed + i for i in pairs]
        w, own, pictures = self._sides.draw(seeds)
        waiting = []
        # Encoding and writing go on in threads while the devices draw.
        with ThreadPoolExecutor(default_workers()) as pool:
            indices = iter(pairs)
            for ours, theirs in pictures:
                for a, b in zip(ours, theirs, strict=True):
                    waiting.append(pool.submit(self._keep, next(indices), a, b))
                self._progress(len(ours))
            lines = [job.result() for job in waiting]
        latents = {"w": w} if own is None else {"w": w, "w_b": own}
        _save(self._latents(chunk), latents)
        write_text(self._record(chunk), json.dumps(lines))

    def _keep(self, index: int, a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
        """Writes the pictures of a pair; its line of the manifest."""
        for side, picture in zip(manifest.SIDES, (a, b), strict=True):
            write_bytes(self._file(side, index), encode_png(picture))
        seed = self._options.seed + index
        storage = self._options.storage
        return manifest.line_of(index, seed, storage, pixel_scores(a, b))

    def finish(self) -> None:
        """Joins the chunks and says that the set is complete; process 0 alone."""
        if not self._whole:
            self._join()
            manifest.write_document(self._out, {**self._document, "complete": True})
        if self._options.storage == "arrayrecord":
            for side in manifest.SIDES:
                shutil.rmtree(self._root / side, ignore_errors=True)
        # What killed processes left half-written.
        for folder in (self._out, self._out / PARTS, *map(self._root.joinpath, "AB")):
            for leftover in folder.glob(".*.part*"):
                if leftover.name != PARTS:
                    leftover.unlink(missing_ok=True)

    def _join(self) -> None:
        chunks = range(-(-self._options.num // self._size))
        lines: list[dict[str, Any]] = []
        arrays: dict[str, list[np.ndarray]] = {}
        for chunk in chunks:
            if not self._is_done(chunk, self._pairs(chunk)):
                raise UserError(
                    f"chunk {chunk} of {self._out} is not there: processes do not see "
                    "one folder, or it was changed meanwhile; run the command again."
                )
            lines += json.loads(self._record(chunk).read_text(encoding="utf-8"))
            with np.load(self._latents(chunk)) as found:
                for name in found.files:
                    arrays.setdefault(name, []).append(found[name])
        _save(self._out / "w.npz", {k: np.concatenate(v) for k, v in arrays.items()})
        if self._options.storage == "arrayrecord":
            for side in manifest.SIDES:
                self._pack(side)
        manifest.write_lines(self._out, lines)

    def _pack(self, side: str) -> None:
        indices = range(self._options.num)
        names = [f"{manifest.picture_name(i)}.png" for i in indices]
        pictures = (self._file(side, i).read_bytes() for i in indices)
        with replacing(self._out / f"{side}.arrayrecord") as aside:
            write_arrayrecord(str(aside), pictures, lambda: {"names": names})


def _save(path: Path, arrays: dict[str, Any]) -> None:
    """Writes an ``.npz``, atomically; equal arrays give equal bytes."""
    with replacing(path) as aside:
        np.savez(aside, **arrays)
