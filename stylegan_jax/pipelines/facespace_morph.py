"""A film from blend to blend of a face space."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.errors import UsageError
from stylegan_jax.latents.morph import frame_times
from stylegan_jax.latents.shares import parse_shares, shares_at
from stylegan_jax.pipelines.facespace_open import check_blends
from stylegan_jax.pipelines.films import check_film, write_film
from stylegan_jax.pipelines.weight_bars import Bars

# Frames that are drawn together, and that a GIF's colours are chosen from.
STEP, PALETTE_FRAMES = 64, 16
MAX_FRAMES = 100_000


@dataclasses.dataclass(frozen=True)
class Options:
    """How a film moves.

    Attributes:
        closed: back to the first blend; a GIF starts again.
        frames_per: frames of a leg.
        fps: frames per second.
        easing: one of `latents.morph.EASINGS`.
        path: one of `latents.shares.PATHS`.
        bars: draw the weights beside the picture.
        cell: largest side of the picture then.
        noise_mode: ``none`` or ``const``.
    """

    closed: bool = False
    frames_per: int = 30
    fps: int = 25
    easing: str = "cosine"
    path: str = "simplex"
    bars: bool = False
    cell: int = 256
    noise_mode: str = "none"


def morph(
    space: FaceSpaceModel,
    stops: Sequence[str],
    out: str | Path,
    options: Options | None = None,
    *,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Writes the film; a frame depends on its blend alone, not on the devices.

    Args:
        space: the face space.
        stops: at least two faces or blends (``anna``, ``anna=.5,bela=.5``).
        out: a name ending in ``.gif`` or ``.mp4``.
        options: how it moves.
        progress: called with the number of frames done since the last call.

    Returns:
        JSON values: ``out``, ``frames``, ``seconds``, ``path`` and ``stops`` (weights
        by name).

    Raises:
        UserError: options are wrong, or the way passes nobody.
    """
    options = options or Options()
    check_film(out, options.fps)
    if len(stops) < 2:
        raise UsageError("a film needs at least two faces or blends to move between.")
    if options.cell < 1:
        raise UsageError(f"--cell is at least 1 pixel, got {options.cell}.")
    keys = np.stack([parse_shares(text, space.names) for text in stops])
    check_blends(space, keys)
    times = frame_times(len(keys), options.frames_per, loop=options.closed)
    if len(times) > MAX_FRAMES:
        raise UsageError(
            f"a film of {len(times)} frames is too long: {MAX_FRAMES} at most."
        )
    shares = shares_at(
        keys,
        space.codes.astype(np.float64),
        times,
        options.frames_per,
        easing=options.easing,
        path=options.path,
    )
    check_blends(space, shares)
    frames = _Frames(space, shares, options)
    chosen = np.linspace(0, len(times) - 1, min(PALETTE_FRAMES, len(times)))
    count = write_film(
        out,
        frames.draw(shares, progress),
        fps=options.fps,
        loop=options.closed,
        palette=np.stack(list(frames.draw(shares[np.round(chosen).astype(int)]))),
    )
    return {
        "out": str(out),
        "frames": count,
        "seconds": count / options.fps,
        "path": options.path,
        "stops": [dict(zip(space.names, row.tolist(), strict=True)) for row in keys],
    }


class _Frames:
    """Draws a film's frames, all with the same rows of bars."""

    def __init__(self, space: FaceSpaceModel, shares: np.ndarray, options: Options):
        self._space, self._options, self._bars = space, options, None
        if not options.bars:
            return
        photos = space.photos
        if photos is None:
            photos = space.images(space.codes, noise_mode=options.noise_mode)
        self._bars = Bars.of(
            space.names,
            photos,
            shares,
            cell=options.cell,
            shape=space.image_shape,
        )

    def draw(
        self, shares: np.ndarray, progress: Callable[[int], Any] | None = None
    ) -> Iterator[np.ndarray]:
        """Frames [h, w, C] uint8 of shares [T, N]."""
        done = 0
        for start in range(0, len(shares), STEP):
            w_plus = self._space.latents(shares[start : start + STEP])
            noise = self._options.noise_mode
            for part in self._space.iter_draw(w_plus, noise_mode=noise):
                for picture in part:
                    yield self._frame(picture, shares[done])
                    done += 1
                if progress is not None:
                    progress(len(part))

    def _frame(self, picture: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return picture if self._bars is None else self._bars.draw(picture, shares)
