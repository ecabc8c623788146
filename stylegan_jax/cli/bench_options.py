"""What the commands of ``stylegan-jax bench`` share: options, reports, settings."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from stylegan_jax.cli.options import JSON

DTYPES = ("float32", "tf32", "bfloat16", "float16")

_OUT = click.option(
    "--out", type=click.Path(dir_okay=False), help="Write the report as JSON here too."
)
_COMPARE = click.option(
    "--compare",
    type=click.Path(dir_okay=False),
    help="An earlier report: print ratios, and what else differs.",
)
REPEATS = click.option(
    "--repeats",
    type=click.IntRange(1, 10_000),
    help="Repeats of each measurement; from 3 to 100 by --seconds if not given.",
)
SECONDS = click.option(
    "--seconds",
    type=click.FloatRange(0.01, 3600),
    help="About how long each measurement repeats.",
)
DTYPE = click.option(
    "--dtype", type=click.Choice(DTYPES), help="Precision; the model's own otherwise."
)
RESOLUTION = click.option(
    "--resolution", help="Short for --config.data.resolution: 256, or 320x256."
)
NO_CACHE = click.option(
    "--no-cache", is_flag=True, help="Compile anew instead of from jax's cache."
)


def reporting(command: Callable[..., Any]) -> Callable[..., None]:
    """Adds --json, --out and --compare to a command that returns a report.

    The command returns the report, the lines that describe it, and whether what was
    asked for was reached.
    """

    @JSON
    @_OUT
    @_COMPARE
    @functools.wraps(command)
    def run(
        *args: Any, as_json: bool, out: str | None, compare: str | None, **kwargs: Any
    ) -> None:
        from stylegan_jax.bench import compare as comparing
        from stylegan_jax.bench.report import save

        # A wrong file is refused before minutes of measuring.
        earlier = comparing.read_report(compare) if compare else None
        report, lines, reached = command(*args, **kwargs)
        if earlier is not None:
            report["compared"] = comparing.compare(report, earlier)
            lines = [*lines, "", *comparing.describe(report["compared"])]
        # What took minutes is on the screen before a disk can refuse it.
        click.echo(json.dumps(report) if as_json else "\n".join(lines))
        if out:
            save(report, out)
        if not reached:
            click.get_current_context().exit(1)

    return run


def say(text: str) -> None:
    """Writes a line of progress to stderr."""
    click.echo(text, err=True)


def budget_of(repeats: int | None, seconds: float | None, default: float = 3.0) -> Any:
    """A `timing.Budget` from the two options."""
    from stylegan_jax.bench.timing import Budget

    return Budget(repeats, default if seconds is None else seconds)


def use_cache(use: bool) -> None:
    """Turns jax's persistent cache of programs off, unless it is to be used."""
    if not use:
        import jax

        jax.config.update("jax_enable_compilation_cache", False)


def config_of(name: str, overrides: Sequence[str], **values: Any) -> Any:
    """A configuration with the command's own options, then the overrides."""
    from stylegan_jax.training.experiment import load_config

    words = [f"--config.{k}={v}" for k, v in values.items() if v is not None]
    return load_config(name, [*(w.replace("__", ".") for w in words), *overrides])
