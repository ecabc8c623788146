"""What a command says when Ctrl-C ends it and it can go on later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click


@contextlib.contextmanager
def told_how_to_go_on(kept: str, *, overwrite: bool = False) -> Iterator[None]:
    """Writes to stderr how to go on, if Ctrl-C ends the block; passes it on.

    Args:
        kept: what is kept of the work, such as ``faces keeps its crops``.
        overwrite: whether ``--overwrite`` was given, which would begin anew.
    """
    try:
        yield
    except KeyboardInterrupt:
        how = " without --overwrite" if overwrite else ""
        click.echo(f"{kept}: run the same command{how} to go on.", err=True)
        raise
