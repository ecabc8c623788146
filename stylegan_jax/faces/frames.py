"""``data frames``: the frames of a film as pictures."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from stylegan_jax.data.images import encode_png
from stylegan_jax.data.prepare import check_destination, write_aside
from stylegan_jax.data.sources import LABEL_FILE, PROVENANCE
from stylegan_jax.errors import MissingExtra, UsageError, UserError

VERSION = 1
FRAMES = "frames.json"
# Clockwise turns, in degrees; "auto" is what the film says of itself.
TURNS = ("auto", "0", "90", "180", "270")
_TRANSPOSE = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


@dataclasses.dataclass(frozen=True)
class Frames:
    """What `write_frames` wrote.

    Attributes:
        path: the folder.
        num: how many frames.
        width: of each, in pixels.
        height: of each, in pixels.
        turned: degrees by which the stored pixels were turned clockwise.
        fps: frames per second of the film, on average; None where it does not say.
        cut_off: the film ends, to what it says of its length, this many seconds early;
            None where it does not.
        frames: ``file``, ``index`` in the film from 0 on and ``seconds`` of each.
    """

    path: str
    num: int
    width: int
    height: int
    turned: int
    fps: float | None
    cut_off: float | None
    frames: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists for `json.dumps`, without the frames."""
        found = dataclasses.asdict(self)
        del found["frames"]
        return found


def write_frames(
    video: str | os.PathLike,
    dst: str | os.PathLike,
    *,
    start: float = 0.0,
    stop: float | None = None,
    step: int = 1,
    rotate: str = "auto",
    overwrite: bool = False,
    progress: Callable[[float, float | None], Any] | None = None,
) -> Frames:
    """Writes frames of a film as PNGs, with ``frames.json``.

    The film is decoded from its beginning, so that a frame has its true index whatever
    ``start`` is: ``frame_000123.png`` is the 124th frame of the film.

    Args:
        video: a file that FFmpeg reads.
        dst: folder to write; it appears only when it is complete.
        start: first second, included.
        stop: last second, excluded; None means the end.
        step: every ``step``-th frame from ``start`` on.
        rotate: ``auto`` (what the film says of itself), or clockwise degrees of `TURNS`
            instead.
        overwrite: replace ``dst`` if this program wrote it.
        progress: called with (seconds read, seconds to read or None).

    Raises:
        MissingExtra: PyAV is not installed.
        UsageError: a time, a step or a turn that cannot be.
        UserError: no film, no frame between the times, damage, or no room.
    """
    _check(start, stop, step, rotate)
    if not Path(video).is_file():
        raise UserError(f"there is no film {video}: check the name.")
    check_destination(dst, overwrite=overwrite)
    av = _av()
    span = _Span(start, stop, step)
    listed: list[dict[str, Any]] = []
    size, turned = (0, 0), 0
    with write_aside(dst) as aside:
        aside.mkdir(parents=True)
        try:
            with av.open(os.fspath(video)) as container:
                stream = _stream(container, video)
                fps = float(stream.average_rate) if stream.average_rate else None
                for index, seconds, frame in span.take(container, stream, progress):
                    turned = _turn(frame) if rotate == "auto" else int(rotate)
                    image = _upright(frame, turned)
                    size = image.size
                    name = f"frame_{index:06d}.png"
                    (aside / name).write_bytes(encode_png(image))
                    entry = {"file": name, "index": index, "seconds": round(seconds, 6)}
                    listed.append(entry)
        except av.FFmpegError as error:
            raise UserError(
                f"{video} cannot be read beyond {span.reached:.2f} s ({error.strerror})"
                ": is it a whole film? --stop takes what lies before."
            ) from error
        if not listed:
            raise UserError(
                f"{video} has no frame between {start:g} s and "
                f"{'its end' if stop is None else f'{stop:g} s'} (it was read up to "
                f"{span.reached:.2f} s): check --start and --stop."
            )
        _write_lists(aside, Path(video).name, listed)
    return Frames(str(dst), len(listed), *size, turned, fps, span.cut_off(), listed)


@dataclasses.dataclass
class _Span:
    """The frames that are asked for.

    Attributes:
        start: first second, included.
        stop: last second, excluded, or None.
        step: every ``step``-th frame.
        reached: the second of the last frame that was decoded.
        length: of the film in seconds; None where it does not say.
    """

    start: float
    stop: float | None
    step: int
    reached: float = 0.0
    length: float | None = None

    def cut_off(self) -> float | None:
        """Seconds that are missing at the end; None where none are.

        FFmpeg takes a film that was cut off for one that ends there.
        """
        if self.length is None or (self.stop is not None and self.stop < self.length):
            return None
        lacking = self.length - self.reached
        # The last frame lasts a while itself, and lengths are not exact.
        return lacking if lacking > max(1.0, 0.02 * self.length) else None

    def take(
        self,
        container: Any,
        stream: Any,
        progress: Callable[[float, float | None], Any] | None,
    ) -> Iterator[tuple[int, float, Any]]:
        """Yields (index in the film, seconds, frame)."""
        self.length = _seconds(container, stream)
        ends = [x for x in (self.stop, self.length) if x is not None]
        until = min(ends, default=None)
        chosen = 0
        for index, seconds, frame in _decode(container, stream):
            self.reached = seconds
            if self.stop is not None and seconds >= self.stop:
                return
            if progress is not None:
                progress(seconds, until)
            if seconds >= self.start:
                if chosen % self.step == 0:
                    yield index, seconds, frame
                chosen += 1


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtra("av", "video", "Reading a film") from error
    return av


def _check(start: float, stop: float | None, step: int, rotate: str) -> None:
    if not math.isfinite(start) or start < 0:
        raise UsageError(f"start is {start:g}: give seconds from 0 on.")
    if stop is not None and not stop > start:
        raise UsageError(f"stop is {stop:g}, which is not after start ({start:g}).")
    if step < 1:
        raise UsageError(f"step is {step}: give 1 for every frame, 10 for each tenth.")
    if rotate not in TURNS:
        raise UsageError(f"rotate is {rotate!r}: choose from {', '.join(TURNS)}.")


def _stream(container: Any, video: str | os.PathLike) -> Any:
    """The film's first moving picture, decoded with threads."""
    if not container.streams.video:
        raise UserError(f"{video} has sound only: give a film with pictures.")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _seconds(container: Any, stream: Any) -> float | None:
    """The film's length in seconds; None where it does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # In microseconds.
    return container.duration / 1e6 if container.duration else None


def _decode(container: Any, stream: Any) -> Iterator[tuple[int, float, Any]]:
    """Yields (index, seconds from the first frame on, frame)."""
    first: float | None = None
    fps = float(stream.average_rate or 25)
    for index, frame in enumerate(container.decode(stream)):
        # A frame without a time of its own is where the frame rate puts it.
        time = frame.time if frame.time is not None else index / fps
        first = time if first is None else first
        yield index, max(0.0, time - first), frame


def _turn(frame: Any) -> int:
    """Degrees clockwise that the film's display matrix asks for."""
    # PyAV counts counter-clockwise, from −180 to 180.
    return -round(frame.rotation / 90) * 90 % 360


def _upright(frame: Any, turned: int) -> Image.Image:
    """RGB pixels, turned clockwise."""
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    return image.transpose(_TRANSPOSE[turned]) if turned else image


def _write_lists(folder: Path, video: str, listed: list[dict[str, Any]]) -> None:
    """Writes what the frames are, and that this program wrote the folder."""
    note = {"frames": VERSION, "source": video, "num_images": len(listed)}
    document = {"format": VERSION, "video": video, "frames": listed}
    (folder / FRAMES).write_text(json.dumps(document, indent=1), encoding="utf-8")
    (folder / LABEL_FILE).write_text(
        json.dumps({"labels": None, PROVENANCE: note}), encoding="utf-8"
    )
