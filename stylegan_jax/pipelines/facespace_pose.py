"""Someone else's landmarks drive the faces of a landmark space."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from stylegan_jax.checkpoints.contact_sheet import (
    Row,
    Section,
    cell_size,
    draw_sheet,
    thumbnail,
)
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data import images, sources
from stylegan_jax.errors import UsageError, UserError, printable
from stylegan_jax.faces.crop import Outside, crop_square
from stylegan_jax.faces.detectors import DlibFinder
from stylegan_jax.faces.landmarks import FileFinder, Finder
from stylegan_jax.faces.quad import NoSquare, ffhq_quad
from stylegan_jax.latents.shares import short_names
from stylegan_jax.pipelines.facespace_blend import check_picture_name, collect
from stylegan_jax.pipelines.films import KINDS, check_film, write_film
from stylegan_jax.pipelines.page_text import cut, font_of
from stylegan_jax.pipelines.stylize_inputs import open_pictures

PALETTE_FRAMES = 16
DOT, RIM = (255, 214, 10), (20, 20, 20)


@dataclasses.dataclass(frozen=True)
class Options:
    """How photos are read and shown.

    Attributes:
        landmarks: ``dlib``, or a file of landmarks; see `faces.landmarks.FileFinder`.
        aligned: the photos are aligned already, as those that the space was fitted to.
        cell: largest side of a picture.
        fps: of a film.
        noise_mode: ``none`` or ``const``.
    """

    landmarks: str = "dlib"
    aligned: bool = False
    cell: int = 256
    fps: int = 10
    noise_mode: str = "none"


@dataclasses.dataclass(frozen=True)
class _Driver:
    """A photo that drives.

    Attributes:
        name: of the photo.
        picture: [h, w, 3] uint8, its face at the size that is shown.
        points: [68, 2] float64, landmarks in it.
    """

    name: str
    picture: np.ndarray
    points: np.ndarray


def pose(
    space: FaceSpaceModel,
    photos: Sequence[str | Path],
    out: str | Path,
    options: Options | None = None,
    *,
    finder: Finder | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Draws what the landmarks of photos make of a space, photo by photo.

    Args:
        space: of kind ``landmarks``.
        photos: pictures, or folders of them; the largest face of each counts.
        out: a ``.png`` for a sheet (photo and points, result, result and points), or a
            ``.gif`` or ``.mp4`` for a film of photos and results side by side.
        options: how.
        finder: finds the landmarks; None makes the one that the options name.
        progress: called with the number of photos read since the last call.

    Returns:
        JSON values: ``out``, ``driven`` (names), ``failed`` (name → reason).

    Raises:
        UserError: another kind of space, no landmarks in any photo, or options that
            cannot be.
    """
    options = options or Options()
    is_film = Path(out).suffix.lower() in KINDS
    if is_film:
        check_film(out, options.fps)
    else:
        check_picture_name(space, out)
    if options.cell < 16:
        raise UsageError(f"--cell is at least 16 pixels, got {options.cell}.")
    if space.kind != "landmarks":
        # Raises, with the sentence that says what to do.
        space.pose_vectors(np.zeros((1, 68, 2)), space.image_shape[:2])
    opened = [open_pictures(path) for path in photos]
    if finder is None:
        given = options.landmarks
        finder = DlibFinder() if given == "dlib" else FileFinder(given)
    drivers, failed = _read_all(space, opened, finder, options, progress)
    if not drivers:
        said = "; ".join(f"{printable(n)}: {r}" for n, r in failed.items())
        raise UserError(f"no photo has a face that can be followed ({said}).")
    shown = drivers[0].picture.shape[:2]
    scale = np.array(space.image_shape[1::-1]) / np.array(shown[::-1])
    points = np.stack([(d.points + 0.5) * scale - 0.5 for d in drivers])
    v = space.pose_vectors(points, space.image_shape[:2])
    w_plus = space.w_plus(v)
    drawn = collect(space.iter_draw(w_plus, noise_mode=options.noise_mode), None)
    results = [np.asarray(thumbnail(picture, shown)) for picture in drawn]
    if is_film:
        _write_film(out, drivers, results, options.fps)
    else:
        save_png(out, _sheet(drivers, results, max(shown)))
    return {"out": str(out), "driven": [d.name for d in drivers], "failed": failed}


def _read_all(
    space: FaceSpaceModel,
    opened: Sequence[sources.Source],
    finder: Finder,
    options: Options,
    progress: Callable[[int], Any] | None,
) -> tuple[list[_Driver], dict[str, str]]:
    drivers: list[_Driver] = []
    failed: dict[str, str] = {}
    for source in opened:
        for index, name in enumerate(source.names):
            try:
                drivers.append(_read(space, source, index, finder, options))
            except images.BrokenPicture as error:
                failed[name] = error.reason
            except (_NoFace, NoSquare, Outside) as error:
                failed[name] = str(error)
            if progress is not None:
                progress(1)
    return drivers, failed


class _NoFace(Exception):
    """There is no face in a photo, or none whose landmarks are of it."""


def _read(
    space: FaceSpaceModel,
    source: sources.Source,
    index: int,
    finder: Finder,
    options: Options,
) -> _Driver:
    """One photo's largest face, aligned, at the size that is shown."""
    name = source.names[index]
    image = images.decode(source.read(index), name)
    faces = finder.find(name, np.asarray(image))
    if not faces:
        dlib = isinstance(finder, DlibFinder)
        raise _NoFace("no face seen" if dlib else "no face in the landmarks file")
    points = faces[0].points
    if np.mean(((points >= -0.5) & (points < image.size)).all(1)) < 0.5:
        raise _NoFace("its landmarks lie outside of it: they are of another picture")
    shape = cell_size(space.image_shape, options.cell)
    if not options.aligned:
        crop = crop_square(image, ffhq_quad(points), max(shape))
        # Crops count from the edge of the first pixel, landmarks from its centre.
        edges = np.concatenate([points + 0.5, np.ones((len(points), 1))], 1)
        points = (edges @ np.linalg.inv(crop.transform).T)[:, :2] - 0.5
        image = crop.image
    left, top, right, bottom = images.crop_box(image.size, shape)
    scale = np.array([shape[1] / (right - left), shape[0] / (bottom - top)])
    points = (points + 0.5 - (left, top)) * scale - 0.5
    fitted = images.to_array(images.fit(image, shape, "lanczos"))
    return _Driver(name, fitted, points)


def _sheet(
    drivers: Sequence[_Driver], results: Sequence[np.ndarray], cell: int
) -> np.ndarray:
    font = font_of(14)
    names = short_names([driver.name for driver in drivers])
    rows = [
        Row(
            cut(name, font, 160),
            [
                dotted(driver.picture, driver.points),
                result,
                dotted(result, driver.points),
            ],
        )
        for name, driver, result in zip(names, drivers, results, strict=True)
    ]
    heads = ["photo", "what it drives", "with the photo's points"]
    title = "Photos that drive the face space"
    return draw_sheet([Section(title, heads, rows)], cell=cell)


def dotted(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] uint8 with landmarks [68, 2] drawn into it."""
    page = Image.fromarray(picture)
    draw = ImageDraw.Draw(page)
    size = max(1.5, max(picture.shape[:2]) / 110)
    for x, y in points:
        draw.ellipse((x - size, y - size, x + size, y + size), DOT, RIM)
    return np.asarray(page)


def _write_film(
    out: str | Path, drivers: Sequence[_Driver], results: Sequence[np.ndarray], fps: int
) -> None:
    def frames(chosen: Sequence[int]) -> Iterator[np.ndarray]:
        for i in chosen:
            photo = dotted(drivers[i].picture, drivers[i].points)
            yield np.concatenate([photo, results[i]], axis=1)

    count = len(drivers)
    sample = np.linspace(0, count - 1, min(PALETTE_FRAMES, count)).round().astype(int)
    palette = np.stack(list(frames(sample.tolist())))
    write_film(out, frames(range(count)), fps=fps, loop=True, palette=palette)
