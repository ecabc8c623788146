"""Edited faces as a labelled sheet, a film, or a folder, with readings if asked for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.atomic import replacing, write_text
from stylegan_jax.checkpoints.contact_sheet import (
    Row,
    Section,
    cell_size,
    draw_sheet,
    viewable,
)
from stylegan_jax.checkpoints.pictures import PNG_MODES, image_grid, save_png
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.attribute_reader import AttributeReader
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.latents.morph import EASINGS
from stylegan_jax.pipelines.films import KINDS, check_film, write_film

CAPTION = 18
# Pictures that a reader reads together.
AT_A_TIME = 64
# Frames that a GIF's colours are chosen from.
PALETTE_FRAMES = 16


@dataclasses.dataclass(frozen=True)
class Table:
    """Latents of a table's pictures.

    Attributes:
        title: above it.
        name: short, for files.
        heads: of the columns.
        rows: labels of the rows.
        w_plus: [R, C, num_ws, w_dim] float32.
        attributes: those that are written below the pictures, where there is a reader.
        film_columns: how many first columns a film moves through; None means all.
    """

    title: str
    name: str
    heads: Sequence[str]
    rows: Sequence[str]
    w_plus: np.ndarray
    attributes: Sequence[str] = ()
    film_columns: int | None = None


@dataclasses.dataclass(frozen=True)
class Output:
    """Where to and how pictures are written.

    Attributes:
        out: a ``.png`` for one sheet, a ``.gif`` or ``.mp4`` for a film, else a folder.
        cell: largest side of a picture on the sheet.
        frames: of a film, one way.
        fps: frames per second.
    """

    out: str | Path
    cell: int = 256
    frames: int = 30
    fps: int = 25

    @property
    def kind(self) -> str:
        """``sheet``, ``film`` or ``folder``."""
        suffix = Path(self.out).suffix.lower()
        return {".png": "sheet", **dict.fromkeys(KINDS, "film")}.get(suffix, "folder")


def check_output(output: Output, *, has_reader: bool) -> None:
    """Refuses what cannot be written, before anything is drawn.

    Raises:
        UserError: a name, a number or a combination that cannot be.
    """
    path = Path(output.out)
    if output.cell < 1:
        raise UsageError(f"--cell is at least 1 pixel, got {output.cell}.")
    if output.kind == "film":
        check_film(path, output.fps)
        if output.frames < 2:
            raise UsageError(f"a film needs 2 frames or more, got {output.frames}.")
        if has_reader:
            raise UsageError(
                "--reader writes below pictures and a film has none: give --out a "
                ".png or a folder."
            )
    elif output.kind == "sheet":
        if path.is_dir():
            raise UsageError(f"{path} is a folder: choose another name.")
    elif path.is_file() or path.suffix.lower() in (".jpg", ".jpeg", ".webp", ".npz"):
        raise UsageError(
            f"cannot write to {path}: give a .png for a sheet, a .gif or .mp4 for a "
            "film, or a folder."
        )


def write_tables(
    pictures: LatentPictures,
    tables: Sequence[Table],
    output: Output,
    *,
    reader: AttributeReader | None = None,
    progress: Callable[[int], Any] | None = None,
) -> list[dict[str, np.ndarray]]:
    """Draws and writes tables.

    Args:
        pictures: of the generator.
        tables: one below the other.
        output: see `check_output`, which was called.
        reader: reads the pictures; None for none.
        progress: called with the number of pictures done since the last call.

    Returns:
        For each table, [R, C] float32 by attribute; empty without a reader.

    Raises:
        UserError: pictures of no colours, or a place that cannot be written.
    """
    if pictures.model.image_shape[2] not in PNG_MODES:
        raise UserError(
            f"this model draws {pictures.model.image_shape[2]} channels and a PNG "
            "holds 1 to 4."
        )
    if output.kind == "film":
        _write_film(pictures, tables, output, progress)
        return [{} for _ in tables]
    drawn = _draw(pictures, tables, progress)
    if output.kind == "folder":
        return _write_folder(tables, drawn, Path(output.out), reader)
    return _write_sheet(tables, drawn, output, reader)


def monotone(readings: np.ndarray) -> dict[str, Any]:
    """How readings [R, C] go along a row, as JSON values.

    Returns:
        ``mean`` by column, ``rising`` and ``falling``: whether the means always do,
        and ``rows_rising``, ``rows_falling``: the share of rows that never turn.
    """
    means = readings.astype(np.float64).mean(0)
    steps, all_steps = np.diff(means), np.diff(readings, axis=1)
    return {
        "mean": [round(float(m), 6) for m in means],
        "rising": bool((steps > 0).all()),
        "falling": bool((steps < 0).all()),
        "rows_rising": float((all_steps >= 0).all(1).mean()),
        "rows_falling": float((all_steps <= 0).all(1).mean()),
    }


def _draw(
    pictures: LatentPictures,
    tables: Sequence[Table],
    progress: Callable[[int], Any] | None,
) -> Iterator[np.ndarray]:
    """All tables' pictures one by one, row by row; the devices see one long list."""
    flat = (table.w_plus.reshape(-1, *table.w_plus.shape[2:]) for table in tables)
    for part in pictures.iter_images(flat):
        # Before the pictures: nobody asks for more after the last.
        if progress is not None:
            progress(len(part))
        yield from part


def _take(
    table: Table, drawn: Iterator[np.ndarray], reader: AttributeReader | None
) -> Iterator[tuple[int, np.ndarray, dict[str, float]]]:
    """Position in the table, picture and readings, in groups for the reader's sake."""
    total = table.w_plus.shape[0] * table.w_plus.shape[1]
    for start in range(0, total, AT_A_TIME):
        group = np.stack([next(drawn) for _ in range(min(AT_A_TIME, total - start))])
        read = {} if reader is None else reader.read(group)
        for i, picture in enumerate(group):
            yield start + i, picture, {name: float(v[i]) for name, v in read.items()}


def _collect(table: Table, found: Sequence[dict[str, float]]) -> dict[str, np.ndarray]:
    shape = table.w_plus.shape[:2]
    return {
        name: np.array([read[name] for read in found], np.float32).reshape(shape)
        for name in found[0]
    }


def _write_sheet(
    tables: Sequence[Table],
    drawn: Iterator[np.ndarray],
    output: Output,
    reader: AttributeReader | None,
) -> list[dict[str, np.ndarray]]:
    sections, results = [], []
    for table in tables:
        cells, found = [], []
        for _, picture, read in _take(table, drawn, reader):
            lines = [f"{name} {read[name]:.3g}" for name in table.attributes]
            cells.append(captioned(picture, lines if read else [], output.cell))
            found.append(read)
        columns = len(table.heads)
        rows = [
            Row(label, cells[i * columns : (i + 1) * columns])
            for i, label in enumerate(table.rows)
        ]
        sections.append(Section(table.title, table.heads, rows))
        results.append(_collect(table, found))
    # Cells have the size that they shall have: they are not scaled again.
    largest = max(max(row.pictures[0].shape[:2]) for s in sections for row in s.rows)
    save_png(output.out, draw_sheet(sections, cell=largest))
    return results


def captioned(picture: np.ndarray, lines: Sequence[str], cell: int) -> np.ndarray:
    """A picture scaled to fit a cell, with lines of text below it.

    Args:
        picture: [H, W, C] uint8.
        lines: of text.
        cell: largest side of the picture.

    Returns:
        [h + `CAPTION` per line, w, 3] uint8.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = cell_size(picture.shape, cell)
    image = Image.fromarray(viewable(picture))
    larger = height >= image.height
    how = Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS
    page = Image.new("RGB", (width, height + CAPTION * len(lines)), "white")
    page.paste(image.resize((width, height), how), (0, 0))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for i, line in enumerate(lines):
        draw.text((2, height + CAPTION * i + 1), line, "black", font)
    return np.asarray(page)


def _write_folder(
    tables: Sequence[Table],
    drawn: Iterator[np.ndarray],
    folder: Path,
    reader: AttributeReader | None,
) -> list[dict[str, np.ndarray]]:
    """PNGs, ``w.npz`` with their latents, ``edit.json`` with names and readings."""
    names: list[str] = []
    results, entries = [], []
    for table in tables:
        columns, found = len(table.heads), []
        for place, picture, read in _take(table, drawn, reader):
            row, column = divmod(place, columns)
            label = table.rows[row].replace(" ", "")
            names.append(f"{label}-{table.name}-{column:02d}.png")
            save_png(folder / names[-1], picture)
            found.append(read)
            entries.append(
                {
                    "file": names[-1],
                    "table": table.title,
                    "row": table.rows[row],
                    "column": table.heads[column],
                    "readings": read,
                }
            )
        results.append(_collect(table, found))
    flat = [table.w_plus.reshape(-1, *table.w_plus.shape[2:]) for table in tables]
    with replacing(folder / "w.npz") as aside:
        np.savez(aside, w_plus=np.concatenate(flat), names=np.array(names))
    write_text(folder / "edit.json", json.dumps(entries, indent=1) + "\n")
    return results


def _write_film(
    pictures: LatentPictures,
    tables: Sequence[Table],
    output: Output,
    progress: Callable[[int], Any] | None,
) -> None:
    """All rows side by side, there and back, table after table."""
    most = max(table.w_plus.shape[0] for table in tables)

    def latents(times: Sequence[float]) -> Iterator[np.ndarray]:
        for table in tables:
            for time in times:
                yield _at(table, EASINGS["cosine"](time))

    def frames(times: Sequence[float]) -> Iterator[np.ndarray]:
        waiting: list[np.ndarray] = []
        sizes = iter([len(table.rows) for table in tables for _ in times])
        size = next(sizes)
        for part in pictures.iter_images(latents(times)):
            for picture in part:
                waiting.append(picture)
                if len(waiting) == size:
                    yield image_grid(np.stack(waiting), most)
                    waiting, size = [], next(sizes, 0)
            if progress is not None:
                progress(len(part))

    there = np.linspace(0, 1, output.frames)
    times = [*there, *there[-2:0:-1]]
    share = max(1, PALETTE_FRAMES // len(tables))
    palette = np.stack(list(frames(np.linspace(0, 1, share).tolist())))
    write_film(output.out, frames(times), fps=output.fps, loop=True, palette=palette)


def _at(table: Table, share: float) -> np.ndarray:
    """The rows' latents [R, num_ws, w_dim] at a share of the way over the columns."""
    columns = table.film_columns or table.w_plus.shape[1]
    place = share * (columns - 1)
    left = min(int(place), columns - 2) if columns > 1 else 0
    part = np.float32(place - left)
    start = table.w_plus[:, left]
    end = table.w_plus[:, min(left + 1, columns - 1)]
    return start + part * (end - start)
