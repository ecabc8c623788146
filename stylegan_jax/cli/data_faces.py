"""``stylegan-jax data``: align, curate, frames."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.going_on import told_how_to_go_on
from stylegan_jax.cli.options import JSON
from stylegan_jax.cli.times import Seconds
from stylegan_jax.errors import printable

_OVERWRITE = click.option(
    "--overwrite", is_flag=True, help="Replace DST if this program wrote it."
)
_WORKERS = click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes; one per core if not given.",
)


_DETECTOR = click.option(
    "--detector",
    type=click.Choice(["auto", "hog", "cnn", "both"]),
    default="auto",
    show_default=True,
    help="dlib's: hog is quick and sees frontal faces; cnn also turned and covered "
    "ones, in seconds per photo (needs `weights get mmod_human_face_detector`); auto "
    "asks cnn, if it is there, where hog sees nothing or several faces are wanted.",
)


def _list(title: str, reasons: dict[str, str]) -> None:
    """Writes photos and reasons to stderr."""
    if reasons:
        click.echo(f"{title} ({len(reasons)}):", err=True)
    for name, reason in reasons.items():
        click.echo(f"  {printable(name)}: {printable(reason)}", err=True)


@click.command(
    epilog="Example: stylegan-jax data align photos/ faces/ --size 256 --face all"
)
@click.argument("src")
@click.argument("dst", type=click.Path(file_okay=False))
@click.option(
    "--size",
    type=click.IntRange(1, 8192),
    default=1024,
    show_default=True,
    help="Side of the crops in pixels.",
)
@click.option(
    "--mode",
    type=click.Choice(["ffhq", "eyes-nose-chin"]),
    default="ffhq",
    show_default=True,
    help="What is put in its place: eyes and mouth as in FFHQ, or eyes, nose and chin "
    "(for drawn faces).",
)
@click.option(
    "--face",
    default="largest",
    show_default=True,
    metavar="largest|all|INDEX",
    help="Which faces of a photo; 0 is the largest, 1 the next.",
)
@click.option(
    "--landmarks",
    default="dlib",
    show_default=True,
    metavar="dlib|FILE.json",
    help='dlib finds them, or a file has them: {"a.jpg": [[[x, y], … 68], … per '
    "face], …} in pixels of the upright photo; an align.json will do.",
)
@click.option(
    "--threshold",
    type=float,
    default=0.2,
    show_default=True,
    help="dlib's score from which on something is a face; less finds more (0 is its "
    "own).",
)
@_DETECTOR
@click.option(
    "--overwrite", is_flag=True, help="Do all anew where DST is an alignment."
)
@_WORKERS
@JSON
def align(
    src: str,
    dst: str,
    size: int,
    mode: str,
    face: str,
    landmarks: str,
    threshold: float,
    detector: str,
    overwrite: bool,
    workers: int | None,
    as_json: bool,
) -> int:
    """Cut aligned faces out of the photos in SRC.

    DST gets a PNG per face and align.json: for each photo its squares, transforms,
    scores and landmarks, or the reason why it failed. Run again, it does the photos
    that have no crop yet.

    The exit code is 0 if every face asked for was aligned, 1 if one photo or more
    failed: how many is in the last line, which ones and why on stderr, in align.json
    and in the object of --json.
    """
    from tqdm import tqdm

    from stylegan_jax.faces.align import Settings
    from stylegan_jax.faces.align import align as library

    settings = Settings(
        size=size,
        mode=mode,
        face=face,
        landmarks=landmarks,
        threshold=threshold,
        detector=detector,
    )
    # disable=None: a bar only where a person watches.
    said = told_how_to_go_on(f"{dst} keeps its crops", overwrite=overwrite)
    with said, tqdm(unit="photo", leave=False, disable=None) as bar:
        done = library(
            src,
            dst,
            settings,
            overwrite=overwrite,
            workers=workers,
            progress=_stepper(bar),
        )
    _list("failed", done.failed)
    _list("not every face aligned", done.incomplete)
    if done.note:
        click.echo(f"note: {done.note}.", err=True)
    if done.unused:
        names = ", ".join(printable(name) for name in done.unused)
        click.echo(f"warning: {landmarks} has photos not in {src}: {names}", err=True)
    if done.upscaled:
        click.echo(
            f"warning: {done.upscaled} of {done.crops} faces have fewer pixels than "
            "their crops; a smaller --size would be sharper.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(done.to_json()))
    else:
        click.echo(
            f"{dst}: {done.crops} faces of {size} px from {done.aligned} of "
            f"{done.pictures} photos ({done.kept} were there already), "
            f"{len(done.failed)} failed"
            + (f", {len(done.incomplete)} in part" if done.incomplete else "")
        )
    return 1 if done.failed or done.incomplete else 0


def _stepper(bar: Any) -> Any:
    """A callback (done, total) for a bar."""

    def step(done: int, total: int | None) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return step


@click.command(
    epilog="Example: stylegan-jax data frames film.mp4 frames/ --start 1:30 --step 10"
)
@click.argument("video", type=click.Path())
@click.argument("dst", type=click.Path(file_okay=False))
@click.option(
    "--start",
    type=Seconds(),
    default="0",
    show_default=True,
    help="From when on: seconds, M:SS or H:MM:SS.",
)
@click.option("--stop", type=Seconds(), help="Until when (excluded); else the end.")
@click.option(
    "--step",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="1 takes every frame, 10 each tenth.",
)
@click.option(
    "--rotate",
    type=click.Choice(["auto", "0", "90", "180", "270"]),
    default="auto",
    show_default=True,
    help="Degrees clockwise; auto is what the film says of itself.",
)
@_OVERWRITE
@JSON
def frames(
    video: str,
    dst: str,
    start: float,
    stop: float | None,
    step: int,
    rotate: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the frames of VIDEO as pictures into the folder DST.

    DST/frames.json has the index and the second of each.
    """
    from tqdm import tqdm

    from stylegan_jax.faces.frames import write_frames

    with tqdm(
        unit="s", leave=False, disable=None, bar_format="{l_bar}{bar}| {elapsed}"
    ) as bar:
        done = write_frames(
            video,
            dst,
            start=start,
            stop=stop,
            step=step,
            rotate=rotate,
            overwrite=overwrite,
            progress=_stepper(bar),
        )
    if done.cut_off:
        click.echo(
            f"warning: {video} ends {done.cut_off:.1f} s before the length that it "
            "says it has: is it a whole file?",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(done.to_json()))
        return
    turned = f", turned by {done.turned} degrees" if done.turned else ""
    click.echo(f"{dst}: {done.num} frames of {done.height}x{done.width}{turned}")


def _limit(name: str, default: float | None, text: str) -> Any:
    """An option for one field of `Thresholds`."""
    return click.option(
        name, type=float, default=default, show_default=default is not None, help=text
    )


@click.command(epilog="Example: stylegan-jax data curate faces/ good/ --max-yaw 0.6")
@click.argument("src")
@click.argument("dst", type=click.Path(file_okay=False))
@_limit("--min-size", 64, "Pixels: smaller side, or the face's square in its photo.")
@_limit("--min-sharpness", 6, "Standard deviation of the Laplacian at 256 px.")
@_limit("--min-brightness", 40, "Mean grey level of the middle, of 255.")
@_limit("--max-brightness", 225, "Mean grey level of the middle, of 255.")
@_limit("--min-contrast", 12, "Standard deviation of the middle's grey levels.")
@_limit("--max-clipped", 0.3, "Share of black and white pixels in the middle.")
@_limit("--max-yaw", 0.9, "0 is frontal, 1 the nose before an eye.")
@_limit("--min-eyes", 0.12, "Height over width of the more closed eye.")
@_limit("--max-mouth", 0.7, "Height over width of the gap between the lips.")
@click.option(
    "--duplicate-bits",
    type=click.IntRange(-1, 63),
    default=6,
    show_default=True,
    help="Near-duplicates' perceptual hashes differ in so many of 64 bits; -1 keeps "
    "near-duplicates.",
)
@_limit(
    "--lpips",
    None,
    "LPIPS distance of near-duplicates; needs `weights get lpips_alex`.",
)
@click.option(
    "--landmarks",
    metavar="dlib|FILE.json",
    help="For pose, eyes and mouth, as of `data align`; SRC/align.json if not given. "
    "dlib also leaves out pictures without a face.",
)
@_DETECTOR
@click.option(
    "--clip",
    metavar="FOLDER",
    help="Your copy of a CLIP model, as Hugging Face has it; nothing is fetched.",
)
@click.option(
    "--keep-text",
    multiple=True,
    metavar="TEXT",
    help='What pictures should be like, "a photo of a face"; may be repeated.',
)
@click.option(
    "--drop-text",
    multiple=True,
    metavar="TEXT",
    help='What they should not be like, "a drawing"; may be repeated.',
)
@_limit(
    "--clip-margin",
    0.0,
    "Similarity with the nearest --keep-text less that with the nearest --drop-text.",
)
@click.option(
    "--manifest",
    type=click.Path(),
    help="A manifest.json that you edited: its keep decides. It replaces a DST that "
    "was curated from SRC before, without --overwrite.",
)
@click.option(
    "--thumbnails",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    help="Pictures on the page at most, of the kept and of the left out each.",
)
@_OVERWRITE
@_WORKERS
@JSON
def curate(
    src: str,
    dst: str,
    landmarks: str | None,
    detector: str,
    clip: str | None,
    keep_text: tuple[str, ...],
    drop_text: tuple[str, ...],
    manifest: str | None,
    thumbnails: int,
    overwrite: bool,
    workers: int | None,
    as_json: bool,
    **limits: Any,
) -> int:
    """Leave blurred, dark, turned and doubled pictures out of SRC.

    DST gets the pictures that stay, report.html with the reason beside each of the
    others, and manifest.json: change keep there (or tick pictures in the report and
    save it) and run the command again with --manifest DST/manifest.json, which replaces
    DST.

    Pose, eyes and mouth are judged from landmarks; pictures that have none are judged
    by the rest. Of near-duplicates the sharpest stays. With --clip, pictures that are
    more like a --drop-text than like any --keep-text are left out.

    The exit code is 1 if nothing stays.
    """
    from tqdm import tqdm

    from stylegan_jax.faces.clip import open_filter
    from stylegan_jax.faces.curate import Thresholds
    from stylegan_jax.pipelines.curate import curate as library

    texts = open_filter(clip, keep_text, drop_text)
    with tqdm(unit="img", leave=False, disable=None) as bar:
        done = library(
            src,
            dst,
            Thresholds(**limits),
            landmarks=landmarks,
            detector=detector,
            texts=texts,
            manifest=manifest,
            overwrite=overwrite,
            workers=workers,
            thumbnails=thumbnails,
            progress=_stepper(bar),
        )
    if done.unposed:
        where = f" in {landmarks}" if landmarks else ""
        what = ": run data align first, or give --landmarks" if not landmarks else ""
        click.echo(
            f"warning: {done.unposed} of {done.pictures} pictures have no landmarks"
            f"{where}, so their pose and eyes were not judged{what}.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(done.to_json()))
    else:
        why = ", ".join(f"{kind} {number}" for kind, number in done.reasons.items())
        click.echo(
            f"{dst}: kept {done.kept} of {done.pictures} pictures"
            f"{f'; left out: {why}' if why else ''}; see {dst}/report.html"
        )
    return 0 if done.kept else 1
