"""``stylegan-jax data pairs``."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.curation import curation_options, read_curation
from stylegan_jax.cli.options import CHANNELS, JSON, RESIZE, STORAGE, THREADS
from stylegan_jax.cli.sizes import Resolution

_EPILOG = """\b
Example: stylegan-jax data pairs photos/ drawings/ pairs/ --size 256
"""


@click.command(epilog=_EPILOG)
@click.argument("src_a")
@click.argument("src_b")
@click.argument("dst", type=click.Path())
@click.option(
    "--size",
    type=Resolution(),
    help="Side, or HEIGHTxWIDTH, in pixels; without it all pictures must have one.",
)
@STORAGE
@RESIZE
@CHANNELS
@click.option(
    "--channels-a",
    type=click.Choice(["1", "3", "4"]),
    help="Channels of SRC_A, if others: 1 for sketches.",
)
@click.option(
    "--labels-a",
    is_flag=True,
    help="SRC_A are label maps: values are class numbers, kept as they are.",
)
@click.option("--instances", help="Maps of instances, one for every pair, by name.")
@click.option(
    "--skip-unmatched",
    is_flag=True,
    help="Leave pictures without a partner out and list them.",
)
@click.option(
    "--reconstruct",
    is_flag=True,
    help="Pair every picture with itself: SRC_A and SRC_B are one.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace DST if it is a set of pairs that this command wrote.",
)
@THREADS
@curation_options
@JSON
def pairs(
    src_a: str,
    src_b: str,
    dst: str,
    size: int | tuple[int, int] | None,
    channels: str,
    channels_a: str | None,
    instances: str | None,
    workers: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Pair the pictures of two folders by their names.

    SRC_A and SRC_B are folders, zips or whatever else holds pictures. SRC_A/x/7.png and
    SRC_B/x/7.jpg are partners; pictures without one are listed. DST appears only when
    it is complete; docs/pairs.md describes its files.

    With --labels-a, pictures of SRC_A are grey or have a palette, and their values (or
    palette indices) are classes; they are resized with nearest.

    With --instances, pix2pixHD sees the edges between things, too.

    With --curate, the same command with other bounds judges a set anew. It writes no
    picture again, and needs the pictures of SRC_A and SRC_B no more.
    """
    from stylegan_jax.pipelines.folder_pairs import Options, pair_folders

    curation = read_curation(options)
    found = pair_folders(
        src_a,
        src_b,
        dst,
        Options(
            resolution=size,
            channels=int(channels),
            channels_a=None if channels_a is None else int(channels_a),
            **options,
        ),
        instances=instances,
        curation=curation,
        workers=workers,
        progress=True,
    )
    if as_json:
        click.echo(json.dumps(found))
        return
    left = [
        f"{source}: {name}"
        for source, side in ((src_a, "unmatched_a"), (src_b, "unmatched_b"))
        for name in found[side]
    ]
    for name in left:
        click.echo(f"left out {name}", err=True)
    for sentence in found["notes"]:
        click.echo(f"note: {sentence}", err=True)
    for sentence in found.get("not_scored", []):
        click.echo(f"note: no score of {sentence}", err=True)
    height, width, _ = found["image_shape"]
    kept = f", {found['kept']} kept" if curation is not None else ""
    click.echo(
        f"{dst}: {found['pairs']} pairs of {height}x{width}{kept}, {len(left)} "
        "pictures without partner left out"
    )
