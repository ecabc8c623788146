"""Options that several commands have, each with one spelling, range and help."""

from __future__ import annotations

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
THREADS = click.option(
    "--workers", type=click.IntRange(1, 256), help="Threads; one per core if not given."
)

# Configurations.
# Lets --config.SECTION.KEY=VALUE through, which are read with the configuration.
OVERRIDES = {"ignore_unknown_options": True, "allow_extra_args": True}
CONFIG = click.option(
    "--config",
    "name",
    required=True,
    metavar="NAME_OR_FILE[:ARG]",
    help="A configuration of the package or a Python file; :smoke shrinks it.",
)

# Pictures in.
RESIZE = click.option(
    "--resize",
    type=click.Choice(["lanczos", "box", "bicubic"]),
    default="lanczos",
    show_default=True,
    help="Filter.",
)
CHANNELS = click.option(
    "--channels",
    type=click.Choice(["1", "3", "4"]),
    default="3",
    show_default=True,
    help="1 grey, 3 RGB (alpha becomes white), 4 RGB and alpha.",
)

# Pairs out.
STORAGE = click.option(
    "--format",
    "storage",
    type=click.Choice(["folder", "arrayrecord"]),
    default="folder",
    show_default=True,
    help="PNGs in A/ and B/, or one ArrayRecord file each.",
)

# Drawing from a generator.
PSI = click.option(
    "--psi", type=float, default=1.0, show_default=True, help="Truncation psi."
)
CUTOFF = click.option(
    "--cutoff", type=click.IntRange(0), help="Truncate this many first layers only."
)
NOISE = click.option(
    "--noise",
    type=click.Choice(["const", "none"]),
    default="const",
    show_default=True,
    help="The model's own noise, or none.",
)
LABEL = click.option(
    "--label", type=click.IntRange(0), help="Class, if the model has any."
)
