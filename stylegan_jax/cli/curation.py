"""The options of curating pairs, which several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def curation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--curate`` and its bounds; `read_curation` reads them."""
    options = (
        click.option(
            "--curate", is_flag=True, help="Mark the pairs to keep; write report.html."
        ),
        click.option(
            "--lpips-band",
            nargs=2,
            type=float,
            default=(0.05, 0.8),
            show_default=True,
            help="Curate: least and greatest LPIPS between the two pictures.",
        ),
        click.option(
            "--min-identity",
            type=float,
            default=0.1,
            show_default=True,
            help="Curate: least cosine between the two faces' identities.",
        ),
        click.option(
            "--min-sharpness",
            type=float,
            default=0.3,
            show_default=True,
            help="Curate: least share of the set's median sharpness.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_curation(options: dict[str, Any]) -> Any:
    """Takes the bounds out of a command's values.

    Args:
        options: the values by name; loses those of `curation_options`.

    Returns:
        A `pair_scores.Curation`; None without ``--curate``.
    """
    from stylegan_jax.pipelines.pair_scores import Curation

    names = ("lpips_band", "min_identity", "min_sharpness")
    bounds = [options.pop(name) for name in names]
    return Curation(*bounds) if options.pop("curate") else None
