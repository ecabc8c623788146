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
    workers: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Pair the pictures of two folders by their names.

    SRC_A and SRC_B are folders, zips or whatever else holds pictures. SRC_A/x/7.png and
    SRC_B/x/7.jpg are partners; pictures without one are listed. DST appears only when
    it is complete; docs/pairs.md describes its files.

    With --curate, the same command with other bounds judges a set anew. It writes no
    picture again, and needs the pictures of SRC_A and SRC_B no more.
    """
    from stylegan_jax.pipelines.folder_pairs import Options, pair_folders

    curation = read_curation(options)
    found = pair_folders(
        src_a,
        src_b,
        dst,
        Options(resolution=size, channels=int(channels), **options),
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
