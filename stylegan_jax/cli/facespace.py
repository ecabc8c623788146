"""``stylegan-jax facespace``: fit, and what a fitted space is used for."""

from __future__ import annotations

import click

from stylegan_jax.cli.facespace_fit import fit


@click.group()
def facespace() -> None:
    """Make a face space of a few photos, and use it."""


facespace.add_command(fit)
