"""``stylegan-jax data``: toy, check, prepare."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.data_faces import align, curate, frames
from stylegan_jax.cli.data_pairs import pairs
from stylegan_jax.cli.options import CHANNELS, JSON, RESIZE, THREADS
from stylegan_jax.cli.sizes import Resolution
from stylegan_jax.errors import UsageError

_OVERWRITE = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace DST if it is a dataset that this program wrote.",
)


@click.group()
def data() -> None:
    """Check, prepare and draw training pictures."""


@data.command(
    epilog="Example: stylegan-jax data toy faces --style photo --num 2000 --size 64"
)
@click.argument("dst", type=click.Path())
@click.option(
    "--style",
    type=click.Choice(["photo", "comic"]),
    default="photo",
    show_default=True,
    help="Shaded like a photo, or flat with ink outlines; the same face per seed.",
)
@click.option(
    "--num",
    type=click.IntRange(1, 10**7),
    default=2000,
    show_default=True,
    help="How many faces.",
)
@click.option(
    "--size",
    type=click.IntRange(8, 2048),
    default=64,
    show_default=True,
    help="Side in pixels.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Face i is drawn from SEED + i.",
)
@_OVERWRITE
@JSON
def toy(
    dst: str,
    style: str,
    num: int,
    size: int,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Draw NUM faces with known attributes into the folder DST.

    Every face's attributes are in DST/attributes.csv, one class (glasses) in
    DST/dataset.json.
    """
    from stylegan_jax.data.toy import write_toy

    write_toy(
        dst,
        style=style,  # type: ignore[arg-type]
        num=num,
        size=size,
        seed=seed,
        overwrite=overwrite,
        progress=True,
    )
    facts = {"path": dst, "style": style, "num": num, "size": size, "seed": seed}
    click.echo(json.dumps(facts) if as_json else f"{dst}: {num} faces of {size} px")


@data.command(
    epilog="Example: stylegan-jax data check photos/ --resolution 256 --batch 32"
)
@click.argument("src")
@click.option(
    "--resolution",
    type=Resolution(),
    help="Side, or HEIGHTxWIDTH, that pictures should have.",
)
@click.option(
    "--batch", type=click.IntRange(1), help="The batch that you will train with."
)
@CHANNELS
@THREADS
@click.option("--all", "show_all", is_flag=True, help="List mendable pictures in full.")
@JSON
@click.pass_context
def check(
    ctx: click.Context,
    src: str,
    resolution: int | tuple[int, int] | None,
    batch: int | None,
    channels: str,
    workers: int | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """List everything that is wrong with the pictures in SRC, all at once.

    Sizes are told as HEIGHTxWIDTH, as options take them.

    SRC is a folder, a zip, an ArrayRecord file, tfds:NAME[/SPLIT], rosinality's LMDB or
    NVIDIA's .tfrecords (PATH@SIZE chooses a size of these two). The exit code is 1
    if something is broken that `data prepare` cannot mend.
    """
    from stylegan_jax.data.check import check as check_pictures

    report = check_pictures(
        src,
        resolution=resolution,
        batch=batch,
        channels=int(channels),
        workers=workers,
        progress=True,
    )
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        click.echo(report.text(limit=None if show_all else 10))
    ctx.exit(0 if report.ok else 1)


@data.command(
    epilog="Example: stylegan-jax data prepare photos/ faces256.zip --size 256"
)
@click.argument("src")
@click.argument("dst", type=click.Path())
@click.option(
    "--size", type=Resolution(), required=True, help="Side, or HEIGHTxWIDTH, in pixels."
)
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["zip", "arrayrecord", "folder"]),
    default="zip",
    show_default=True,
    help="zip is NVIDIA's uncompressed layout.",
)
@RESIZE
@CHANNELS
@click.option(
    "--skip-broken", is_flag=True, help="Leave broken pictures out and list them."
)
@_OVERWRITE
@THREADS
@JSON
def prepare(
    src: str,
    dst: str,
    size: int | tuple[int, int],
    fmt: str,
    resize: str,
    channels: str,
    skip_broken: bool,
    overwrite: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Convert the pictures in SRC into the dataset DST of one size.

    Turns pictures upright, makes them 8-bit RGB, crops around the centre and resizes.
    DST appears only when it is complete.
    """
    from stylegan_jax.data.prepare import prepare as prepare_pictures

    suffix = {"zip": ".zip", "arrayrecord": ".arrayrecord", "folder": ""}[fmt]
    if not dst.endswith(suffix):
        raise UsageError(f"DST is {dst}, but --format {fmt} needs a name in {suffix}.")
    done = prepare_pictures(
        src,
        dst,
        resolution=size,
        format=fmt,  # type: ignore[arg-type]
        resize=resize,  # type: ignore[arg-type]
        channels=int(channels),
        skip_broken=skip_broken,
        overwrite=overwrite,
        workers=workers,
        progress=True,
    )
    for problem in done.left_out:
        click.echo(f"left out {problem.path}: {problem.message}", err=True)
    if done.upscaled:
        click.echo(
            f"warning: {done.upscaled} of {done.num_images} pictures were smaller than "
            "the size and were upscaled; a smaller --size would be sharper.",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(done.to_json()))
        return
    height, width, _ = done.shape
    click.echo(
        f"{dst}: {done.num_images} pictures of {height}x{width}, {done.labelled} with "
        f"labels, {len(done.left_out)} left out"
    )


for _command in (align, curate, frames, pairs):
    data.add_command(_command)
