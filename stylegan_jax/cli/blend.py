"""``stylegan-jax blend``."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.options import JSON

_EPILOG = """\b
Example: stylegan-jax blend ffhq.safetensors runs/comic toon.safetensors --resolution 32
Compare: stylegan-jax blend ffhq.safetensors runs/comic --grid grid.png \\
           --resolutions 8,16,32 --alphas 0.5,1
"""


@click.command(epilog=_EPILOG)
@click.argument("base")
@click.argument("style")
@click.argument("out", required=False)
@click.option(
    "--resolution",
    type=click.IntRange(4),
    help="STYLE gives the blocks of at least this resolution.  [default: 32]",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="STYLE's share is multiplied with it.",
)
@click.option(
    "--width",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Width of the step in positions, two to a block; 0 is a hard step.",
)
@click.option(
    "--ramp",
    type=click.Choice(["logistic", "linear"]),
    default="logistic",
    show_default=True,
    help="Form of a step with a width.",
)
@click.option(
    "--curve",
    type=click.Path(),
    help='JSON file of any share per layer: {"b4/const": 0, "b4/conv1": 0.5, ...}.',
)
@click.option(
    "--parts",
    help="What STYLE gives, of const,conv,torgb,skip,affine,noise,mapping.  "
    "[default: all but mapping]",
)
@click.option(
    "--mapping",
    type=click.Choice(["base", "style"]),
    help="Which model gives the mapping network and w_avg.  [default: base, unless "
    "--parts or the curve name mapping]",
)
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="MODEL:SHARE_OR_CURVE",
    help="A further model; repeat for more.",
)
@click.option("--grid", help="Draw a contact sheet into this .png; OUT may be absent.")
@click.option("--resolutions", help="Columns of the sheet.  [default: all from 8 up]")
@click.option(
    "--alphas",
    default="0.5,1",
    show_default=True,
    help="Rows of the sheet.",
)
@click.option(
    "--snapshots",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Sheet: at most so many of STYLE's snapshots, where it is a run's folder.",
)
@click.option("--seeds", help="Pictures of the sheet.  [default: 0-3]")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Short for --seeds with one seed."
)
@click.option(
    "--psi", type=float, default=0.7, show_default=True, help="Truncation of the sheet."
)
@click.option(
    "--cell",
    type=click.IntRange(16, 1024),
    default=128,
    show_default=True,
    help="Largest side of a picture on the sheet.",
)
@JSON
def blend(
    base: str,
    style: str,
    out: str | None,
    grid: str | None,
    as_json: bool,
    **options,
) -> None:
    """Blend two or more generators layer by layer.

    Blocks of at least --resolution (conv, torgb, skip, affine, noise; const with 4)
    come from STYLE, smaller ones, the mapping network and w_avg from BASE. The models
    must share a parent, as a fine-tuned model and what it was fine-tuned from do. Each
    is a model file or a run's folder.
    """
    from stylegan_jax.errors import UsageError
    from stylegan_jax.pipelines import blend as library
    from stylegan_jax.pipelines.blend_table import table

    if out is None and grid is None:
        raise UsageError("nothing to write: name OUT.safetensors, or --grid SHEET.png.")
    parts = options["parts"]
    recipe = library.Recipe(
        resolution=options["resolution"],
        alpha=options["alpha"],
        width=options["width"],
        ramp=options["ramp"],
        curve=options["curve"],
        parts=None if parts is None else tuple(p.strip() for p in parts.split(",")),
        mapping=options["mapping"],
    )
    others = [library.parse_ingredient(text) for text in options["others"]]
    if grid is not None and others:
        raise UsageError("a sheet compares BASE and STYLE alone: leave --with out.")
    # OUT is checked before the sheet is drawn, and written once that is there: wrong
    # options write neither.
    plan = None
    if out is not None:
        plan = library.plan_blend(base, style, out, recipe=recipe, others=others)
    sheet = {}
    if grid is not None:
        sheet = _draw(base, style, grid, recipe, options, out is None)
    found = plan.write() if plan is not None else {}
    if sheet:
        found["grid"] = sheet
    for kind in ("warning", "note"):
        for text in found.get(f"{kind}s") or sheet.get(f"{kind}s", []):
            click.echo(f"{kind}: {text}", err=True)
    if as_json:
        click.echo(json.dumps(found))
        return
    if out is not None:
        click.echo(table(found))
        click.echo(f"{out}: blended")
    if grid is not None:
        click.echo(
            f"{grid}: {sheet['pictures']} pictures, "
            f"{len(sheet['snapshots'])} snapshot(s), resolutions "
            f"{', '.join(map(str, sheet['resolutions']))}, alphas "
            f"{', '.join(map(str, sheet['alphas']))}"
        )


def _draw(base, style, grid, recipe, options, alone) -> dict:
    import dataclasses

    from tqdm import tqdm

    from stylegan_jax.errors import UsageError
    from stylegan_jax.pipelines.blend_grid import blend_grid, parse_numbers
    from stylegan_jax.pipelines.generate import parse_seeds

    if not alone:  # these two are OUT's
        recipe = dataclasses.replace(recipe, resolution=None, curve=None)
    seed, seeds = options["seed"], options["seeds"]
    if seed is not None and seeds is not None:
        raise UsageError("--seed is short for --seeds with one seed: give one of them.")
    resolutions = options["resolutions"]
    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        return blend_grid(
            base,
            style,
            grid,
            recipe=recipe,
            resolutions=resolutions and parse_numbers(resolutions, int),
            alphas=parse_numbers(options["alphas"], float),
            snapshots=options["snapshots"],
            seeds=parse_seeds("0-3" if seeds is None else seeds)
            if seed is None
            else [seed],
            truncation_psi=options["psi"],
            cell=options["cell"],
            progress=bar.update,
        )
