"""``stylegan-jax mix``."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import CUTOFF, JSON, LABEL, NOISE, PSI


@click.command(
    epilog="Example: stylegan-jax mix runs/a --rows 0-3 --cols 4-9 --layers 0-6 "
    "--out g.png"
)
@click.argument("model")
@click.option("--rows", required=True, help="Seeds such as 0-3, or an .npz of latents.")
@click.option("--cols", required=True, help="Likewise; they give the named layers.")
@click.option(
    "--layers",
    default="0-6",
    show_default=True,
    help="Layers that the columns give, from 0 for the coarsest.",
)
@click.option("--out", required=True, help="A .png.")
@PSI
@CUTOFF
@NOISE
@LABEL
@JSON
def mix(
    model: str,
    rows: str,
    cols: str,
    layers: str,
    out: str,
    psi: float,
    cutoff: int | None,
    noise: str,
    label: int | None,
    as_json: bool,
) -> None:
    """Mix the styles of pictures in a grid.

    MODEL is a model file or a run's folder. The top row and the left column are the
    pictures that are mixed; each of the others has the named layers of its column and
    the rest of its row.
    """
    from tqdm import tqdm

    from stylegan_jax.checkpoints.load import load_generator
    from stylegan_jax.pipelines.mix import mix_grid

    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        found = mix_grid(
            load_generator(model),
            rows,
            cols,
            layers,
            out,
            truncation_psi=psi,
            truncation_cutoff=cutoff,
            noise_mode=noise,
            label=label,
            progress=bar.update,
        )
    say_licence(model)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{out}: {found['rows']} rows by {found['columns']} columns, layers {layers} "
        "of the columns"
    )
