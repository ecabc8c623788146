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
    help="A tenth of the training: shows that all of it works, in a minute or two.",
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

    Needs nothing but this program: it draws its own faces. Takes some minutes on two
    CPU cores.
    """
    from stylegan_jax.pipelines.demo import run_demo

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    outcome, page = run_demo(
        workdir, fast=fast, seed=seed, show_progress=not quiet, say=say
    )
    if outcome.signal is not None:
        say("stopped, everything is saved: run the same command to go on")
        return 128 + outcome.signal
    click.echo(f"{page}: open it in a browser")
    return 0
