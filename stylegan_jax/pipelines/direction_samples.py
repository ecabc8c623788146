"""Latents and what a reader reads from their pictures, kept in a file for reuse.

The file is an ``.npz`` with ``w`` [N, w_dim], ``seeds`` [N] where they were drawn from
seeds, ``readings`` [N, A] with their ``names`` and ``kinds`` [A], and ``document``,
JSON text of all that they depend on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import MAX_SEED
from stylegan_jax.checkpoints.atomic import replacing
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.attribute_reader import KINDS, AttributeReader
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.pipelines.direction_files import read_arrays
from stylegan_jax.pipelines.latent_files import latents_of

# Latents that are mapped, and pictures that are read, together.
STEP = 1024
AT_A_TIME = 64


@dataclasses.dataclass(frozen=True)
class Latents:
    """Latents of pictures.

    Attributes:
        w: [N, w_dim] float32.
        seeds: [N] int64, those that they were drawn from; None for a file's.
        pictures: [N, H, W, C] uint8, where a file brought them.
    """

    w: np.ndarray
    seeds: np.ndarray | None
    pictures: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Readings:
    """What a reader read.

    Attributes:
        values: [N] float32 by attribute.
        kinds: ``binary`` or ``number`` by attribute.
    """

    values: dict[str, np.ndarray]
    kinds: dict[str, str]


@dataclasses.dataclass(frozen=True)
class DrawOptions:
    """Which latents and pictures are used.

    Attributes:
        num: how many, for a reader.
        seed: latent i is drawn from this seed + i.
        truncation_psi: of the latents.
        noise_mode: of the pictures, ``const`` or ``none``.
        label: class, where the model is conditional.
        w_file: an ``.npz`` of latents instead.
    """

    num: int = 5000
    seed: int = 0
    truncation_psi: float = 0.7
    noise_mode: str = "const"
    label: int | None = None
    w_file: str | Path | None = None


def draw_w(
    pictures: LatentPictures,
    seeds: Sequence[int],
    *,
    truncation_psi: float,
    label: int | None = None,
) -> np.ndarray:
    """The w of seeds, [N, w_dim] float32, truncated."""
    parts = []
    for i in range(0, len(seeds), STEP):
        z = pictures.model.latents(list(seeds[i : i + STEP]))
        w_plus = pictures.w_plus(z, truncation_psi=truncation_psi, label=label)
        # Without a cutoff the latents of all layers are one.
        parts.append(w_plus[:, 0].copy())
    return np.concatenate(parts)


def read_w(pictures: LatentPictures, path: str | Path) -> Latents:
    """The w of a file of latents.

    Args:
        pictures: of the generator that they belong to.
        path: an ``.npz`` with ``w`` (or ``w_plus`` or ``z``, alike in all layers), and
            optionally ``seeds`` [N] and ``pictures`` [N, H, W, C] uint8.

    Raises:
        UserError: it cannot be read, does not fit the model, or layers differ.
    """
    w_plus = latents_of(pictures, seeds=None, file=path)
    if not (w_plus == w_plus[:, :1]).all():
        raise UserError(
            f"the latents of {path} differ from layer to layer and a direction is "
            "fitted to one w for all: give an array w."
        )
    arrays = read_arrays(path)
    w, seeds, drawn = w_plus[:, 0].copy(), arrays.get("seeds"), arrays.get("pictures")
    if seeds is not None and (
        seeds.shape != w.shape[:1] or seeds.dtype.kind not in "iu"
    ):
        raise UserError(f"seeds of {path} must be [{len(w)}] whole numbers.")
    if drawn is not None and (
        drawn.ndim != 4 or len(drawn) != len(w) or drawn.dtype != np.uint8
    ):
        raise UserError(f"pictures of {path} must be [{len(w)}, H, W, C] uint8.")
    return Latents(w, None if seeds is None else seeds.astype(np.int64), drawn)


def take_latents(pictures: LatentPictures, draws: DrawOptions) -> Latents:
    """The latents that options ask for, read from a file or drawn from seeds.

    Raises:
        UserError: the file does not fit, or there are not as many seeds.
    """
    if draws.w_file is not None:
        return read_w(pictures, draws.w_file)
    if draws.num < 1 or draws.seed + draws.num - 1 > MAX_SEED:
        raise UsageError(
            f"seeds go up to {MAX_SEED}: {draws.num} from {draws.seed} on do not fit."
        )
    seeds = range(draws.seed, draws.seed + draws.num)
    w = draw_w(pictures, seeds, truncation_psi=draws.truncation_psi, label=draws.label)
    return Latents(w, np.array(seeds, np.int64), None)


def latents_document(draws: DrawOptions) -> dict[str, Any]:
    """Where latents are from, as JSON values for provenance."""
    if draws.w_file is not None:
        name = Path(draws.w_file).name
        return {"latents": {"file": name, "sha256": sha256_of(draws.w_file)}}
    return {
        "latents": {"seed": draws.seed, "num": draws.num},
        "psi": draws.truncation_psi,
        "label": draws.label,
    }


def model_document(file: Path) -> dict[str, Any]:
    """The name and the sha256 of a model's file, as JSON values."""
    return {"file": file.name, "sha256": sha256_of(file)}


def read_pictures(
    pictures: LatentPictures,
    latents: Latents,
    reader: AttributeReader,
    *,
    progress: Callable[[int], Any] | None = None,
) -> Readings:
    """Reads all attributes of latents' pictures, drawn unless a file brought them."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in reader.names}
    for part in _batches(pictures, latents):
        read = reader.read(part)
        for name in reader.names:
            parts[name].append(np.asarray(read[name], np.float32))
        if progress is not None:
            progress(len(part))
    values = {name: np.concatenate(part) for name, part in parts.items()}
    wrong = [name for name, value in values.items() if not np.isfinite(value).all()]
    if wrong:
        raise UserError(
            f"readings of {', '.join(wrong)} are not finite: look at the pictures that "
            "the model draws, or give another reader."
        )
    return Readings(values, {name: reader.kinds[name] for name in reader.names})


def _batches(pictures: LatentPictures, latents: Latents) -> Iterator[np.ndarray]:
    """Pictures in groups: a reader is quicker with many than with a tile."""
    if latents.pictures is not None:
        for i in range(0, len(latents.pictures), AT_A_TIME):
            yield latents.pictures[i : i + AT_A_TIME]
        return
    waiting: list[np.ndarray] = []
    for part in pictures.iter_images(_all_layers(pictures, latents.w)):
        waiting.append(part)
        if sum(map(len, waiting)) >= AT_A_TIME:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _all_layers(pictures: LatentPictures, w: np.ndarray) -> Iterator[np.ndarray]:
    for i in range(0, len(w), AT_A_TIME):
        yield np.repeat(w[i : i + AT_A_TIME, None], pictures.model.num_ws, axis=1)


def samples_name(document: dict[str, Any]) -> str:
    """A file's name that stands for all that samples depend on."""
    text = json.dumps(document, sort_keys=True).encode()
    return f"samples-{hashlib.sha256(text).hexdigest()[:12]}.npz"


def write_samples(
    path: str | Path, latents: Latents, readings: Readings, document: dict[str, Any]
) -> None:
    """Writes samples, atomically; see this module's description."""
    names = list(readings.values)
    arrays = {
        "w": latents.w,
        "readings": np.stack([readings.values[name] for name in names], axis=1),
        "names": np.array(names),
        "kinds": np.array([readings.kinds[name] for name in names]),
        "document": np.array(json.dumps(document)),
    }
    if latents.seeds is not None:
        arrays["seeds"] = latents.seeds
    with replacing(path) as aside:
        # Not **arrays: an array may have any name.
        np.savez(aside, allow_pickle=False, **arrays)


def read_samples(
    path: str | Path, wanted: dict[str, Any]
) -> tuple[np.ndarray, Readings]:
    """Reads samples.

    Args:
        path: of the file.
        wanted: the document that they are asked for with.

    Returns:
        w [N, w_dim] float32, and the readings.

    Raises:
        UserError: no such file, or it was made otherwise.
    """
    arrays = read_arrays(path)
    needed = ("w", "readings", "names", "kinds", "document")
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise UserError(
            f"{path} holds no samples, it lacks {', '.join(missing)}: give another "
            "name."
        )
    try:
        document = json.loads(str(arrays["document"]))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it.") from error
    wanted = json.loads(json.dumps(wanted))  # tuples become lists
    if document != wanted:
        others = document if isinstance(document, dict) else {}
        differing = [
            name for name, value in wanted.items() if others.get(name) != value
        ]
        raise UserError(
            f"{path} was made with another {', '.join(differing) or 'document'}: give "
            "--samples another name, or delete it."
        )
    w, values = arrays["w"], arrays["readings"]
    names, kinds = (arrays[name].astype(str).tolist() for name in ("names", "kinds"))
    fits = w.ndim == 2 and values.shape == (len(w), len(names))
    if not fits or len(kinds) != len(names) or not set(kinds) <= set(KINDS):
        raise UserError(f"{path} is damaged, its arrays do not match: delete it.")
    return w.astype(np.float32), Readings(
        {name: values[:, i].astype(np.float32) for i, name in enumerate(names)},
        dict(zip(names, kinds, strict=True)),
    )
