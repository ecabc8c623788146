"""All pairs of a face space's faces, half and half, on one sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet, thumbnail
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.errors import UsageError
from stylegan_jax.latents.shares import labels, parse_faces
from stylegan_jax.pipelines.facespace_blend import check_picture_name, collect
from stylegan_jax.pipelines.facespace_open import check_blends
from stylegan_jax.pipelines.page_text import cut, font_of

# Faces on one sheet: 24 of them are 300 blends.
MOST = 24
# Names above columns may be so wide, in pixels, also where pictures are smaller.
HEAD = 90


def grid(
    space: FaceSpaceModel,
    out: str | Path,
    *,
    faces: Sequence[str] = (),
    cell: int = 96,
    noise_mode: str = "none",
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Draws the sheet: photos on the margins, the blend of row and column inside.

    On the diagonal stands each face by itself, as the space draws it.

    Args:
        space: the face space.
        out: a name ending in ``.png``.
        faces: names or numbers; none means all.
        cell: largest side of a picture.
        noise_mode: ``none`` or ``const``.
        progress: called with the number of pictures drawn since the last call.

    Returns:
        JSON values: ``out``, ``faces`` (names) and ``blends`` (how many pairs).

    Raises:
        UserError: options are wrong, faces are unknown or too many for a sheet.
    """
    check_picture_name(space, out)
    if cell < 1:
        raise UsageError(f"--cell is at least 1 pixel, got {cell}.")
    chosen = parse_faces(faces, space.names) if faces else range(len(space.names))
    chosen = list(dict.fromkeys(chosen))
    if len(chosen) < 2:
        raise UsageError("a grid needs at least two faces.")
    if len(chosen) > MOST:
        raise UsageError(
            f"a grid has {MOST} faces at most, got {len(chosen)}: choose some with "
            "--faces."
        )
    number = len(chosen)
    pairs = list(itertools.combinations_with_replacement(range(number), 2))
    shares = np.zeros((len(pairs), len(space.names)))
    for i, (a, b) in enumerate(pairs):
        shares[i, chosen[a]] += 0.5
        shares[i, chosen[b]] += 0.5
    w_plus = space.w_plus(check_blends(space, shares))
    drawn = collect(space.iter_draw(w_plus, noise_mode=noise_mode), progress)
    found = dict(zip(pairs, drawn, strict=True))
    margins = _margins(space, chosen, [found[i, i] for i in range(number)])
    # A corner of the page's own colour: nothing is there.
    corner = np.full((*space.image_shape[:2], 3), (251, 250, 248), np.uint8)
    rows = [Row("", [corner, *margins])]
    for a in range(number):
        inner = [found[min(a, b), max(a, b)] for b in range(number)]
        rows.append(Row(_name(space, chosen[a], 150), [margins[a], *inner]))
    heads = ["", *(_name(space, face, max(cell, HEAD)) for face in chosen)]
    title = "Photos on the margins; inside half of the row's face, half of the column's"
    save_png(out, draw_sheet([Section(title, heads, rows)], cell=cell))
    return {
        "out": str(out),
        "faces": [space.names[face] for face in chosen],
        "blends": len(pairs) - number,
    }


def _margins(
    space: FaceSpaceModel, chosen: Sequence[int], drawn: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The photos at the pictures' size; without photos the faces themselves."""
    if space.photos is None:
        return list(drawn)
    size = space.image_shape[:2]
    return [np.asarray(thumbnail(space.photos[face], size)) for face in chosen]


def _name(space: FaceSpaceModel, face: int, width: int) -> str:
    return cut(labels(space.names)[face], font_of(14), width)
