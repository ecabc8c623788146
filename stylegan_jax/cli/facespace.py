"""``stylegan-jax facespace``: fit, and what a fitted space is used for."""

from __future__ import annotations

import click

from stylegan_jax.cli.facespace_fit import fit
from stylegan_jax.cli.facespace_use import COMMANDS


@click.group()
def facespace() -> None:
    """Make a face space of a few photos, and use it."""


for _command in (fit, *COMMANDS):
    facespace.add_command(_command)
