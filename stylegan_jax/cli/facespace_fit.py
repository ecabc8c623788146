"""``stylegan-jax facespace fit``."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.going_on import told_how_to_go_on
from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import JSON, OVERRIDES

_EPILOG = """\b
Example: stylegan-jax facespace fit faces/ runs/a space.safetensors
         stylegan-jax facespace fit photos/ ffhq.safetensors space.safetensors \\
           --align --config.loss.pixel_weight=300
"""


@click.command(epilog=_EPILOG, context_settings=OVERRIDES)
@click.argument("photos")
@click.argument("model")
@click.argument("out")
@click.option("--align", is_flag=True, help="Cut the faces out of raw photos first.")
@click.option(
    "--kind",
    type=click.Choice(["one_hot", "code", "landmarks"]),
    help="What the encoder takes: a share of each photo, a learned code of a few "
    "numbers, or the pose (68 landmarks).  [one_hot]",
)
@click.option(
    "--code-dim", type=click.IntRange(1, 10), help="Numbers of a learned code.  [3]"
)
@click.option(
    "--space",
    type=click.Choice(["w_plus", "w"]),
    help="A latent for each layer (more alike), or one for all (more lifelike).  "
    "[w_plus]",
)
@click.option("--epochs", type=click.IntRange(1), help="Of every phase.  [200]")
@click.option("--cycles", type=click.IntRange(0), help="Phases behind the first.  [2]")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="Of the encoder's first weights.  [0]",
)
@click.option(
    "--landmarks",
    metavar="FILE.json",
    help="Of kind landmarks, instead of dlib: as data align takes them.",
)
@click.option(
    "--config",
    "base",
    default="facespace",
    show_default=True,
    metavar="NAME_OR_FILE",
    help="A configuration of the trainer facespace.",
)
@click.option("--workdir", help="The run's folder; OUT-run beside OUT if not given.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace OUT and its picture; the run itself stays.",
)
@click.option("--quiet", is_flag=True, help="No lines and no bar.")
@JSON
@click.pass_context
def fit(
    ctx: click.Context,
    photos: str,
    model: str,
    out: str,
    workdir: str | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Fit a face space to the photos in PHOTOS.

    Six to ten photos, aligned as the pictures that the generator MODEL was trained on.
    OUT (.safetensors) is the whole space in one file; beside it a picture shows each
    photo above its face. Run the same command again and it goes on where it stopped.
    Any value of the configuration is set with --config.SECTION.KEY=VALUE.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines import facespace as library

    disable = True if quiet or not options["align"] else None
    said = told_how_to_go_on("the run keeps what it has")
    with said, tqdm(unit="photo", leave=False, disable=disable) as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        done = library.fit_file(
            photos,
            model,
            out,
            library.Fit(**options, words=tuple(ctx.args)),
            workdir=workdir,
            overwrite=overwrite,
            shown=not quiet,
            progress=step,
        )
    if done.outcome.signal is not None:
        click.echo(
            f"stopped, everything is saved in {done.workdir}: run the same command to "
            "go on",
            err=True,
        )
        return 128 + done.outcome.signal
    say_licence(model)
    document = done.to_json()
    worst = document["worst_ratio"]
    if worst < 1:
        click.echo(
            "warning: at least one face is further from its photo than the generator's "
            "mean face: give more --epochs, or aligned photos",
            err=True,
        )
    if as_json:
        click.echo(json.dumps(document))
    else:
        nearer = f", the worst {worst:.1f} times nearer than the mean face"
        click.echo(
            f"{done.out}: {len(done.names)} photos; L2 {done.l2.mean():.4f} on average "
            f"(of the mean face {done.l2_mean.mean():.4f})"
            f"{nearer if worst >= 1 else ''}; picture {done.picture}"
        )
    return 0
