"""Outputs laid out for people: rows of one picture, and a sheet of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet, viewable
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data import images, sources
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.stylize_inputs import Kind

# Rows of the sheet, at most, and letters of a picture's name.
MAX_ROWS, MAX_LABEL = 100, 32


def output_row(
    outputs: np.ndarray, seen: np.ndarray | None, height: int | None
) -> np.ndarray:
    """The outputs of one picture side by side, as one picture.

    Args:
        outputs: [V, H, W, C] uint8.
        seen: what the model saw, [S, S, 3] uint8, put in front with the outputs'
            height; None leaves it out.
        height: of the outputs; None leaves their own.

    Returns:
        [H, W', C] uint8; RGB where ``seen`` is there.
    """
    if height is not None:
        outputs = np.stack([_scaled(image, height) for image in outputs])
    cells = list(outputs)
    if seen is not None:
        cells = [_scaled(seen, outputs.shape[1]), *map(viewable, cells)]
    return np.concatenate(cells, axis=1)


def write_sheet(
    path: Path,
    source: sources.Source,
    entries: Mapping[str, Mapping[str, Sequence[str]]],
    *,
    kind: Kind,
    heads: Sequence[str],
    coupled: bool,
    title: str,
) -> int:
    """Writes a sheet of pictures and their outputs, the first `MAX_ROWS` of them.

    Args:
        path: of the sheet.
        source: the pictures.
        entries: by picture: its ``outputs``, files beside the sheet.
        kind: what the model sees.
        heads: a name for each output of a picture, those of all its files in turn.
        coupled: whether the files begin with what the model saw.
        title: above the sheet.

    Returns:
        How many rows it has.

    Raises:
        UserError: a picture or an output is damaged or gone.
    """
    rows, places = [], {name: i for i, name in enumerate(source.names)}
    shown = [name for name, entry in entries.items() if entry["outputs"]][:MAX_ROWS]
    for name in shown:
        files = entries[name]["outputs"]
        per_file = len(heads) // len(files)
        data = source.read(places[name])
        seen, window = kind.show(kind.read(data, name)), kind.window(data, name)
        seen = seen if window is None else seen[window]
        outputs = [
            cell
            for file in files
            for cell in _cells(path.parent / file, per_file, seen if coupled else None)
        ]
        seen = _scaled(seen, outputs[0].shape[0])
        label = name if len(name) <= MAX_LABEL else f"…{name[1 - MAX_LABEL :]}"
        rows.append(Row(label, [seen, *outputs]))
    if rows:
        section = Section(title, ["source", *heads], rows)
        save_png(path, draw_sheet([section]))
    return len(rows)


def _cells(file: Path, number: int, seen: np.ndarray | None) -> list[np.ndarray]:
    """The outputs in a file that `output_row` made, with ``seen`` or without."""
    try:
        picture = images.to_array(images.decode(file.read_bytes(), file.name))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}).") from error
    if seen is not None:
        picture = picture[:, _width(seen, picture.shape[0]) :]
    return np.split(picture, number, axis=1)


def _scaled(picture: np.ndarray, height: int) -> np.ndarray:
    """A picture [H, W, C] of another height."""
    if picture.shape[0] == height:
        return picture
    width = _width(picture, height)
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    return images.to_array(image.resize((width, height), Image.Resampling.LANCZOS))


def _width(picture: np.ndarray, height: int) -> int:
    """The width that goes with another height of a picture."""
    return max(1, round(picture.shape[1] * height / picture.shape[0]))
