"""``stylegan-jax eval``."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.options import JSON, PSI

_EPILOG = """\b
Example: stylegan-jax eval runs/a --data photos.zip --json
         stylegan-jax eval runs/psp --data pairs/ --metrics l2,lpips --held-out 0.05
         stylegan-jax eval runs/student --data pairs/ --attributes runs/attributes
"""


@click.command("eval", epilog=_EPILOG)
@click.argument("model")
@click.option(
    "--data",
    required=True,
    help="Real pictures (folder, zip, tfds:NAME…), or pairs for pSp and pix2pixHD.",
)
@click.option(
    "--metrics",
    help="Names, apart by commas. Of a generator swd (default): sliced Wasserstein "
    "distance ×1000. On pairs l1, l2 (pictures from -1 to 1), lpips, identity; if not "
    "given l2 of a pSp, l1 and l2 of a pix2pixHD model.",
)
@click.option(
    "--num",
    type=click.IntRange(1, 2**20),
    help="Pictures of each kind, at most 2048 if not given, or pairs, all if not "
    "given; figures compare at equal numbers only.",
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
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Of pairs: only those that training with this data.held_out never sees.",
)
@click.option(
    "--reconstruct",
    is_flag=True,
    help="Pictures that a pSp is to give back; DATA may be plain pictures.",
)
@click.option(
    "--factor",
    type=click.IntRange(1),
    help="Of a super-resolving pSp: shrink what it sees by this factor.",
)
@click.option(
    "--lpips",
    type=click.Choice(["lpips_alex", "lpips_vgg"]),
    help="Network of the metric lpips; lpips_alex if not given.",
)
@click.option(
    "--identity",
    type=click.Choice(["arcface_irse50", "arcface_mobilefacenet"]),
    help="Network of the metric identity; arcface_irse50 if not given.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    help="Side that a pix2pixHD model works at; that of its training if not given.",
)
@click.option(
    "--classes",
    type=click.IntRange(1, 256),
    help="Classes of label maps, where a converted pix2pixHD model does not tell.",
)
@click.option(
    "--attributes",
    help="A model of attributes, or toy: what becomes of each from side A to the "
    "output, and in side B.",
)
@click.option("--per-pair", help="A .csv or .jsonl for the figures of every pair.")
@JSON
def evaluate(
    model: str,
    data: str,
    metrics: str | None,
    num: int | None,
    psi: float,
    seed: int,
    batch: int | None,
    skip_broken: bool,
    lpips: str | None,
    identity: str | None,
    as_json: bool,
    **pairs: Any,
) -> None:
    """Measure a model against a data set.

    MODEL is a model file or a run's folder: a generator, which is measured against real
    pictures, or a pSp or pix2pixHD model, whose outputs of the first pictures of pairs
    are compared with the second ones. A ratio says how many times less a difference is
    than that of the baseline: for a pSp the picture of the mean latent, for a pix2pixHD
    model the first picture as it is. With --json the line also says on what the figures
    were measured.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines import evaluate as library

    chosen = {"lpips": lpips, "identity": identity}
    networks = {name: network for name, network in chosen.items() if network}
    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        result = library.evaluate(
            model,
            data,
            metrics=None
            if metrics is None
            else [name.strip() for name in metrics.split(",") if name.strip()],
            num=num,
            seed=seed,
            truncation_psi=psi,
            batch=batch,
            skip_broken=skip_broken,
            pair_options={"networks": networks, **pairs},
            progress=bar.update,
        )
    if as_json:
        click.echo(json.dumps(result))
        return
    _print(result)


def _print(result: dict[str, Any]) -> None:
    """Writes the figures and on what they were measured."""
    figures = result["metrics"]
    if "num" in result:
        for name in (n for n in figures if not n.endswith("_std")):
            spread = figures.get(f"{name}_std")
            said = "" if spread is None else f" ± {spread:.4f}"
            click.echo(f"{name:<16}{figures[name]:>10.4f}{said}")
        for name, each in result.get("attributes", {}).items():
            _print_attribute(name, each)
        share = result["held_out"]
        part = f", the {share:g} held out" if share else ""
        height, width = result["size"]
        click.echo(f"on {result['num']} pairs{part}, at {height}x{width}")
    else:
        for name, value in figures.items():
            click.echo(f"{name:<12}{value:>10.3f}")
        real, fake = result["num_real"], result["num_fake"]
        click.echo(f"on {real} real and {fake} drawn pictures")
    click.echo(f"drawn by {result['model']}")


def _print_attribute(name: str, figures: dict[str, float | None]) -> None:
    """Writes what became of an attribute in one line."""
    said = [
        f"{side} {figures[side]:.3f}"
        for side in ("source", "output", "target")
        if figures.get(side) is not None
    ]
    for side in ("source", "target"):
        alike, kept = (figures.get(f"{k}_{side}") for k in ("correlation", "kept"))
        words = [] if kept is None else [f"{kept:.0%} kept"]
        words += [] if alike is None else [f"correlation {alike:.2f}"]
        if words:
            said.append(f"with {side}: {', '.join(words)}")
    click.echo(f"{name:<16}{'; '.join(said)}")
