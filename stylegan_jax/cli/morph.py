"""``stylegan-jax morph``."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import CUTOFF, JSON, LABEL, NOISE, PSI


@click.command(
    epilog="Example: stylegan-jax morph runs/a --seeds 1,2,3 --loop --out m.gif"
)
@click.argument("model")
@click.option("--seeds", help="Pictures that the film passes, such as 1,2,3.")
@click.option("--latents", help="Instead: an .npz with w_plus, w or z.")
@click.option("--out", required=True, help="A .gif, or .mp4 with the extra video.")
@click.option(
    "--space",
    type=click.Choice(["z", "w", "w_plus"]),
    help="Where to move: z along great circles, w and w_plus straight.  "
    "[default: w, or w_plus for such latents]",
)
@click.option(
    "--frames-per",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Frames from one picture to the next.",
)
@click.option(
    "--fps",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Frames per second; a GIF has at most 50.",
)
@click.option(
    "--easing",
    type=click.Choice(["linear", "cosine", "smooth", "smoother"]),
    default="cosine",
    show_default=True,
    help="All but linear slow down at each picture.",
)
@click.option("--loop", is_flag=True, help="Go back to the first picture.")
@PSI
@CUTOFF
@NOISE
@LABEL
@JSON
def morph(model: str, out: str, seeds: str | None, as_json: bool, **options) -> None:
    """Make a film that moves between pictures.

    MODEL is a model file or a run's folder. From seeds, w and w_plus give the same
    film; latents from a file may differ from layer to layer.
    """
    from stylegan_jax.errors import UsageError
    from stylegan_jax.pipelines.generate import parse_seeds

    if (seeds is None) == (options["latents"] is None):
        raise UsageError("give either --seeds 1,2,3 or --latents FILE.npz.")
    numbers = None if seeds is None else parse_seeds(seeds)

    from tqdm import tqdm

    from stylegan_jax.checkpoints.load import load_generator
    from stylegan_jax.pipelines import morph as library
    from stylegan_jax.pipelines.films import check_film

    check_film(out, options["fps"])
    # disable=None: a bar only where a person watches.
    with tqdm(unit="frame", leave=False, disable=None) as bar:
        found = library.morph(
            load_generator(model),
            out,
            seeds=numbers,
            latents=options["latents"],
            space=options["space"],
            frames_per=options["frames_per"],
            fps=options["fps"],
            easing=options["easing"],
            loop=options["loop"],
            truncation_psi=options["psi"],
            truncation_cutoff=options["cutoff"],
            noise_mode=options["noise"],
            label=options["label"],
            progress=bar.update,
        )
    say_licence(model)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{out}: {found['frames']} frames, {found['seconds']:.1f} s, moved in "
        f"{found['space']}"
    )
