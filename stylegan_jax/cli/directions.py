"""``stylegan-jax directions``: fit, sefa, pca, condition, import, show."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.options import JSON, LABEL, NOISE

_SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Latent i is drawn from this seed + i.",
)
_NUM = click.option(
    "--num",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="How many directions.",
)


@click.group()
def directions() -> None:
    """Find directions in a generator's latents."""


_FIT_EPILOG = """\b
Example: stylegan-jax directions fit runs/a runs/a/directions/age.npz \\
           --attribute age --reader runs/attributes
"""


@directions.command(epilog=_FIT_EPILOG)
@click.argument("model")
@click.argument("out")
@click.option("--attribute", required=True, help="A column of the labels, or a name.")
@click.option("--labels", help="A .csv with seed or index, and a column per attribute.")
@click.option(
    "--reader", help="Instead: a model that reads attributes, or the word toy."
)
@click.option(
    "--num",
    type=click.IntRange(1),
    default=5000,
    show_default=True,
    help="How many pictures a reader reads.",
)
@click.option("--psi", type=float, default=0.7, show_default=True, help="Truncation.")
@_SEED
@NOISE
@LABEL
@click.option("--w", "w_file", help="An .npz of latents, instead of seeds.")
@click.option("--samples", help="An .npz that keeps w and readings for the next time.")
@click.option(
    "--method",
    type=click.Choice(["logistic", "svm"]),
    default="logistic",
    show_default=True,
    help="Logistic regression, or a linear SVM.",
)
@click.option(
    "--l2",
    type=float,
    default=100.0,
    show_default=True,
    help="Weight of the squared length against the summed loss.",
)
@click.option("--threshold", type=float, help="Positive above it.  [0.5, or median]")
@click.option(
    "--tails",
    type=float,
    default=0.5,
    show_default=True,
    help="Of numbers, use this share at either end.",
)
@click.option(
    "--keep-confident",
    type=float,
    help="Of probabilities, use those of at least this, or at most 1 less it.",
)
@click.option(
    "--condition",
    multiple=True,
    help="Directions that the result has no part in; repeat it, or use commas.",
)
@JSON
def fit(model: str, out: str, as_json: bool, **given: Any) -> None:
    """Fit a direction to an attribute.

    MODEL is a generator's file or a run's folder. Labels come from a table, or from
    what a reader sees in the pictures. OUT ends in .npz; docs/directions.md describes
    it.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines import directions as library
    from stylegan_jax.pipelines.direction_samples import DrawOptions

    options = library.FitOptions(
        given["attribute"],
        method=given["method"],
        l2=given["l2"],
        threshold=given["threshold"],
        tails=given["tails"],
        keep_confident=given["keep_confident"],
        conditions=split(given["condition"]),
    )
    draws = DrawOptions(
        num=given["num"],
        seed=given["seed"],
        truncation_psi=given["psi"],
        noise_mode=given["noise"],
        label=given["label"],
        w_file=given["w_file"],
    )
    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        found = library.fit(
            model,
            out,
            options,
            draws,
            labels=given["labels"],
            reader=given["reader"],
            samples=given["samples"],
            progress=bar.update,
        )
    if as_json:
        click.echo(json.dumps(found))
        return
    measured = found["measured"]
    click.echo(
        f"{out}: {found['attribute']} from {found['used']} of {found['num']} latents, "
        f"{found['positive']} positive"
    )
    ranks = measured["spearman"]
    click.echo(
        f"held-out accuracy {found['accuracy']:.3f} (mean of both classes "
        f"{measured['balanced_accuracy']:.3f}), rank correlation "
        f"{'unknown' if ranks is None else f'{ranks:.3f}'}"
    )
    steps = ", ".join(f"{part:.3f} from {rows}" for rows, part in measured["curve"])
    click.echo(f"accuracy by number of latents: {steps}")
    click.echo(f"one step is {found['norm']:.3f} long")


@directions.command(
    epilog="Example: stylegan-jax directions sefa runs/a runs/a/directions --layers 0-7"
)
@click.argument("model")
@click.argument("out_dir")
@click.option("--layers", help="Latents whose layers count, such as 0-7.  [all]")
@_NUM
@click.option(
    "--draws",
    type=click.IntRange(2),
    default=2000,
    show_default=True,
    help="Latents whose deviation along a direction is its length.",
)
@_SEED
@LABEL
@JSON
def sefa(model: str, out_dir: str, as_json: bool, **given: Any) -> None:
    """Write the directions that change styles most.

    They are the eigenvectors of the weights from w to styles (SeFa). MODEL is a
    generator's file or a run's folder.
    """
    from stylegan_jax.pipelines.direction_sets import closed_form

    rows = closed_form(
        model, out_dir, num=given["num"], layers=given["layers"], draws=_draws(given)
    )
    _tell(rows, as_json)


@directions.command(
    epilog="Example: stylegan-jax directions pca runs/a runs/a/directions --num 8"
)
@click.argument("model")
@click.argument("out_dir")
@_NUM
@click.option(
    "--draws",
    type=click.IntRange(2),
    default=10000,
    show_default=True,
    help="Latents that they are computed from.",
)
@_SEED
@LABEL
@JSON
def pca(model: str, out_dir: str, as_json: bool, **given: Any) -> None:
    """Write the principal components of w.

    This is GANSpace's way for StyleGAN. MODEL is a generator's file or a run's folder.
    """
    from stylegan_jax.pipelines.direction_sets import principal

    rows = principal(model, out_dir, num=given["num"], draws=_draws(given))
    _tell(rows, as_json)


@directions.command(
    epilog="Example: stylegan-jax directions condition age.npz --on glasses.npz out.npz"
)
@click.argument("direction")
@click.argument("out")
@click.option(
    "--on",
    multiple=True,
    required=True,
    help="Directions to take out; repeat it, or use commas.",
)
@JSON
def condition(direction: str, out: str, on: tuple[str, ...], as_json: bool) -> None:
    """Take other directions out of one.

    DIRECTION loses what all the others span together. OUT ends in .npz.
    """
    from stylegan_jax.pipelines import direction_sets

    row = direction_sets.condition(direction, split(on), out)
    if as_json:
        click.echo(json.dumps(row))
        return
    click.echo(f"{out}: {row['kept']:.3f} of the length is left")


@directions.command(
    "import",
    epilog="Example: stylegan-jax directions import smile.npy age.npy ffhq/directions",
)
@click.argument("files", nargs=-1, required=True)
@click.argument("out_dir")
@click.option("--licence", default="not stated", help="To be kept with them.")
@JSON
def import_(files: tuple[str, ...], out_dir: str, licence: str, as_json: bool) -> None:
    """Read public directions, .npy of one row per layer.

    Where all rows are equal, as in those of 18 by 512 that are common, one is kept.
    """
    from stylegan_jax.pipelines.direction_sets import import_arrays

    _tell(import_arrays(files, out_dir, licence=licence), as_json)


@directions.command(epilog="Example: stylegan-jax directions show runs/a/directions")
@click.argument("paths", nargs=-1, required=True)
@JSON
def show(paths: tuple[str, ...], as_json: bool) -> None:
    """List directions.

    PATHS are files or folders of them.
    """
    from stylegan_jax.pipelines.direction_files import direction_paths
    from stylegan_jax.pipelines.direction_sets import describe

    _tell([describe(path) for path in direction_paths(paths)], as_json)


def split(texts: tuple[str, ...]) -> list[str]:
    """The names in options that may be repeated, or have commas."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _draws(given: dict[str, Any]) -> Any:
    from stylegan_jax.pipelines.direction_samples import DrawOptions

    return DrawOptions(
        num=given["draws"],
        seed=given["seed"],
        truncation_psi=1.0,
        label=given["label"],
    )


def _tell(rows: list[dict[str, Any]], as_json: bool) -> None:
    from stylegan_jax.errors import printable

    if as_json:
        click.echo(json.dumps({"directions": rows}))
        return
    width = max(len(row["file"]) for row in rows)
    click.echo(f"{'file':{width}}  {'shape':>9}  {'step':>8}  accuracy  what")
    for row in rows:
        shape = "x".join(map(str, row["shape"]))
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
        cells = [f"{row['file']:{width}}", f"{shape:>9}", f"{row['norm']:8.3f}"]
        cells += [f"{accuracy:8}", printable(_what(row["provenance"]))]
        click.echo("  ".join(cells))


def _what(provenance: dict[str, Any]) -> str:
    """How a direction was made, in a few words."""
    words = [str(provenance.get("how", "not stated"))]
    if "attribute" in provenance:
        words.append(f"{provenance['attribute']} ({provenance.get('used')} latents)")
    if "explained" in provenance:
        words.append(f"{100 * float(provenance['explained']):.1f} % of the variance")
    if provenance.get("layers"):
        words.append(f"layers {provenance['layers']}")
    if "conditioned" in provenance:
        words.append("conditioned")
    return ", ".join(words)
