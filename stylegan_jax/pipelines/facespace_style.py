"""A person of a face space in the style of others: some layers of W+ are theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.data.images import SUFFIXES
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import LatentPictures, parse_layers
from stylegan_jax.latents.mix import move_layers
from stylegan_jax.latents.shares import find_face, labels, parse_shares
from stylegan_jax.pipelines.edit import parse_strengths
from stylegan_jax.pipelines.edit_output import (
    Output,
    Table,
    check_output,
    write_tables,
)
from stylegan_jax.pipelines.facespace_open import check_blends, open_space
from stylegan_jax.pipelines.latent_files import latents_of
from stylegan_jax.pipelines.page_text import cut, font_of

# Styles on a sheet.
MOST = 100


@dataclasses.dataclass(frozen=True)
class Options:
    """What of a style is taken, and how it is shown.

    Attributes:
        layers: such as ``4-7``, from 0 for the coarsest; None means the finer half,
            which holds colours and textures, not shapes.
        strengths: such as ``0:1:5``: shares of the way to the style.
        cell: largest side of a picture on a sheet.
        frames: of a film, one way.
        fps: frames per second.
        noise_mode: ``none`` or ``const``.
    """

    layers: str | None = None
    strengths: str = "0:1:5"
    cell: int = 128
    frames: int = 30
    fps: int = 25
    noise_mode: str = "none"


def style(
    space: FaceSpaceModel,
    person: str,
    styles: Sequence[str],
    out: str | Path,
    options: Options | None = None,
    *,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Draws a person with growing shares of each style, and the style itself.

    Args:
        space: the face space.
        person: a face or a blend of it, such as ``anna`` or ``anna=.5,bela=.5``.
        styles: each a face or blend of the space; the file of another face space of the
            same generator, which stands for all of its faces; or an ``.npz`` of latents
            of this generator.
        out: a ``.png`` for a sheet with a row for each style, or a ``.gif`` or ``.mp4``
            for a film of all of them side by side.
        options: how.
        progress: called with the number of pictures drawn since the last call.

    Returns:
        JSON values: ``out``, ``person`` (weights by name), ``styles`` (labels),
        ``layers`` and ``strengths``.

    Raises:
        UserError: options are wrong, faces are unknown, or latents do not fit.
    """
    options = options or Options()
    output = Output(out, cell=options.cell, frames=options.frames, fps=options.fps)
    if output.kind == "folder":
        raise UsageError(
            f"a sheet's name ends in .png, and a film's in .gif or .mp4, got {out}."
        )
    check_output(output, has_reader=False)
    layers = parse_layers(
        options.layers or f"{space.num_ws // 2}-{space.num_ws - 1}", space.num_ws
    )
    strengths = parse_strengths(options.strengths)
    if output.kind == "film" and len(strengths) < 2:
        raise UsageError("a film needs at least two strengths, such as 0:1:2.")
    shares = parse_shares(person, space.names)
    check_blends(space, shares[None])
    own = np.asarray(space.latents(shares[None]))[0]
    pictures = LatentPictures(space.generator, noise_mode=options.noise_mode)
    names, w_plus = _styles(space, pictures, styles)
    moved = move_layers(own, w_plus, layers, strengths)
    who = _short(_called(space, person))
    table = Table(
        title=f"{who}: layers {told_layers(layers)} go to the style's",
        name="style",
        heads=[*(f"{s:g}" for s in strengths), "the style"],
        rows=[_short(_called(space, name)) for name in names],
        w_plus=np.concatenate([moved, w_plus[:, None]], axis=1),
        film_columns=len(strengths),
    )
    write_tables(pictures, [table], output, progress=progress)
    return {
        "out": str(out),
        "person": dict(zip(space.names, shares.tolist(), strict=True)),
        "styles": names,
        "layers": layers,
        "strengths": strengths,
    }


def _styles(
    space: FaceSpaceModel, pictures: LatentPictures, styles: Sequence[str]
) -> tuple[list[str], np.ndarray]:
    """A name and latents [num_ws, w_dim] for each style."""
    if not styles:
        raise UsageError("give at least one style.")
    all_names: list[str] = []
    found: list[np.ndarray] = []
    for text in styles:
        suffix = Path(text).suffix.lower()
        if suffix == ".npz":
            latents = latents_of(pictures, seeds=None, file=text)
            names = [f"{Path(text).stem} {i}" for i in range(len(latents))]
        elif suffix == ".safetensors":
            names, latents = _of_space(space, text)
        elif suffix in SUFFIXES and text not in space.names and Path(text).is_file():
            raise UsageError(
                f"{text} is a picture whose latents are not known: put the pictures of "
                "styles into a folder, fit a face space to them with stylegan-jax "
                "facespace fit STYLES/ MODEL styles.safetensors, and give that file."
            )
        else:
            shares = parse_shares(text, space.names)
            check_blends(space, shares[None])
            names, latents = [text], np.asarray(space.latents(shares[None]))
        all_names += names
        found.append(latents)
    if len(all_names) > MOST:
        raise UsageError(f"a sheet has {MOST} styles at most, got {len(all_names)}.")
    return all_names, np.concatenate(found)


def _of_space(space: FaceSpaceModel, file: str) -> tuple[list[str], np.ndarray]:
    """All faces of another face space, whose generator must be this one's twin."""
    other = open_space(file)
    if not _same(space.generator.variables, other.generator.variables):
        raise UserError(
            f"the generator of {file} is another one than this space's, so their "
            "latents mean different faces: fit it with the same one."
        )
    return list(other.names), np.asarray(other.w_plus(other.codes))


def _same(a: Any, b: Any) -> bool:
    """Whether two networks have the same weights."""
    mine, theirs = flatten(a), flatten(b)
    return mine.keys() == theirs.keys() and all(
        np.array_equal(leaf, theirs[name]) for name, leaf in mine.items()
    )


def _called(space: FaceSpaceModel, text: str) -> str:
    """What a face of the space is called in pictures; other names stay."""
    face = find_face(text, space.names)
    return text if face is None else labels(space.names)[face]


def _short(text: str) -> str:
    return cut(text, font_of(14), 200)


def told_layers(layers: Sequence[int]) -> str:
    """Layers as people write them: ``4-7``, or a list."""
    if len(layers) > 1 and list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}-{layers[-1]}"
    return ",".join(map(str, layers))
