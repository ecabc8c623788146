"""``stylegan-jax eval``."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.options import JSON, PSI


@click.command(
    "eval", epilog="Example: stylegan-jax eval runs/a --data photos.zip --json"
)
@click.argument("model")
@click.option("--data", required=True, help="Real pictures: folder, zip, tfds:NAME…")
@click.option(
    "--metrics",
    default="swd",
    show_default=True,
    help="Names, apart by commas. swd: sliced Wasserstein distance ×1000.",
)
@click.option(
    "--num",
    type=click.IntRange(1, 2**20),
    default=2048,
    show_default=True,
    help="Pictures of each kind, at most; figures compare at equal numbers only.",
)
@PSI
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the latents, the choice of real pictures and the metric.",
)
@click.option("--batch", type=click.IntRange(1), help="Pictures computed at a time.")
@click.option(
    "--skip-broken", is_flag=True, help="Leave broken real pictures out of the data."
)
@JSON
def evaluate(
    model: str,
    data: str,
    metrics: str,
    num: int,
    psi: float,
    seed: int,
    batch: int | None,
    skip_broken: bool,
    as_json: bool,
) -> None:
    """Measure a generator against a data set.

    MODEL is a model file or a run's folder. With --json the line also says on what the
    figures were measured.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines import evaluate as library

    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        result = library.evaluate(
            model,
            data,
            metrics=[name.strip() for name in metrics.split(",") if name.strip()],
            num=num,
            seed=seed,
            truncation_psi=psi,
            batch=batch,
            skip_broken=skip_broken,
            progress=bar.update,
        )
    if as_json:
        click.echo(json.dumps(result))
        return
    for name, value in result["metrics"].items():
        click.echo(f"{name:<12}{value:>10.3f}")
    click.echo(f"on {result['num_real']} real and {result['num_fake']} drawn pictures")
    click.echo(f"drawn by {result['model']}")
