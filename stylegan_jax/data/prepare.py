"""Any pictures to a dataset of one size and mode, written whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stylegan_jax.data import check, images, labels, records, sources
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.errors import UserError

Format = Literal["zip", "arrayrecord", "folder"]
# Number of the layout and of the pixel recipe; a change makes caches stale.
VERSION = 1
MAX_SIDE = 8192


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What `prepare` wrote.

    Attributes:
        path: the new dataset.
        num_images: pictures in it.
        shape: (height, width, channels).
        labelled: how many of them have a label.
        upscaled: how many were smaller than the resolution.
        left_out: broken pictures that are not in it.
    """

    path: str
    num_images: int
    shape: tuple[int, int, int]
    labelled: int
    upscaled: int
    left_out: list[check.Problem]

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists for `json.dumps`."""
        return dataclasses.asdict(self)


class _Made(NamedTuple):
    """One converted picture, or why there is none."""

    name: str
    png: bytes
    upscaled: bool
    problem: check.Problem | None


class _Intake:
    """Keeps the books while converted pictures flow to the writer."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.left_out: list[check.Problem] = []
        self.upscaled = 0

    def good(self, made: Iterable[_Made]) -> Iterator[bytes]:
        """Yields the pictures that could be converted."""
        for item in made:
            if item.problem:
                self.left_out.append(item.problem)
            else:
                self.names.append(item.name)
                self.upscaled += item.upscaled
                yield item.png

    def document(self, found: labels.Labels, note: dict[str, Any]) -> dict[str, Any]:
        """Returns `dataset.json`, once all pictures have passed."""
        pairs = [
            [target_name(index), found[name]]
            for index, name in enumerate(self.names)
            if name in found
        ]
        books = {
            "num_images": len(self.names),
            "upscaled": self.upscaled,
            "left_out": [dataclasses.asdict(problem) for problem in self.left_out],
            "original_names": self.names,
        }
        return {"labels": pairs or None, sources.PROVENANCE: {**note, **books}}


def prepare(
    src: str,
    dst: str,
    *,
    resolution: int | tuple[int, int],
    format: Format = "zip",
    resize: images.Resize = "lanczos",
    crop: Literal["center"] = "center",
    channels: int = 3,
    skip_broken: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress = False,
) -> Prepared:
    """Converts pictures into a dataset that training reads directly.

    1. Pictures are made upright (EXIF), 8-bit, and of one mode (`images.decode`).
    2. They are cropped around the centre to the aspect of ``resolution`` and resized.
    3. They are written as ``00000/img00000000.png`` with NVIDIA's `dataset.json`, which
       also holds the original names under ``stylegan_jax``; the file takes its final
       name only when it is complete.

    Args:
        src: whatever `sources.open_source` takes.
        dst: file or folder to write.
        resolution: side, or (height, width), in pixels.
        format: ``zip`` (uncompressed, NVIDIA's), ``arrayrecord`` or ``folder``.
        resize: filter; ``lanczos`` as NVIDIA's tool.
        crop: ``center`` is the only way so far.
        channels: 1, 3 or 4.
        skip_broken: leave broken pictures out instead of refusing.
        overwrite: replace ``dst`` if it is a dataset that this function wrote.
        workers: threads; None means one per core.
        progress: False, True (bar on a terminal), or called with (done, total).

    Raises:
        UserError: broken pictures (all are listed), an existing ``dst``, a bad option.
    """
    shape = parse_resolution(resolution)
    _check_options(format, resize, crop, channels)
    source = sources.open_source(src)
    if not len(source):
        raise UserError(f"{src} holds no pictures: check the path.")
    check_destination(dst, overwrite=overwrite, src=src)
    found_labels = source.labels() or {}
    made = ordered_map(
        lambda index: _make(source, index, shape, resize, channels),
        len(source),
        workers=workers,
        progress=progress,
        label="preparing",
    )
    intake = _Intake()
    note = {
        "version": VERSION,
        "source": source.name,
        "source_fingerprint": source.fingerprint(),
        "shape": [*shape, channels],
        "resize": resize,
        "crop": crop,
    }

    def document() -> dict[str, Any]:
        if intake.left_out and not skip_broken:
            raise check.refusal(str(src), intake.left_out)
        if not intake.names:
            raise UserError(f"{src}: none of its {len(source)} pictures can be used.")
        return intake.document(found_labels, note)

    with write_aside(dst) as temporary:
        _WRITERS[format](temporary, intake.good(made), document)
    return Prepared(
        path=str(dst),
        num_images=len(intake.names),
        shape=(*shape, channels),
        labelled=sum(name in found_labels for name in intake.names),
        upscaled=intake.upscaled,
        left_out=intake.left_out,
    )


def vouched_shape(source: sources.Source) -> tuple[int, int, int] | None:
    """Returns (H, W, C) of a dataset that this program wrote and nobody added to."""
    note = source.provenance()
    shape = note.get("shape")
    if (
        note.get("version") != VERSION
        or note.get("num_images") != len(source)
        or not isinstance(shape, list)
        or len(shape) != 3
        or not all(isinstance(side, int) for side in shape)
    ):
        return None
    return shape[0], shape[1], shape[2]


def parse_resolution(resolution: int | tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width).

    Raises:
        UserError: not positive, or beyond `MAX_SIDE`.
    """
    shape = (resolution,) * 2 if isinstance(resolution, int) else tuple(resolution)
    if len(shape) != 2 or not all(
        isinstance(side, int) and 1 <= side <= MAX_SIDE for side in shape
    ):
        raise UserError(
            f"resolution is {resolution!r}, expected one side or (height, width), each "
            f"from 1 to {MAX_SIDE} pixels."
        )
    return shape[0], shape[1]


def check_destination(
    dst: str | os.PathLike, *, overwrite: bool, src: str | None = None
) -> None:
    """Refuses to write over something, or inside the source.

    Raises:
        UserError: ``dst`` exists and is not empty (without ``overwrite``), was not
            written by this program, or lies inside ``src``.
    """
    target = Path(dst)
    if src is not None and not str(src).startswith("tfds:"):
        origin = Path(src).resolve()
        if target.resolve() == origin or origin in target.resolve().parents:
            raise UserError(
                f"{dst} lies inside {src}, the source: choose another destination."
            )
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not overwrite:
        raise UserError(
            f"{dst} exists already: choose another name, or replace it with overwrite "
            "(--overwrite)."
        )
    # Only what this program wrote is ever deleted: a mistyped DST must not cost
    # somebody's photos.
    try:
        ours = bool(sources.open_source(target).provenance())
    except UserError:
        ours = False
    if not ours:
        raise UserError(
            f"{dst} is not a dataset written by this program, so it is not "
            "overwritten: move it away yourself."
        )


@contextlib.contextmanager
def write_aside(dst: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside ``dst`` that takes its place on success.

    On any failure the temporary file or folder is removed and ``dst`` is untouched.

    Raises:
        UserError: the place cannot be written to, or the disk is full.
    """
    target = Path(dst)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if target.is_dir():
            # A folder cannot be replaced in one step: the old one steps aside first.
            old = temporary.with_name(temporary.name + ".old")
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old)
        else:
            os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{dst} cannot be written ({reason}): choose another place or make room."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check_options(format: str, resize: str, crop: str, channels: int) -> None:
    for option, value, choices in (
        ("format", format, _WRITERS),
        ("resize", resize, images.FILTERS),
        ("crop", crop, ("center",)),
    ):
        if value not in choices:
            raise UserError(f"{option} is {value!r}, choose from {', '.join(choices)}.")
    images.check_channels(channels)


def _make(
    source: sources.Source,
    index: int,
    shape: tuple[int, int],
    resize: images.Resize,
    channels: int,
) -> _Made:
    """Reads, converts and encodes one picture."""
    name = source.names[index]
    try:
        image = images.decode(source.read(index), name, channels=channels)
    except images.BrokenPicture as error:
        return _Made(name, b"", False, check.Problem(name, error.kind, error.reason))
    left, _, right, _ = images.crop_box(image.size, shape)
    fitted = images.fit(image, shape, resize)
    return _Made(name, images.encode_png(fitted), right - left < shape[1], None)


def target_name(index: int) -> str:
    """Returns NVIDIA's name for picture ``index``."""
    return f"{index // 1000:05d}/img{index:08d}.png"


def _write_zip(
    path: Path, pictures: Iterable[bytes], document: Callable[[], dict]
) -> None:
    # A fixed date makes equal input give equal bytes.
    def add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
        info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
        info.external_attr = 0o644 << 16
        archive.writestr(info, data)

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for index, data in enumerate(pictures):
            add(archive, target_name(index), data)
        add(archive, sources.LABEL_FILE, json.dumps(document()).encode())


def _write_folder(
    path: Path, pictures: Iterable[bytes], document: Callable[[], dict]
) -> None:
    path.mkdir()
    for index, data in enumerate(pictures):
        file = path / target_name(index)
        if index % 1000 == 0:
            file.parent.mkdir()
        file.write_bytes(data)
    (path / sources.LABEL_FILE).write_text(json.dumps(document()))


def _write_arrayrecord(
    path: Path, pictures: Iterable[bytes], document: Callable[[], dict]
) -> None:
    def index() -> dict:
        body = document()
        num = body[sources.PROVENANCE]["num_images"]
        return {"names": [target_name(i) for i in range(num)], **body}

    records.write_arrayrecord(str(path), pictures, index)


_WRITERS: dict[str, Callable[[Path, Iterable[bytes], Callable[[], dict]], None]] = {
    "zip": _write_zip,
    "folder": _write_folder,
    "arrayrecord": _write_arrayrecord,
}
