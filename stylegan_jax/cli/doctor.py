"""``stylegan-jax doctor``."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.options import JSON


@click.command(epilog="Example: stylegan-jax doctor --json")
@JSON
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show what works on this machine.

    Lists devices, package versions, extras, frozen weights, the compilation cache,
    memory and disk, and the one command that adds each thing that is missing. The
    exit code is 0 if the core works.
    """
    from stylegan_jax.bench.doctor import describe, examine

    report = examine()
    click.echo(json.dumps(report) if as_json else describe(report))
    ctx.exit(0 if report["ok"] else 1)
