"""Pictures in the style that a model has learned, one output for each."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data import images, sources
from stylegan_jax.data.parallel import default_workers, ordered_map
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.faces.align import output_stems
from stylegan_jax.faces.names import check_names
from stylegan_jax.pipelines.stylize_inputs import open_pictures, stamp
from stylegan_jax.pipelines.stylize_options import Options
from stylegan_jax.pipelines.stylize_records import SHEET, Latents, Records
from stylegan_jax.pipelines.stylize_sheet import output_row, write_sheet
from stylegan_jax.pipelines.stylize_stylists import Stylist, open_stylist

# Pictures computed at a time, where nobody says otherwise: outputs of about as many
# pixels wait in memory.
CHUNK_PIXELS, MOST = 2**25, 64

# The part of what a model sees that is the picture itself; None for all of it.
Window = tuple[slice, slice] | None
Seen = tuple[np.ndarray, Window]


@dataclasses.dataclass(frozen=True)
class Stylized:
    """What `stylize` did.

    Attributes:
        path: the folder of outputs.
        model: the model file.
        pictures: how many pictures were asked for.
        stylized: how many of them have their outputs now.
        kept: how many of those had them before.
        failed: picture without outputs → the reason.
        latents: the file of latents; None where none were kept.
        sheet: the contact sheet; None where none was asked for.
    """

    path: str
    model: str
    pictures: int
    stylized: int
    kept: int
    failed: dict[str, str]
    latents: str | None = None
    sheet: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists for `json.dumps`."""
        return dataclasses.asdict(self)


def stylize(
    model: str | Path,
    src: str | os.PathLike,
    dst: str | os.PathLike,
    options: Options | None = None,
    *,
    num: int | None = None,
    batch: int | None = None,
    save_w: bool = False,
    sheet: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], Any] | None = None,
) -> Stylized:
    """Puts pictures through a model; run again, it does what is not done yet.

    ``dst`` gets a PNG for each picture (and factor), with the picture's path, and
    ``stylize.json``, which `stylize_records` describes. An output depends on its
    picture, the model and the options alone.

    Args:
        model: a model file or a run's folder.
        src: a picture, or whatever `data.sources.open_source` takes; of faces, aligned
            as those the model was trained on. A pSp refuses pictures that are not
            square; of others a student sees the central square.
        dst: folder of outputs.
        options: how; None means plainly.
        num: only the first so many pictures; None means all.
        batch: about how many pictures are computed at a time; changes no output.
        save_w: also write ``w.npz`` with the latents of every output, before mixing.
        sheet: also write ``sheet.png``.
        overwrite: do all anew, where ``dst`` was made by this function.
        progress: called with (pictures done, pictures).

    Returns:
        What was done. Pictures that cannot be read or do not fit raise nothing.

    Raises:
        UserError: a model that takes no pictures, options that do not fit it, nothing
            to read, a folder with something else in it, or no room.
    """
    options = options or Options()
    options.check()
    for name, value in (("num", num), ("batch", batch)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is at least 1, got {value}.")
    source = open_pictures(src)
    check_names(source.names, str(src))
    _check_destination(src, dst)
    file = find_model(model)
    stylist, document = open_stylist(file, options)
    if save_w and not stylist.has_latents:
        raise UsageError(
            f"{file} turns pictures into pictures without latents: leave save-w out."
        )
    begun = {"model": document, "settings": {**options.to_json(), **stylist.document}}
    names = source.names[:num]
    # First the records: overwriting takes the latents away.
    records = Records(dst, begun, overwrite=overwrite)
    task = _Task(source, Path(dst), stylist, options, save_w)
    todo = [i for i in range(len(names)) if not task.is_done(records, i)]
    kept, tick = len(names) - len(todo), progress or (lambda done, total: None)
    tick(kept, len(names))
    with records:
        task.run(records, todo, batch, lambda done: tick(kept + done, len(names)))
    entries = records.close(names)
    if sheet:
        write_sheet(
            Path(dst) / SHEET,
            source,
            entries,
            kind=stylist.kind,
            heads=task.heads(),
            coupled=options.couple,
            title=file.name,
        )
    failed = {k: v["reason"] for k, v in entries.items() if not v["outputs"]}
    done = len(entries) - len(failed)
    return Stylized(
        path=str(dst),
        model=str(file),
        pictures=len(entries),
        stylized=done,
        kept=kept,
        failed=failed,
        latents=str(task.latents.path) if task.latents.kept and done else None,
        sheet=str(Path(dst) / SHEET) if sheet and done else None,
    )


class _Task:
    """One call of `stylize`."""

    def __init__(
        self,
        source: sources.Source,
        dst: Path,
        stylist: Stylist,
        options: Options,
        save_w: bool,
    ):
        self._source, self._dst, self._stylist = source, dst, stylist
        self._options, self._save_w = options, save_w
        self._stems = output_stems(list(source.names))
        self.latents = Latents(dst, wanted=save_w)

    def is_done(self, records: Records, index: int) -> bool:
        """Whether a picture's outputs, and latents that are wanted, are there."""
        name = self._source.names[index]
        return records.done(name, stamp(self._source, index)) and (
            not self._save_w or self.latents.has(self._files(index))
        )

    def heads(self) -> list[str]:
        """A name for each output of a picture, those of all its files in turn."""
        own = self._stylist.heads
        if not self._options.factors:
            return own
        if len(own) == 1:
            return [f"x{factor}" for factor in self._options.factors]
        return [f"x{f}, {head}" for f in self._options.factors for head in own]

    def run(
        self,
        records: Records,
        todo: Sequence[int],
        batch: int | None,
        tick: Callable[[int], Any],
    ) -> None:
        """Makes the outputs of the pictures numbered ``todo``."""
        reading = ordered_map(lambda i: self._read(todo[i]), len(todo))
        size, done = batch or self._chunk(), 0
        with ThreadPoolExecutor(default_workers()) as pool:
            for start in range(0, len(todo), size):
                part = list(islice(reading, size))
                entries = self._make(todo[start : start + size], part, pool)
                # What the records call done has its latents.
                self.latents.flush()
                for index, entry in entries:
                    records.add(self._source.names[index], entry)
                    done += 1
                    tick(done)
        self.latents.save()

    def _chunk(self) -> int:
        height, width, _ = self._stylist.image_shape
        each = height * width * len(self.heads())
        return max(1, min(MOST, CHUNK_PIXELS // each))

    def _files(self, index: int) -> list[str]:
        """The outputs of a picture."""
        stem = self._stems[index]
        if not self._options.factors:
            return [f"{stem}.png"]
        return [f"{stem}_x{factor}.png" for factor in self._options.factors]

    def _read(self, index: int) -> Seen | str:
        """The picture as the model sees it, or why it cannot be had."""
        name, kind = self._source.names[index], self._stylist.kind
        try:
            data = self._source.read(index)
            return kind.read(data, name), kind.window(data, name)
        except images.BrokenPicture as error:
            return error.reason

    def _make(
        self,
        indices: Sequence[int],
        pictures: Sequence[Seen | str],
        pool: ThreadPoolExecutor,
    ) -> list[tuple[int, dict[str, Any]]]:
        """Writes the outputs of some pictures; their entries of ``stylize.json``."""
        entries: list[tuple[int, dict[str, Any]]] = []
        whole: list[tuple[int, Seen]] = []
        for index, picture in zip(indices, pictures, strict=True):
            entry = {"stamp": stamp(self._source, index), "outputs": []}
            if isinstance(picture, str):
                entries.append((index, {**entry, "reason": picture}))
            else:
                whole.append((index, picture))
                entries.append((index, {**entry, "outputs": self._files(index)}))
        if not whole:
            return entries
        clean = np.stack([picture for _, (picture, _) in whole])
        writing = []
        for place, factor in enumerate(self._options.factors or (None,)):
            seen = clean if factor is None else self._stylist.degrade(clean, factor)
            outputs, w_plus = self._stylist.work(seen)
            for row, (index, (_, window)) in enumerate(whole):
                file = self._files(index)[place]
                shown = (outputs[row], seen[row], window)
                writing.append(pool.submit(self._write, file, *shown))
                if w_plus is not None and self.latents.kept:
                    self.latents.add(file, w_plus[row])
        for job in writing:
            job.result()
        return entries

    def _write(
        self, file: str, outputs: np.ndarray, seen: np.ndarray, window: Window
    ) -> None:
        shown = self._stylist.kind.show(seen) if self._options.couple else None
        if window is not None:  # the model's input and output have one size
            outputs = outputs[:, *window]
            shown = None if shown is None else shown[window]
        row = output_row(outputs, shown, self._options.resize_output)
        save_png(self._dst / file, row)


def _check_destination(src: str | os.PathLike, dst: str | os.PathLike) -> None:
    """Refuses to write outputs among the pictures, where they would be next time's."""
    origin, target = Path(src).resolve(), Path(dst).resolve()
    if origin == target or (origin.is_dir() and origin in target.parents):
        raise UserError(
            f"{dst} lies inside {src}, the pictures: choose another destination."
        )
    if target.exists() and not target.is_dir():
        raise UserError(f"{dst} is a file: name a folder for the outputs.")
