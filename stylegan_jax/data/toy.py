"""Procedural faces with known attributes: the data of the demo and of the tests."""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from stylegan_jax.data import images, prepare, sources
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.data.toy_canvas import Canvas, Style
from stylegan_jax.data.toy_faces import draw_face
from stylegan_jax.data.toy_traits import draw_traits
from stylegan_jax.errors import UserError


def draw(seed: int, style: Style, size: int) -> tuple[Image.Image, dict[str, Any]]:
    """Draws one face.

    Args:
        seed: decides every attribute; equal in both styles.
        style: ``photo`` (soft shading, slight noise) or ``comic`` (flat colours, ink).
        size: side in pixels.

    Returns:
        An RGB picture and the face's attributes (`toy_traits.Traits.attributes`).

    Raises:
        UserError: unknown style, or a size below 8.
    """
    if style not in get_args(Style):
        raise UserError(
            f"style is {style!r}, choose from {', '.join(get_args(Style))}."
        )
    if not 8 <= size <= 4096:
        raise UserError(f"size is {size}, expected 8 to 4096 pixels.")
    traits = draw_traits(seed)
    # Pillow draws without anti-aliasing: drawn larger, then averaged down.
    scale = 4 if size <= 64 else 3 if size <= 128 else 2
    canvas = Canvas(
        size * scale,
        style,
        yaw=math.radians(traits.yaw),
        roll=math.radians(traits.roll),
    )
    draw_face(canvas, traits)
    image = canvas.image.resize((size, size), Image.Resampling.BOX)
    if style == "photo":
        noise = np.random.default_rng([seed, 0xA01]).normal(0, 2.5, (size, size, 1))
        grainy = np.clip(np.asarray(image) + noise, 0, 255)
        image = Image.fromarray(grainy.astype(np.uint8))
    return image, traits.attributes()


def write_toy(
    dst: str | os.PathLike,
    *,
    style: Style,
    num: int,
    size: int,
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress = False,
) -> None:
    """Writes a folder of faces that `dataset.open_dataset` reads without converting.

    The folder has ``00000/img00000000.png`` and so on, `attributes.csv` with one row of
    all attributes per picture, and `dataset.json` with one class: 1 with glasses.

    Args:
        dst: folder to make; it appears when it is complete.
        style: ``photo`` or ``comic``.
        num: how many faces.
        size: side in pixels.
        seed: face i is drawn from ``seed + i``.
        overwrite: replace a dataset that this program wrote.
        workers: threads; None means one per core.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: ``dst`` exists, or as `draw`.
    """
    if num < 1:
        raise UserError(f"num is {num}, expected at least 1.")
    prepare.check_destination(dst, overwrite=overwrite)
    faces = ordered_map(
        lambda index: draw(seed + index, style, size),
        num,
        workers=workers,
        progress=progress,
        label="drawing",
    )
    rows = []
    with prepare.write_aside(dst) as temporary:
        for index, (image, attributes) in enumerate(faces):
            name = prepare.target_name(index)
            file = Path(temporary) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(images.encode_png(image))
            rows.append({"file": name, "seed": seed + index, **attributes})
        with (temporary / "attributes.csv").open("w", newline="") as handle:
            table = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        note = {
            "version": prepare.VERSION,
            "source": f"toy {style} faces",
            "shape": [size, size, 3],
            "num_images": num,
            "class_names": ["no glasses", "glasses"],
        }
        labels = [[row["file"], int(row["glasses"] != "none")] for row in rows]
        text = json.dumps({"labels": labels, sources.PROVENANCE: note})
        (temporary / sources.LABEL_FILE).write_text(text)
