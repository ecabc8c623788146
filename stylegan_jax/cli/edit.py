"""``stylegan-jax edit``."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.directions import split
from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import CUTOFF, JSON, LABEL, NOISE, PSI

_EPILOG = """\b
Example: stylegan-jax edit runs/a 0-3 --direction smile --strengths -3:3:7 --out s.png
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.argument("w")
@click.option(
    "--direction",
    multiple=True,
    required=True,
    help="A file, or a name in directions/ beside the model; repeat it, or use commas.",
)
@click.option("--strengths", help="-3:3:7 for 7 from -3 to 3, or -2,0,2.")
@click.option("--like", help="Instead: another face's seed or .npz, to be like it.")
@click.option(
    "--share",
    type=float,
    default=1.0,
    show_default=True,
    help="Of the way to --like.",
)
@click.option("--layers", help="Layers that move, such as 0-7.  [all]")
@click.option(
    "--out", required=True, help="A .png for a sheet, .gif or .mp4, or a folder."
)
@click.option("--reader", help="Also read attributes: a model, or the word toy.")
@click.option("--attribute", multiple=True, help="What to write below the pictures.")
@click.option(
    "--cell",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Largest side of a picture on the sheet.",
)
@click.option(
    "--frames",
    type=click.IntRange(2),
    default=30,
    show_default=True,
    help="Of a film, one way; it goes back as well.",
)
@click.option(
    "--fps",
    type=click.IntRange(1),
    default=25,
    show_default=True,
    help="Frames per second; a GIF has at most 50.",
)
@PSI
@CUTOFF
@NOISE
@LABEL
@JSON
def edit(model: str, w: str, as_json: bool, **given: Any) -> None:
    """Move faces along directions.

    MODEL is a generator's file or a run's folder, W seeds such as 0-3 or an .npz of
    latents. A sheet has a table for each direction: a row for each face, a column for
    each strength.
    """
    from stylegan_jax.errors import UsageError

    if (given["strengths"] is None) == (given["like"] is None):
        raise UsageError("give either --strengths -3:3:7 or --like SEED_OR_FILE.")
    if given["like"] is None and given["share"] != 1.0:
        raise UsageError("--share is of the way to --like.")
    found = _run(model, w, given)
    say_licence(model)
    if as_json:
        click.echo(json.dumps(found))
        return
    for sentence in found["notes"]:
        click.echo(f"note: {sentence}", err=True)
    click.echo(f"{found['out']}: {len(found['faces'])} faces")
    for line in _readings(found):
        click.echo(line)


def _run(model: str, w: str, given: dict[str, Any]) -> dict[str, Any]:
    from tqdm import tqdm

    from stylegan_jax.pipelines.edit import EditOptions, edit_faces, parse_strengths
    from stylegan_jax.pipelines.edit_output import Output
    from stylegan_jax.pipelines.expression import transfer_expression

    output = Output(given["out"], given["cell"], given["frames"], given["fps"])
    options = EditOptions(
        truncation_psi=given["psi"],
        truncation_cutoff=given["cutoff"],
        noise_mode=given["noise"],
        label=given["label"],
        layers=given["layers"],
    )
    named = split(given["direction"])
    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        common: dict[str, Any] = {
            "reader": given["reader"],
            "attributes": split(given["attribute"]),
            "progress": bar.update,
        }
        if given["like"] is None:
            strengths = parse_strengths(given["strengths"])
            return edit_faces(model, w, named, strengths, output, options, **common)
        common["share"] = given["share"]
        return transfer_expression(
            model, w, given["like"], named, output, options, **common
        )


def _readings(found: dict[str, Any]) -> list[str]:
    """Mean readings by strength, of the attributes on the sheet."""
    lines = []
    for direction in found["directions"]:
        if isinstance(direction, str):
            continue  # of --like, whose readings are on the sheet
        for name in direction["attributes"] if "monotone" in direction else ():
            judged = direction["monotone"][name]
            means = ", ".join(f"{mean:.3g}" for mean in judged["mean"])
            way = "rising" if judged["rising"] else "falling"
            steady = judged["rising"] or judged["falling"]
            lines.append(
                f"{direction['name']}: mean {name} {means} "
                f"({way if steady else 'not monotone'})"
            )
    return lines
