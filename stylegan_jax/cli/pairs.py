"""``stylegan-jax pairs``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from stylegan_jax.cli.curation import curation_options, read_curation
from stylegan_jax.cli.options import JSON, STORAGE

_EPILOG = """\b
Example: stylegan-jax pairs pairs/ --base ffhq.safetensors --blend toon.safetensors \\
           --num 5000 --curate
"""


@click.command(epilog=_EPILOG)
@click.argument("out")
@click.option("--base", required=True, help="Model of the first pictures.")
@click.option("--blend", help="Model of the second pictures, such as a blend.")
@click.option("--direction", help="Instead: a .npz or .npy that edits the latents.")
@click.option("--strength", type=float, help="Factor of the direction.")
@click.option("--layers", help="Layers that the direction moves, such as 0-7.")
@click.option("--num", type=click.IntRange(1), required=True, help="How many pairs.")
@click.option(
    "--psi", type=float, default=0.7, show_default=True, help="Truncation of both."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Pair i is drawn from this seed + i.",
)
@STORAGE
@click.option(
    "--noise",
    type=click.Choice(["none", "const"]),
    default="none",
    show_default=True,
    help="Without noise the pictures agree in all that is not style.",
)
@click.option("--label", type=click.IntRange(0), help="Class, if the models have any.")
@curation_options
@JSON
def pairs(
    out: str,
    base: str,
    blend: str | None,
    direction: str | None,
    strength: float | None,
    layers: str | None,
    as_json: bool,
    **options,
) -> None:
    """Make paired pictures for training a student.

    The same seeds go through --base and --blend; or --direction edits the latents of
    the second pictures. Run the same command again to go on where it stopped; with a
    larger --num the set grows. docs/pairs.md describes the files.
    """
    from stylegan_jax.errors import UsageError
    from stylegan_jax.training import spmd

    if (blend is None) == (direction is None):
        raise UsageError("give either --blend MODEL or --direction FILE.")
    if direction is None and not (strength is None and layers is None):
        raise UsageError("--strength and --layers go with --direction.")
    if direction is not None and strength is None:
        raise UsageError("say how far along the direction: --strength 2.")
    spmd.join_processes()
    curated = options["curate"]
    found = _make(out, base, blend, direction, strength, layers, options)
    import jax

    if jax.process_index():
        return
    if as_json:
        click.echo(json.dumps(found))
        return
    for sentence in found["notes"]:
        click.echo(f"note: {sentence}", err=True)
    for sentence in found["not_scored"]:
        click.echo(f"note: no score of {sentence}", err=True)
    some_out = found["kept"] < found["pairs"]
    kept = f", {found['kept']} kept" if curated or some_out else ""
    click.echo(f"{out}: {found['pairs']} pairs{kept}, {found['drawn']} drawn now")


def _make(out, base, blend, direction, strength, layers, options) -> dict:
    import jax
    from tqdm import tqdm

    from stylegan_jax.pipelines import pairs as library
    from stylegan_jax.pipelines.pair_sides import Direction

    other = blend or Direction(Path(direction), strength, layers)
    chosen = library.Options(
        num=options["num"],
        seed=options["seed"],
        truncation_psi=options["psi"],
        noise_mode=options["noise"],
        label=options["label"],
        storage=options["storage"],
    )
    curation = read_curation(options)
    # disable=None: a bar only where a person watches; one for all processes.
    hidden = True if jax.process_index() else None
    total = options["num"] // jax.process_count()
    with tqdm(total=total, unit="pair", leave=False, disable=hidden) as bar:
        return library.make_pairs(
            out,
            base,
            other,
            chosen,
            curation=curation,
            progress=bar.update,
        )
