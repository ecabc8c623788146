"""``stylegan-jax demo``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: stylegan-jax demo --workdir demo")
@click.option(
    "--workdir",
    default="demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything goes; run again, the demo goes on where it stopped.",
)
@click.option(
    "--fast",
    is_flag=True,
    help="A tenth of the training: shows that all of it works, in about three minutes.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the faces and of the training.",
)
@click.option("--quiet", is_flag=True, help="No lines and no bar.")
def demo(workdir: Path, fast: bool, seed: int, quiet: bool) -> int:
    """Train a small generator on toy faces and write a report.

    Then fine-tune it on comic faces, blend the two, make pairs, and train a pSp on them
    that puts new faces into the style. Find the direction of a smile, and train a
    pix2pixHD that makes new faces smile. Last, fit a face space to eight faces. Needs
    nothing but this program, which draws its own faces. Takes some minutes on two CPU
    cores.
    """
    from stylegan_jax.pipelines.demo import run_demo

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    found = run_demo(workdir, fast=fast, seed=seed, show_progress=not quiet, say=say)
    if found.signal is not None:
        say("stopped, everything is saved: run the same command to go on")
        return 128 + found.signal
    click.echo(f"{found.page}: open it in a browser")
    return 0
