"""The licence of other people's weights, said where pictures are made with them."""

from __future__ import annotations

from pathlib import Path

import click

# What files say that were not told of any terms; see `training.snapshots.LICENCE`.
_NOTHING = ("", "none", "not stated", "unstated")


def say_licence(*models: str | Path | None) -> None:
    """Says on stderr which licence each model's weights are under, where one is stated.

    Args:
        models: files or runs' folders that were opened already; None is left out.
    """
    from stylegan_jax.checkpoints.load import find_model
    from stylegan_jax.checkpoints.model_file import read_metadata

    files = dict.fromkeys(find_model(model) for model in models if model is not None)
    for file in files:
        licence = str(read_metadata(file).get("licence", ""))
        if licence.partition(":")[0] not in _NOTHING:
            click.echo(f"licence of {file.name}: {licence}", err=True)
