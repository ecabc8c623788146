"""Moves faces along directions and shows what each strength does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import check_truncation
from stylegan_jax.checkpoints.load import find_model, load_generator
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.attribute_reader import AttributeReader
from stylegan_jax.latents.latent_pictures import LatentPictures, edit, parse_layers
from stylegan_jax.pipelines.attribute_readers import check_attributes, open_reader
from stylegan_jax.pipelines.direction_files import (
    Direction,
    find_direction,
    load_direction,
)
from stylegan_jax.pipelines.edit_output import (
    Output,
    Table,
    check_output,
    monotone,
    write_tables,
)
from stylegan_jax.pipelines.generate import parse_seeds
from stylegan_jax.pipelines.latent_files import latents_of

MAX_STRENGTHS = 1000


@dataclasses.dataclass(frozen=True)
class EditOptions:
    """Of latents and pictures.

    Attributes:
        truncation_psi: of latents from seeds.
        truncation_cutoff: how many first layers are truncated; None means all.
        noise_mode: ``const`` or ``none``.
        label: class, where the model is conditional.
        layers: such as ``0-7``: those that move; None means all.
    """

    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None
    noise_mode: str = "const"
    label: int | None = None
    layers: str | None = None


@dataclasses.dataclass(frozen=True)
class Faces:
    """Faces to be edited.

    Attributes:
        pictures: of the generator.
        file: the generator's.
        w_plus: [R, num_ws, w_dim] float32.
        names: [R], such as ``seed 3``.
    """

    pictures: LatentPictures
    file: Path
    w_plus: np.ndarray
    names: Sequence[str]


def parse_strengths(text: str) -> list[float]:
    """Reads strengths: ``-3:3:7`` for 7 from -3 to 3, or ``-2,0,2``.

    Raises:
        UsageError: it is written otherwise.
    """
    wrong = UsageError(
        f"the strengths '{text}' are no numbers: write -3:3:7 for 7 from -3 to 3, or "
        "-2,0,2."
    )
    try:
        if ":" in text:
            first, last, count = text.split(":")
            number = int(count)
            if not 2 <= number <= MAX_STRENGTHS:
                raise UsageError(
                    f"there are 2 to {MAX_STRENGTHS} strengths from {first} to {last}, "
                    f"got {number}."
                )
            ends = float(first), float(last)
            if not all(map(math.isfinite, ends)):
                raise wrong
            strengths = np.linspace(*ends, number).tolist()
        else:
            strengths = [float(word) for word in text.split(",")]
    except ValueError as error:
        raise (error if isinstance(error, UsageError) else wrong) from None
    if not all(map(math.isfinite, strengths)):
        raise wrong
    return strengths


def edit_faces(
    model: str | Path,
    latents: str,
    directions: Sequence[str | Path],
    strengths: Sequence[float],
    output: Output,
    draws: EditOptions | None = None,
    *,
    reader: str | None = None,
    attributes: Sequence[str] = (),
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Writes every face at every strength, a table for each direction.

    Args:
        model: a generator's file or a run's folder.
        latents: seeds such as ``0-3``, or an ``.npz`` of latents.
        directions: files, or names of those beside the model.
        strengths: factors of the directions; see `parse_strengths`.
        output: where to.
        draws: None means the defaults.
        reader: what reads the pictures, see `attribute_readers.open_reader`.
        attributes: written below the pictures; none means the direction's own, or the
            reader's first.
        progress: called with the number of pictures done since the last call.

    Returns:
        JSON values: ``out``, ``faces``, ``strengths``, ``notes`` (sentences), and
        ``directions``: of each ``name``, ``file``, ``norm``, and with a reader
        ``readings`` ([face][strength] by attribute) and ``monotone`` (see
        `edit_output.monotone`).

    Raises:
        UserError: a file or an option is wrong, or shapes do not fit.
    """
    draws = draws or EditOptions()
    check_output(output, has_reader=reader is not None)
    opened = open_attributes(reader, attributes)
    faces = open_faces(model, latents, draws)
    layers = chosen_layers(faces, draws)
    found = open_directions(directions, model, faces)
    tables = []
    for path, direction in found:
        # What overflows is refused in a sentence.
        with np.errstate(over="ignore", invalid="ignore"):
            moved = [
                checked(edit(faces.w_plus, direction.array, strength, layers), path)
                for strength in strengths
            ]
        tables.append(
            Table(
                title=f"{path.stem}, {where(draws)}",
                name=path.stem,
                heads=[f"{strength:+.3g}" for strength in strengths],
                rows=faces.names,
                w_plus=np.stack(moved, axis=1),
                attributes=_shown(opened, attributes, direction),
            )
        )
    read = write_tables(
        faces.pictures, tables, output, reader=opened, progress=progress
    )
    return {
        "out": str(output.out),
        "faces": list(faces.names),
        "strengths": list(strengths),
        "layers": layers,
        "directions": [
            {
                "name": path.stem,
                "file": str(path),
                "norm": direction.norm,
                "attributes": list(table.attributes),
                **_judged(readings, len(strengths)),
            }
            for (path, direction), table, readings in zip(
                found, tables, read, strict=True
            )
        ],
        "notes": [*foreign(found, faces.file), *_other_shown(found, tables)],
    }


def open_faces(model: str | Path, latents: str, draws: EditOptions) -> Faces:
    """Opens the generator and the latents.

    Raises:
        UserError: there are none, or they do not fit.
    """
    file = find_model(model)
    generator = load_generator(file)
    check_truncation(draws.truncation_psi, draws.truncation_cutoff, generator.num_ws)
    pictures = LatentPictures(generator, noise_mode=draws.noise_mode)
    return Faces(pictures, file, *latents_named(pictures, latents, draws))


def latents_named(
    pictures: LatentPictures, latents: str, draws: EditOptions
) -> tuple[np.ndarray, list[str]]:
    """w_plus [R, num_ws, w_dim] of seeds or of a file, and what to call them."""
    is_file = latents.lower().endswith(".npz")
    seeds = None if is_file else parse_seeds(latents)
    w_plus = latents_of(
        pictures,
        seeds=seeds,
        file=latents if is_file else None,
        truncation_psi=draws.truncation_psi,
        truncation_cutoff=draws.truncation_cutoff,
        label=draws.label,
    )
    if seeds is not None:
        return w_plus, [f"seed {seed}" for seed in seeds]
    return w_plus, [f"latent {i}" for i in range(len(w_plus))]


def open_directions(
    directions: Sequence[str | Path], model: str | Path, faces: Faces
) -> list[tuple[Path, Direction]]:
    """Finds and reads directions; raises `UserError` where one does not fit."""
    if not directions:
        raise UsageError("say along what: --direction FILE_OR_NAME.")
    found = []
    for name in directions:
        path = find_direction(name, model)
        direction = load_direction(path)
        shape = faces.w_plus.shape[1:]
        if direction.unit.shape not in (shape, shape[1:]):
            raise UserError(
                f"{path} is {list(direction.unit.shape)} and this model's directions "
                f"are [{shape[1]}] or [{shape[0]}, {shape[1]}]."
            )
        found.append((path, direction))
    return found


def open_attributes(
    reader: str | None, attributes: Sequence[str]
) -> AttributeReader | None:
    """Opens a reader and checks what it shall show; None for none."""
    if reader is None:
        if attributes:
            raise UsageError("--attribute goes with --reader.")
        return None
    opened = open_reader(reader)
    check_attributes(opened, attributes, reader)
    return opened


def chosen_layers(faces: Faces, draws: EditOptions) -> list[int] | None:
    """The layers that move; None means all."""
    number = faces.w_plus.shape[1]
    return None if draws.layers is None else parse_layers(draws.layers, number)


def where(draws: EditOptions) -> str:
    """``all layers`` or ``layers 0-7``."""
    return "all layers" if draws.layers is None else f"layers {draws.layers}"


def checked(w_plus: np.ndarray, path: Path) -> np.ndarray:
    """Latents as they are; raises `UsageError` where they are no numbers any more."""
    if not np.isfinite(w_plus).all():
        raise UsageError(f"{path} at this strength moves latents beyond all numbers.")
    return w_plus


def foreign(found: Sequence[tuple[Path, Direction]], model: Path) -> list[str]:
    """Sentences on directions that were found on another model's latents."""
    told = {
        path: document["sha256"]
        for path, direction in found
        if isinstance(document := direction.provenance.get("model"), dict)
        and "sha256" in document
    }
    own = sha256_of(model) if told else ""
    return [
        f"{path} was found on another model: it means the same here only if one is "
        "made from the other"
        for path, sha256 in told.items()
        if sha256 != own
    ]


def _shown(
    reader: AttributeReader | None, attributes: Sequence[str], direction: Direction
) -> Sequence[str]:
    if reader is None or attributes:
        return attributes
    own = direction.attribute
    return [own] if own in reader.names else reader.names[:1]


def _other_shown(
    found: Sequence[tuple[Path, Direction]], tables: Sequence[Table]
) -> list[str]:
    """Sentences on directions whose attribute is not what is written on their table."""
    return [
        f"{path} moves {own} and the readings are of {', '.join(table.attributes)}"
        for (path, direction), table in zip(found, tables, strict=True)
        if table.attributes
        and (own := direction.attribute)
        and own not in table.attributes
    ]


def _judged(readings: dict[str, np.ndarray], columns: int) -> dict[str, Any]:
    if not readings:
        return {}
    judged: dict[str, Any] = {
        "readings": {name: values.tolist() for name, values in readings.items()}
    }
    if columns > 1:
        judged["monotone"] = {name: monotone(v) for name, v in readings.items()}
    return judged
