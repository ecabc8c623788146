"""Latents from seeds or from files, for the commands that move and mix them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.errors import UserError
from stylegan_jax.latents.latent_pictures import LatentPictures

# Arrays that a file of latents may hold, in the order in which they are looked for.
KEYS = ("w_plus", "w", "z")


def read_latents(path: str | Path) -> tuple[str, np.ndarray]:
    """Reads an ``.npz`` with ``w_plus``, ``w`` or ``z``.

    Args:
        path: the file; ``w`` of three axes is taken for ``w_plus``, as NVIDIA's
            projector writes it.

    Returns:
        The name of the space, and [N, D] or [N, num_ws, D] float32.

    Raises:
        UserError: it cannot be read, or holds no such array.
    """
    # NumPy's own word of what is no archive is how to load it unsafely.
    if Path(path).is_file() and not zipfile.is_zipfile(path):
        raise UserError(f"{path} is no .npz file: save latents with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as found:
            names = [name for name in KEYS if name in found.files]
            if not names:
                raise UserError(
                    f"{path} has no array {', '.join(KEYS)} (it has "
                    f"{', '.join(found.files) or 'none'})."
                )
            space, array = names[0], found[names[0]]
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is no .npz file: {error}.") from error
    space = "w_plus" if space == "w" and array.ndim == 3 else space
    axes = 3 if space == "w_plus" else 2
    if array.ndim != axes or array.dtype.kind not in "fiu" or not len(array):
        raise UserError(
            f"{space} of {path} must have {axes} axes of numbers, got "
            f"{list(array.shape)} {array.dtype}."
        )
    if not np.isfinite(array).all():
        raise UserError(f"{space} of {path} has numbers that are not finite.")
    return space, array.astype(np.float32)


def latents_of(
    pictures: LatentPictures,
    *,
    seeds: Sequence[int] | None,
    file: str | Path | None,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    label: int | None = None,
) -> np.ndarray:
    """Latents as w_plus, of seeds or of a file.

    Args:
        pictures: of the generator.
        seeds: integers from 0 to 2^32 - 1; None where a file is given.
        file: see `read_latents`; its w and w_plus are not truncated.
        truncation_psi: 1 leaves the latents as they are.
        truncation_cutoff: how many first layers are truncated; None means all.
        label: class, where the model is conditional.

    Returns:
        [N, num_ws, w_dim] float32.

    Raises:
        UserError: the file does not fit the model, or the label does not.
    """
    model = pictures.model
    if file is None:
        space, array = "z", model.latents(list(seeds or ()))
    else:
        space, array = read_latents(file)
    check_width(array, space, model, file)
    if space == "z":
        return pictures.w_plus(
            array,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            label=label,
        )
    if space == "w":
        return np.repeat(array[:, None], model.num_ws, axis=1)
    return array


def check_width(
    array: np.ndarray, space: str, model: GeneratorNetwork, file: object
) -> None:
    """Raises `UserError` unless latents of a space fit a model."""
    wanted = {
        "z": (model.module.z_dim,),
        "w": (model.module.w_dim,),
        "w_plus": (model.num_ws, model.module.w_dim),
    }[space]
    if array.shape[1:] != wanted:
        raise UserError(
            f"{space} of {file} is [N, {', '.join(map(str, array.shape[1:]))}] and this"
            f" model's is [N, {', '.join(map(str, wanted))}]."
        )
