"""``stylegan-jax latents``: maps."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import JSON, LABEL, PSI


@click.group()
def latents() -> None:
    """Look at latents."""


_MAP_EPILOG = """\b
Example: stylegan-jax latents map space.safetensors --out map.png
         stylegan-jax latents map runs/a --num 200 --method tsne --out map.png
         stylegan-jax latents map w.npz --model runs/a --out map.png
"""


@latents.command("map", epilog=_MAP_EPILOG)
@click.argument("source")
@click.option("--out", required=True, help="A .png.")
@click.option(
    "--method",
    type=click.Choice(["random", "pca", "tsne", "lle"]),
    default="pca",
    show_default=True,
    help="Random axes at right angles, principal axes, or (with the extra maps) t-SNE "
    "or locally linear embedding.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the method.",
)
@click.option("--perplexity", type=float, help="Of tsne.  [30, fewer for few points]")
@click.option(
    "--neighbours", type=click.IntRange(1), help="Of lle.  [12, fewer for few points]"
)
@click.option(
    "--num",
    type=click.IntRange(2),
    default=200,
    show_default=True,
    help="Of a generator: map the seeds from 0 on.",
)
@click.option("--model", help="Of an .npz: a generator that draws its latents.")
@PSI
@LABEL
@JSON
def map_command(source: str, out: str, as_json: bool, **given: Any) -> None:
    """Draw a map of latents: what is alike lies close together.

    SOURCE is a face space (codes and W+ of its photos), a generator's file or run (z
    and w of seeds), or an .npz of latents. The caption says how much of the variance
    the picture shows, and what it cannot show.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines.latent_map import Options, map_latents

    options = Options(
        given["method"],
        seed=given["seed"],
        perplexity=given["perplexity"],
        neighbours=given["neighbours"],
        num=given["num"],
        truncation_psi=given["psi"],
        label=given["label"],
        model=given["model"],
    )
    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        found = map_latents(source, out, options, progress=bar.update)
    say_licence(given["model"] if source.lower().endswith(".npz") else source)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{out}: {len(found['names'])} points")
    for panel in found["panels"]:
        click.echo(f"  {panel['title']}: {'; '.join(panel['notes'])}")
