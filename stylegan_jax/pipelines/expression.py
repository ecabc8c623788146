"""Gives a face another one's expression: its place along given directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.directions import move_to_coordinates
from stylegan_jax.pipelines.edit import (
    EditOptions,
    checked,
    chosen_layers,
    foreign,
    latents_named,
    open_attributes,
    open_directions,
    open_faces,
    where,
)
from stylegan_jax.pipelines.edit_output import (
    Output,
    Table,
    check_output,
    write_tables,
)

HEADS = ("face", "transferred", "other")


def transfer_expression(
    model: str | Path,
    latents: str,
    like: str,
    directions: Sequence[str | Path],
    output: Output,
    draws: EditOptions | None = None,
    *,
    share: float = 1.0,
    reader: str | None = None,
    attributes: Sequence[str] = (),
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Moves faces within the span of directions to where other faces are in it.

    A sheet has every face, the result, and the other face; a film goes from the face to
    the result and back.

    Args:
        model: a generator's file or a run's folder.
        latents: seeds such as ``0-3``, or an ``.npz`` of latents.
        like: likewise: one for all faces, or one for each.
        directions: files, or names of those beside the model.
        output: where to.
        draws: None means the defaults.
        share: of the way, usually from 0 to 1.
        reader: what reads the pictures, see `attribute_readers.open_reader`.
        attributes: written below the pictures; none means all directions' own, or the
            reader's first.
        progress: called with the number of pictures done since the last call.

    Returns:
        JSON values: ``out``, ``faces``, ``others``, ``directions``, ``steps`` (of each
        face, how far it went along each direction, in its steps, mean over the layers
        that move), ``notes``, and with a reader ``readings`` ([face][face, transferred,
        other] by attribute).

    Raises:
        UserError: a file or an option is wrong, or shapes do not fit.
    """
    draws = draws or EditOptions()
    if not math.isfinite(share):
        raise UsageError(f"--share is a number such as 1, got {share:g}.")
    check_output(output, has_reader=reader is not None)
    opened = open_attributes(reader, attributes)
    faces = open_faces(model, latents, draws)
    layers = chosen_layers(faces, draws)
    found = open_directions(directions, model, faces)
    other, names = latents_named(faces.pictures, like, draws)
    if len(other) not in (1, len(faces.w_plus)):
        raise UserError(
            f"--like gives {len(other)} faces for {len(faces.w_plus)}: give one for "
            "all, or one for each."
        )
    arrays = [direction.array for _, direction in found]
    moved = move_to_coordinates(faces.w_plus, other, arrays, layers=layers, share=share)
    checked(moved, found[0][0])
    shown = list(attributes)
    if opened is not None and not shown:
        own = [d.attribute for _, d in found if d.attribute in opened.names]
        shown = [name for name in dict.fromkeys(own) if name] or [opened.names[0]]
    title = " and ".join(path.stem for path, _ in found)
    columns = [faces.w_plus, moved, np.broadcast_to(other, moved.shape)]
    names = names if len(names) == len(faces.names) else names * len(faces.names)
    table = Table(
        title=f"{title}, {where(draws)}, share {share:g}",
        name="like",
        heads=HEADS,
        rows=[f"{a} like {b}" for a, b in zip(faces.names, names, strict=True)],
        w_plus=np.stack(columns, axis=1),
        attributes=shown,
        film_columns=2,
    )
    (read,) = write_tables(
        faces.pictures, [table], output, reader=opened, progress=progress
    )
    return {
        "out": str(output.out),
        "faces": list(faces.names),
        "others": names,
        "layers": layers,
        "share": share,
        "directions": [path.stem for path, _ in found],
        "steps": _steps(moved - faces.w_plus, arrays, layers),
        "notes": foreign(found, faces.file),
        **({"readings": {k: v.tolist() for k, v in read.items()}} if read else {}),
    }


def _steps(
    way: np.ndarray, directions: Sequence[np.ndarray], layers: Sequence[int] | None
) -> list[list[float]]:
    """Strengths [face][direction] that make the way; the shortest where they depend."""
    chosen = list(range(way.shape[1])) if layers is None else list(layers)
    steps = np.zeros((len(way), len(directions)))
    for layer in chosen:
        rows = np.stack([np.broadcast_to(d, way.shape[1:])[layer] for d in directions])
        steps += np.linalg.lstsq(
            rows.T.astype(np.float64), way[:, layer].T.astype(np.float64), rcond=None
        )[0].T
    return (steps / len(chosen)).round(6).tolist()
