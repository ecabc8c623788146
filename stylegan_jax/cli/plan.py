"""``stylegan-jax plan``."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.options import CONFIG, JSON, OVERRIDES

_EPILOG = """\b
Example: stylegan-jax plan --config stylegan2_auto --target v5e-8 \\
           --config.data.resolution=1024
"""


@click.command(
    epilog=_EPILOG,
    context_settings=OVERRIDES,
)
@CONFIG
@click.option(
    "--target",
    required=True,
    metavar="NAME",
    help="The chips: v5e-8, v6e-4, h100, a100-8 … (any other word lists them).",
)
@click.option(
    "--batch-per-device",
    type=click.IntRange(1),
    help="Images of the batch for every device; the configuration's if not given.",
)
@click.option(
    "--phases",
    help="Compile these programs only, apart by commas: g_main,d_reg,end.",
)
@click.option(
    "--search/--no-search",
    default=True,
    show_default=True,
    help="Look for the largest batch that fits: two to four compiles more.",
)
@click.option(
    "--effort",
    type=click.FloatRange(-1, 0),
    help="How hard the compiler tries: 0 as train has it, -1 for the shortest wait, a "
    "quarter or less.  [default: -1 for TPUs, else 0]",
)
@JSON
@click.pass_context
def plan(
    ctx: click.Context,
    name: str,
    target: str,
    batch_per_device: int | None,
    phases: str | None,
    search: bool,
    effort: float | None,
    as_json: bool,
) -> int:
    """Plan a training run for chips that are not here.

    Compiles every program of a training step for the target, without the chips and
    without pictures, and prints what each needs: memory, operations, bytes moved and
    sent, the time at best, the largest batch that fits, and how it would scale. Any
    value of the configuration is set with --config.SECTION.KEY=VALUE. Takes minutes.
    The exit code is 1 where the run would not compile or not fit.
    """
    from stylegan_jax.bench import plan as library
    from stylegan_jax.bench.plan_table import describe

    request = library.Request(
        config=name,
        overrides=tuple(ctx.args),
        target=target,
        images_per_device=batch_per_device,
        phases=tuple(p.strip() for p in (phases or "").split(",") if p.strip()),
        search=search,
        effort=effort,
    )
    found = library.plan(request, lambda text: click.echo(text, err=True))
    click.echo(json.dumps(found) if as_json else describe(found))
    return library.exit_code(found)
