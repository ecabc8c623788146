"""A film that moves through the latents of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import check_truncation
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.errors import UsageError
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.latents.morph import SPACES, frame_times, latents_at
from stylegan_jax.pipelines.films import check_film, write_film
from stylegan_jax.pipelines.latent_files import check_width, latents_of, read_latents

# Frames whose latents are computed together.
STEP = 64
# Frames that a GIF's colours are chosen from.
PALETTE_FRAMES = 16
MAX_FRAMES = 100_000


def morph(
    model: GeneratorNetwork,
    out: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    latents: str | Path | None = None,
    space: str | None = None,
    frames_per: int = 30,
    fps: int = 30,
    easing: str = "cosine",
    loop: bool = False,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    noise_mode: str = "const",
    label: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Writes the film; a frame depends on its latent alone, not on the devices.

    Args:
        model: a generator.
        out: a name ending in ``.gif`` or ``.mp4``.
        seeds: of the pictures that it passes; None where a file is given.
        latents: an ``.npz`` with ``w_plus``, ``w`` or ``z`` instead.
        space: what is interpolated: ``z`` (along great circles), ``w`` or ``w_plus``.
            None means w, and w_plus for a file of w_plus.
        frames_per: frames from one picture to the next.
        fps: frames per second.
        easing: one of `latents.morph.EASINGS`.
        loop: whether it goes back to the first picture, and a GIF starts again.
        truncation_psi: of pictures from seeds or z.
        truncation_cutoff: how many first layers are truncated; None means all.
        noise_mode: ``const`` or ``none``.
        label: class, where the model is conditional.
        progress: called with the number of frames done since the last call.

    Returns:
        JSON values: ``out``, ``frames``, ``seconds`` and ``space``.

    Raises:
        UserError: options are wrong, or latents do not fit the model or the space.
    """
    check_film(out, fps)
    check_truncation(truncation_psi, truncation_cutoff, model.num_ws)
    if (seeds is None) == (latents is None):
        raise UsageError("a film needs either seeds or a file of latents.")
    pictures = LatentPictures(model, noise_mode=noise_mode)
    cut: dict[str, Any] = {
        "truncation_psi": truncation_psi,
        "truncation_cutoff": truncation_cutoff,
        "label": label,
    }
    if latents is None:
        source, z = "z", model.latents(list(seeds or ()))
    else:
        source, z = read_latents(latents)
    space = _space(space, source)
    if space == "z":
        check_width(z, "z", model, latents)
        keys = z
    else:
        keys = latents_of(pictures, seeds=seeds, file=latents, **cut)
    times = frame_times(len(keys), frames_per, loop=loop)
    if len(times) > MAX_FRAMES:
        raise UsageError(
            f"a film of {len(times)} frames is too long: {MAX_FRAMES} at most."
        )

    def w_plus_at(part: list[tuple[int, int]]) -> np.ndarray:
        found = latents_at(
            keys, part, frames_per, easing=easing, spherical=space == "z"
        )
        return pictures.w_plus(found, **cut) if space == "z" else found

    def frames() -> Iterator[np.ndarray]:
        parts = (w_plus_at(times[i : i + STEP]) for i in range(0, len(times), STEP))
        for images in pictures.iter_images(parts):
            yield from images
            if progress is not None:
                progress(len(images))

    chosen = np.linspace(0, len(times) - 1, min(PALETTE_FRAMES, len(times)))
    sample = pictures.images(w_plus_at([times[round(i)] for i in chosen]))
    count = write_film(out, frames(), fps=fps, loop=loop, palette=sample)
    return {"out": str(out), "frames": count, "seconds": count / fps, "space": space}


def _space(space: str | None, source: str) -> str:
    """The space to interpolate in; raises `UsageError` where the latents lack it."""
    if space is None:
        return "w_plus" if source == "w_plus" else "w"
    if space not in SPACES:
        raise UsageError(f"unknown space {space!r}: choose from {', '.join(SPACES)}.")
    # From z to w to w_plus there is a way, and none back.
    if SPACES.index(space) < SPACES.index(source):
        raise UsageError(
            f"the latents are in {source} and cannot be moved in {space}: leave "
            "--space out, or give latents of that space."
        )
    return space
