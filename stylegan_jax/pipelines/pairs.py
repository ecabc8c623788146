"""Paired pictures: the same seeds through a base and a blend, or before and after an
edit; some sets have a third picture, of the opposite edit or of a second person.

The set is made in chunks of pairs. A chunk that is not done, or that has lost files, is
made again with the same result, since a pair depends on its seed alone. Processes take
chunks in turn and share nothing but the disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.pictures import encode_png
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.parallel import default_workers
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.pair_chunks import Chunks
from stylegan_jax.pipelines.pair_confidence import (
    Confidence,
    Readings,
    confidence_of,
)
from stylegan_jax.pipelines.pair_curation import bounds_of, curate
from stylegan_jax.pipelines.pair_manifest import (
    check_same,
    line_of,
    write_document,
    write_lines,
)
from stylegan_jax.pipelines.pair_pictures import smaller
from stylegan_jax.pipelines.pair_place import check_place, held
from stylegan_jax.pipelines.pair_scores import (
    Curation,
    Networks,
    pixel_scores,
    rounded,
    sharpness,
)
from stylegan_jax.pipelines.pair_sides import (
    Direction,
    Mix,
    Sides,
    check_seed_range,
    second_seed,
)
from stylegan_jax.training import spmd

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
        size: side of the pictures that are kept, made smaller by Lanczos' filter; None
            for that of the models.
    """

    num: int
    seed: int = 0
    truncation_psi: float = 0.7
    noise_mode: str = "none"
    label: int | None = None
    storage: str = "folder"
    size: int | None = None

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

    def kept_shape(self, drawn: tuple[int, int, int]) -> tuple[int, int, int]:
        """(H, W, C) of the pictures that are kept, from that of those drawn.

        Raises:
            UsageError: larger ones are asked for, or some without any pixels.
        """
        if self.size is None:
            return drawn
        height, width, channels = drawn
        if height != width or not 1 <= self.size <= height:
            raise UsageError(
                f"--size {self.size} cannot be had of {height}x{width} pictures: give "
                f"1 to {height}, for square ones."
            )
        return self.size, self.size, channels


def make_pairs(
    out: str | Path,
    base: str | Path,
    other: str | Path | Direction | Mix,
    options: Options,
    *,
    curation: Curation | None = None,
    confidence: Confidence | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Makes a set of pairs, or goes on with one; see docs/pairs.md for its files.

    Args:
        out: the folder; what is there already is not drawn again.
        base: the model of the first pictures, a file or a run's folder.
        other: the model of the second ones, or an edit of the first ones' latents,
            which may bring a third.
        options: how many, and how they are drawn.
        curation: also score the pairs with networks, mark those to keep, and write
            ``report.html``. Without it, what an earlier call judged stays as it is,
            and pairs that a curated set grows by are judged with its bounds.
        confidence: also keep only the pairs on which a reader of attributes sees that
            the edit worked; with or without ``curation``, whose bounds of an earlier
            call hold as well.
        progress: called with the number of pairs done since the last call.

    Returns:
        JSON values: ``out``, ``pairs``, ``kept``, ``drawn`` (by this process, in this
        call), ``not_scored`` (sentences on scores that could not be had) and ``notes``
        (sentences on what a person may not expect).

    Raises:
        UserError: models that make no pairs, other options than those that the folder
            was begun with, a folder that holds something else, another process at work
            in it, pictures that are damaged, or a full disk.
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
    # Whatever is refused is so before anything is drawn.
    options.kept_shape(sides.image_shape)
    readings = Readings(confidence, sides.document) if confidence else None
    check_place(out)
    with held(out):
        task = _Task(out, sides, options, progress, reads=readings is not None)
        drawn = task.draw()
        spmd.wait_for_all("pairs drawn")
        if jax.process_index() == 0:
            task.finish()
        spmd.wait_for_all("pairs listed")
        notes = list(sides.notes)
        not_scored = task.judge(curation, readings, notes)
        lines = manifest.read_pairs(out, kept=False)
    return {
        "out": str(out),
        **manifest.counts(lines),
        "drawn": drawn,
        "not_scored": not_scored,
        "notes": notes,
    }


class _Task:
    """One call of `make_pairs`."""

    def __init__(
        self,
        out: Path,
        sides: Sides,
        options: Options,
        progress: Callable[[int], Any] | None,
        *,
        reads: bool,
    ):
        self._out, self._sides, self._options = out, sides, options
        self._progress = progress or (lambda count: None)
        self._shape = options.kept_shape(sides.image_shape)
        height, width, _ = sides.image_shape
        size = max(LEAST, min(MOST, CHUNK_PIXELS // (height * width)))
        self._chunks = Chunks(out, options.storage, options.num, size, sides.names)
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
            "image_shape": list(self._shape),
            "chunk": size,
            "num": options.num,
            "complete": False,
        }
        # Bounds of an earlier curation, and how many pairs it judged.
        self._earlier: tuple[Curation, int] | None = None
        # What pairs were chosen by earlier; whether this call reads them anew.
        self._chosen: dict[str, Any] | None = None
        self._reads = reads
        self._before: dict[int, dict[str, Any]] = {}
        self._whole = self._begin()

    def _begin(self) -> bool:
        """Compares with what is there; whether all of it is done already."""
        found = manifest.read_document(self._out)
        whole = False
        if found is not None:
            check_same(self._out, found, self._document)
            self._remember(found)
            done = found["num"] == self._options.num and found["complete"]
            whole = done and self._chunks.is_whole()
        # All processes have looked before one writes.
        spmd.wait_for_all("pairs begin")
        if not whole and jax.process_index() == 0:
            write_document(self._out, self._document)
        return whole

    def _remember(self, found: Mapping[str, Any]) -> None:
        """Notes what was judged, by a curation or by hand: it is not judged again."""
        listed = (self._out / "manifest.jsonl").is_file()
        if listed:
            lines = manifest.read_pairs(self._out, kept=False)
            self._before = {line["index"]: line for line in lines}
        self._earlier = bounds_of(self._out, found)
        if self._earlier is not None:
            judged = self._earlier[1] if listed else 0
            self._earlier = (self._earlier[0], judged)
            self._document["curation"] = {**found["curation"], "judged": judged}
        self._chosen = confidence_of(self._out, found)
        if self._chosen is not None:
            if self._options.num > found["num"] and not self._reads:
                raise UserError(
                    f"{self._out} keeps pairs by a reading of "
                    f"{self._chosen['attribute']}, and it is to grow: give "
                    "--keep-confident and --reader again."
                )
            self._chosen["judged"] = self._chosen["judged"] if listed else 0
            self._document["confidence"] = self._chosen

    def judge(
        self, curation: Curation | None, readings: Readings | None, notes: list[str]
    ) -> list[str]:
        """Marks the pairs to keep, where they are asked for or were not judged yet.

        Args:
            curation: bounds of this call.
            readings: what reads pairs in this call.
            notes: gets a sentence where some pairs alone are judged.

        Returns:
            Sentences on scores that could not be had.
        """
        first, num = 0, self._options.num
        if curation is None and readings is None:
            judged = [self._earlier[1]] if self._earlier else []
            judged += [self._chosen["judged"]] if self._chosen else []
            first = min(judged, default=num)
            if first >= num:
                return []
            notes.append(
                f"the set was curated: pairs from {first} on are judged with its "
                "bounds, those before stay as they are"
            )
        if curation is None and self._earlier is not None:
            curation = self._earlier[0]
        networks = Networks(self._shape) if curation else None
        curate(
            self._out,
            curation,
            networks,
            first=first,
            confidence=readings.entry if readings else self._chosen,
            readings=readings,
        )
        return networks.not_scored if networks else []

    def draw(self) -> int:
        """Draws this process's chunks that are not done; how many pairs it drew."""
        if self._whole:
            self._progress(self._options.num)
            return 0
        drawn = 0
        chunks = range(len(self._chunks))
        for chunk in chunks[jax.process_index() :: jax.process_count()]:
            pairs = self._chunks.pairs(chunk)
            if self._chunks.is_done(chunk):
                self._progress(len(pairs))
                continue
            self._draw(chunk, pairs)
            drawn += len(pairs)
        return drawn

    def _draw(self, chunk: int, pairs: range) -> None:
        self._chunks.begin(chunk)
        seeds = [self._options.seed + i for i in pairs]
        w, own, pictures = self._sides.draw(seeds)
        waiting = []
        # Encoding and writing go on in threads while the devices draw.
        with ThreadPoolExecutor(default_workers()) as pool:
            indices = iter(pairs)
            for sides in pictures:
                for pair in zip(*sides, strict=True):
                    waiting.append(pool.submit(self._keep, next(indices), pair))
                self._progress(len(sides[0]))
            lines = [job.result() for job in waiting]
        latents = {"w": w}
        if own is not None and self._sides.own_w is not None:
            latents[self._sides.own_w] = own
        self._chunks.end(chunk, lines, latents)

    def _keep(self, index: int, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
        """Writes the pictures of a pair; its line of the record."""
        if self._shape != self._sides.image_shape:
            pictures = [smaller(picture, self._shape[0]) for picture in pictures]
        seed = self._options.seed + index
        scores = pixel_scores(*pictures[:2])
        if len(pictures) > 2:
            scores["sharpness_c"] = rounded(sharpness(pictures[2]))
        names = self._sides.names
        line = line_of(index, seed, self._options.storage, scores, names)
        if self._sides.own_w == "w_c":
            line["seed_c"] = second_seed(seed)
        return self._chunks.write_pair(line, [encode_png(x) for x in pictures])

    def finish(self) -> None:
        """Joins the chunks and says that the set is complete; process 0 alone."""
        if not self._whole:
            lines = [self._judged(line) for line in self._chunks.join()]
            write_lines(self._out, lines)
            write_document(self._out, {**self._document, "complete": True})
        self._chunks.clean()

    def _judged(self, line: dict[str, Any]) -> dict[str, Any]:
        """A line with what the manifest said of its pair before."""
        before = self._before.get(line["index"])
        if before is None:
            return line
        return {
            **line,
            "scores": {**before.get("scores", {}), **line["scores"]},
            "keep": before.get("keep", True),
            "reasons": before.get("reasons", []),
        }
