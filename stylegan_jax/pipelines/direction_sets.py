"""Directions without labels (SeFa, PCA), and what is made of directions that are there.

Files are those of `direction_files`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import check_truncation
from stylegan_jax.checkpoints.load import find_model, load_generator
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.direction_fit import scale_of
from stylegan_jax.latents.directions import (
    closed_form_directions,
    deviations,
    principal_directions,
    project_out,
)
from stylegan_jax.latents.latent_pictures import LatentPictures, parse_layers
from stylegan_jax.latents.modulation import chosen_weights
from stylegan_jax.pipelines.direction_files import (
    check_out,
    direction_from,
    find_direction,
    load_direction,
    write_direction,
)
from stylegan_jax.pipelines.direction_samples import (
    DrawOptions,
    latents_document,
    model_document,
    take_latents,
)


def principal(
    model: str | Path, out: str | Path, *, num: int = 8, draws: DrawOptions
) -> list[dict[str, Any]]:
    """Writes the principal components of w as ``pca-00.npz`` and so on.

    Args:
        model: a generator's file or a run's folder.
        out: a folder.
        num: how many.
        draws: the latents that they are computed from.

    Returns:
        A row for each, as `describe` gives it.

    Raises:
        UserError: the model or an option is wrong.
    """
    file, pictures, w = _spread(model, out, draws)
    units, widths = principal_directions(w, num)
    share = widths**2 / np.var(w.astype(np.float64), axis=0, ddof=1).sum()
    extra = [{"explained": float(part)} for part in share]
    return _write_all(out, "pca", units, widths, extra, file, pictures, draws)


def closed_form(
    model: str | Path,
    out: str | Path,
    *,
    num: int = 8,
    layers: str | None = None,
    draws: DrawOptions,
) -> list[dict[str, Any]]:
    """Writes SeFa's directions as ``sefa-00.npz`` and so on.

    Args:
        model: a generator's file or a run's folder.
        out: a folder.
        num: how many.
        layers: such as ``0-7``: the latents whose layers count; None means all.
        draws: the latents whose spread along a direction is its norm.

    Returns:
        A row for each, as `describe` gives it.

    Raises:
        UserError: the model or an option is wrong.
    """
    file, pictures, w = _spread(model, out, draws)
    chosen = parse_layers(layers, pictures.model.num_ws) if layers else None
    weights = chosen_weights(pictures.model.variables, chosen)
    units, values = closed_form_directions(weights, num)
    extra = [{"eigenvalue": float(v), "layers": layers} for v in values]
    widths = deviations(w, units)
    return _write_all(out, "sefa", units, widths, extra, file, pictures, draws)


def _spread(
    model: str | Path, out: str | Path, draws: DrawOptions
) -> tuple[Path, LatentPictures, np.ndarray]:
    if Path(out).suffix or Path(out).is_file():
        raise UsageError(f"{out} gets several files: give a folder.")
    file = find_model(model)
    pictures = LatentPictures(load_generator(file), noise_mode=draws.noise_mode)
    check_truncation(draws.truncation_psi, None, pictures.model.num_ws)
    w = take_latents(pictures, draws).w
    scale_of(w)
    return file, pictures, w


def _write_all(
    out: str | Path,
    how: str,
    units: np.ndarray,
    widths: np.ndarray,
    extra: Sequence[dict[str, Any]],
    file: Path,
    pictures: LatentPictures,
    draws: DrawOptions,
) -> list[dict[str, Any]]:
    common = {
        "model": model_document(file),
        **latents_document(draws),
        "licence": pictures.model.metadata.get("licence", "not stated"),
    }
    rows = []
    for i, (unit, width) in enumerate(zip(units, widths, strict=True)):
        path = Path(out) / f"{how}-{i:02d}.npz"
        provenance = {"how": how, "index": i, **extra[i], **common}
        write_direction(path, direction_from(unit * width, provenance))
        rows.append(describe(path))
    return rows


def condition(
    direction: str | Path, on: Sequence[str | Path], out: str | Path
) -> dict[str, Any]:
    """Writes a direction without what others span; see `latents.project_out`.

    Args:
        direction: a file.
        on: files of the others.
        out: a name ending in ``.npz``.

    Returns:
        The row of `describe`, and ``kept``: the share of the length that is left.

    Raises:
        UserError: a file is wrong, shapes differ, or nothing is left.
    """
    check_out(out)
    found = load_direction(find_direction(direction))
    paths = [find_direction(path) for path in on]
    if not paths:
        raise UsageError("say which directions to take out: --on OTHER.npz.")
    units = [load_direction(path).unit for path in paths]
    left = project_out(found.array, units)
    full = np.linalg.norm(np.broadcast_to(found.array, left.shape).astype(np.float64))
    # What was measured was measured of the whole direction.
    kept = {k: v for k, v in found.provenance.items() if k != "measured"}
    provenance = {
        **kept,
        "conditioned": {
            "direction": Path(direction).name,
            "on": [path.name for path in paths],
            "accuracy_before": None
            if np.isnan(found.accuracy)
            else float(found.accuracy),
        },
    }
    write_direction(out, direction_from(left, provenance))
    return {**describe(out), "kept": float(np.linalg.norm(left) / full)}


def import_arrays(
    files: Sequence[str | Path], out: str | Path, *, licence: str = "not stated"
) -> list[dict[str, Any]]:
    """Writes public directions, ``.npy`` of [num_ws, w_dim], in this program's form.

    Where all rows are equal, as in those of 18 by 512, one row is kept.

    Args:
        files: the arrays; a direction's name is its file's.
        out: a folder.
        licence: to be kept with them.

    Returns:
        A row for each, as `describe` gives it.

    Raises:
        UserError: a file cannot be used, or two have one name.
    """
    if Path(out).is_file():
        raise UsageError(f"{out} gets several files: give a folder.")
    names = [Path(file).stem for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"several files are called {', '.join(twice)}: rename them.")
    # All are read before any is written.
    found = {
        name: load_direction(file) for name, file in zip(names, files, strict=True)
    }
    rows = []
    for (name, direction), file in zip(found.items(), files, strict=True):
        array = direction.array
        if array.ndim == 2 and (array == array[:1]).all():
            array = array[0]
        provenance = {
            "how": "import",
            "file": Path(file).name,
            "sha256": sha256_of(file),
            "licence": licence,
        }
        path = Path(out) / f"{name}.npz"
        write_direction(path, direction_from(array, provenance))
        rows.append(describe(path))
    return rows


def describe(path: str | Path) -> dict[str, Any]:
    """What a direction's file says, as JSON values.

    Returns:
        ``file``, ``shape``, ``norm``, ``accuracy`` (null where nothing was fitted) and
        ``provenance``.

    Raises:
        UserError: it is no direction.
    """
    found = load_direction(path)
    known = not np.isnan(found.accuracy)
    return {
        "file": str(path),
        "shape": list(found.unit.shape),
        "norm": found.norm,
        "accuracy": round(found.accuracy, 6) if known else None,
        "provenance": found.provenance,
    }
