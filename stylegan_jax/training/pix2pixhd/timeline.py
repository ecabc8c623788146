"""A film of one pair over the training: source, output, target."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_jax.checkpoints.atomic import write_bytes
from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.training.pair_samples import cell_of

# Milliseconds that a frame stays, and that the last one does.
FRAME, LAST = 250, 2000
# More frames than anyone watches; they are thinned out evenly.
MOST_FRAMES = 120


class Timeline:
    """Frames ``samples/timeline/NIMG.png`` and the film ``samples/timeline.gif``.

    The frames are files, so a run that goes on continues its film.
    """

    def __init__(self, samples: Path):
        """Args: the run's folder of samples."""
        self._frames = samples / "timeline"
        self._film = samples / "timeline.gif"

    def add(
        self, nimg: int, source: np.ndarray, output: np.ndarray, target: np.ndarray
    ) -> None:
        """Adds a frame and writes the film anew.

        Args:
            nimg: the moment, in pairs seen.
            source: [H, W, 3] uint8.
            output: the same.
            target: the same.
        """
        heads = ["source", f"output at {nimg / 1000:g} kimg", "target"]
        row = Row("", [source, output, target])
        cell = max(128, cell_of(output[None]))
        frame = draw_sheet([Section("", heads, [row])], cell=cell)
        save_png(self._frames / f"{nimg:010d}.png", frame)
        files = sorted(self._frames.glob("*.png"))
        if len(files) > MOST_FRAMES:
            picked = np.linspace(0, len(files) - 1, MOST_FRAMES).round().astype(int)
            files = [files[i] for i in picked]
        frames = []
        for file in files:
            with Image.open(file) as picture:
                frames.append(picture.convert("RGB"))
        buffer = io.BytesIO()
        durations = [FRAME] * (len(frames) - 1) + [LAST]
        frames[0].save(
            buffer,
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
        )
        write_bytes(self._film, buffer.getvalue())
