"""``stylegan-jax stylize``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from stylegan_jax.cli.going_on import told_how_to_go_on
from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import JSON
from stylegan_jax.errors import UsageError, printable

_EPILOG = """\b
Example: stylegan-jax stylize runs/psp faces/ out/ --couple --sheet
         stylegan-jax stylize runs/psp faces/ mixed/ --mix-layers 8-17 --mix-seeds 1-5
         stylegan-jax stylize runs/student photos/ out/ --size 512 --keep-aspect
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.argument("src")
@click.argument("dst", type=click.Path(file_okay=False))
@click.option("--couple", is_flag=True, help="What the model saw beside its output.")
@click.option(
    "--resize-output", type=click.IntRange(1), help="Height of an output in pixels."
)
@click.option(
    "--num", type=click.IntRange(1), help="Only the first so many pictures of SRC."
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    help="About how many pictures to compute at a time; changes none of them.",
)
@click.option(
    "--psi",
    type=float,
    default=1.0,
    show_default=True,
    help="Below 1, latents move towards the mean: fewer artefacts, less likeness.",
)
@click.option(
    "--noise",
    type=click.Choice(["const", "none"]),
    help="The decoder's own noise, or none; as the model was trained if not given.",
)
@click.option("--mix-layers", help="Layers that other latents give, such as 8-17.")
@click.option("--mix-seeds", help="Seeds of those latents, such as 1-5: outputs.")
@click.option("--mix-w", help="Instead: an .npz with w_plus, w or z.")
@click.option(
    "--mix-alpha",
    type=float,
    default=1.0,
    show_default=True,
    help="Share of the other latents in these layers; 1 replaces.",
)
@click.option(
    "--factors",
    help="Shrink the pictures by each factor, such as 1,4,16, and enlarge them first.",
)
@click.option(
    "--iterations",
    type=click.IntRange(1),
    help="Passes of an encoder that was trained with several; else the model's own.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    help="Side that a pix2pixHD model works at; that of its training if not given.",
)
@click.option(
    "--keep-aspect",
    is_flag=True,
    help="Show a pix2pixHD model all of a picture, not its central square.",
)
@click.option(
    "--second",
    help="For a model of two people: the second picture, or a folder of pictures with "
    "the names of those in SRC.",
)
@click.option(
    "--classes",
    type=click.IntRange(1, 256),
    help="Classes of label maps, where a converted pix2pixHD model does not tell.",
)
@click.option("--save-w", is_flag=True, help="Also write w.npz: latents and names.")
@click.option("--sheet", is_flag=True, help="Also write sheet.png, the first 100 rows.")
@click.option("--overwrite", is_flag=True, help="Do all anew where this made DST.")
@JSON
def stylize(
    model: str,
    src: str,
    dst: str,
    num: int | None,
    batch: int | None,
    save_w: bool,
    sheet: bool,
    overwrite: bool,
    as_json: bool,
    **options,
) -> int:
    """Put pictures through a pSp or pix2pixHD model.

    MODEL is a model file or a run's folder; SRC a picture, folder, zip or data set of
    pictures that lie as those it was trained on (faces: `data align`). DST gets a PNG
    for each and stylize.json, which says what became of each. Run again, it does the
    pictures that have no output yet.

    A pix2pixHD model has no latents, so psi, noise, the mix options and save-w are for
    a pSp alone; size, keep-aspect, second and classes are for pix2pixHD alone.

    The exit code is 0 if every picture has its output, 1 if one or more were refused:
    which ones and why is on stderr, in stylize.json and in the object of --json.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines.stylize import stylize as library

    chosen = _read(options)
    # disable=None: a bar only where a person watches.
    said = told_how_to_go_on(f"{dst} keeps its outputs", overwrite=overwrite)
    with said, tqdm(unit="img", leave=False, disable=None) as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        done = library(
            model,
            src,
            dst,
            chosen,
            num=num,
            batch=batch,
            save_w=save_w,
            sheet=sheet,
            overwrite=overwrite,
            progress=step,
        )
    if done.failed:
        click.echo(f"refused ({len(done.failed)}):", err=True)
    for name, reason in done.failed.items():
        click.echo(f"  {printable(name)}: {printable(reason)}", err=True)
    say_licence(model)
    if as_json:
        click.echo(json.dumps(done.to_json()))
    else:
        click.echo(
            f"{dst}: {done.stylized} of {done.pictures} pictures ({done.kept} were "
            f"there already), {len(done.failed)} refused, drawn by {done.model}"
        )
    return 1 if done.failed else 0


def _read(options: Mapping[str, Any]) -> Any:
    """The options of the library from those of the command line."""
    from stylegan_jax.pipelines.stylize import Options

    return Options(
        couple=options["couple"],
        resize_output=options["resize_output"],
        truncation_psi=options["psi"],
        noise_mode=options["noise"],
        mix_layers=options["mix_layers"],
        mix_seeds=options["mix_seeds"],
        mix_w=options["mix_w"],
        mix_alpha=options["mix_alpha"],
        factors=_numbers(options["factors"]),
        iterations=options["iterations"],
        size=options["size"],
        keep_aspect=options["keep_aspect"],
        second=options["second"],
        classes=options["classes"],
    )


def _numbers(text: str | None) -> tuple[int, ...]:
    """Reads numbers apart by commas."""
    if text is None:
        return ()
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and len(word) < 6 for word in words):
        raise UsageError(f"factors are whole numbers such as 1,4,16, got '{text}'.")
    return tuple(map(int, words))
