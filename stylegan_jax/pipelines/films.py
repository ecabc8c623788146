"""Films: GIF through Pillow, MP4 through PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.atomic import replacing
from stylegan_jax.checkpoints.contact_sheet import viewable
from stylegan_jax.errors import MissingExtra, UsageError

KINDS = (".gif", ".mp4")
# GIF counts hundredths of a second, and browsers slow down frames of one.
FASTEST_GIF = 50
# Constant rate factor of H.264: visually lossless.
QUALITY = "17"


def check_film(out: str | Path, fps: int) -> str:
    """Which kind of film a name means, checked before anything is drawn.

    Args:
        out: the file to write.
        fps: frames per second.

    Returns:
        ``.gif`` or ``.mp4``.

    Raises:
        UsageError: another ending, or a rate that the kind cannot have.
        MissingExtra: an MP4 without PyAV.
    """
    kind = Path(out).suffix.lower()
    if kind not in KINDS or Path(out).is_dir():
        raise UsageError(f"a film's name ends in .gif or .mp4, got {out}.")
    if fps < 1 or (kind == ".gif" and fps > FASTEST_GIF):
        raise UsageError(
            f"a film has from 1 to {FASTEST_GIF} frames per second as GIF, and from 1 "
            f"up as MP4, got {fps}."
        )
    if kind == ".mp4":
        _pyav()
    return kind


def write_film(
    out: str | Path,
    frames: Iterable[np.ndarray],
    *,
    fps: int,
    loop: bool,
    palette: np.ndarray,
) -> int:
    """Writes a film, atomically.

    Args:
        out: a name ending in ``.gif`` or ``.mp4``.
        frames: [H, W, C] uint8 each, taken one by one.
        fps: frames per second.
        loop: whether a GIF starts again at its end.
        palette: [N, H, W, C] uint8, frames that a GIF's 256 colours are chosen from;
            one choice for the whole film, since colours that change would flicker.

    Returns:
        How many frames were written.

    Raises:
        UserError: see `check_film`, or the place cannot be written.
    """
    kind = check_film(out, fps)
    count = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal count
        for frame in frames:
            count += 1
            yield viewable(frame)

    with replacing(out) as aside:
        if kind == ".gif":
            _write_gif(aside, counted(), fps, loop, palette)
        else:
            _write_mp4(aside, counted(), fps)
    return count


def durations(fps: int) -> Iterator[int]:
    """Milliseconds of each frame, in whole hundredths whose sum keeps the rate."""
    done, frame = 0, 0
    while True:
        frame += 1
        end = round(100 * frame / fps)
        yield 10 * (end - done)
        done = end


def _write_gif(
    path: Path, frames: Iterator[np.ndarray], fps: int, loop: bool, palette: np.ndarray
) -> None:
    from PIL import Image

    tall = np.concatenate([viewable(frame) for frame in palette])
    colours = Image.fromarray(tall).quantize(256, Image.Quantize.MEDIANCUT)
    dither = Image.Dither.FLOYDSTEINBERG
    images = [
        Image.fromarray(frame).quantize(palette=colours, dither=dither)
        for frame in frames
    ]
    times = durations(fps)
    # Equal frames are joined by Pillow, which adds their durations.
    # Without the entry a GIF is shown once; 0 is for ever.
    again: dict[str, Any] = {"loop": 0} if loop else {}
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=[next(times) for _ in images],
        optimize=False,
        **again,
    )


def _write_mp4(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    av = _pyav()
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": QUALITY, "preset": "slow"}
        for i, frame in enumerate(frames):
            # Half-resolution colour needs even sides: the edge is repeated.
            odd = [(0, n % 2) for n in frame.shape[:2]]
            frame = np.pad(frame, [*odd, (0, 0)], mode="edge")
            if i == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtra("av", "video", "Writing MP4") from error
    return av
