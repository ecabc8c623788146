"""``stylegan-jax bench data`` and ``bench peers``."""

from __future__ import annotations

import os
from typing import Any

import click

from stylegan_jax.cli.bench_options import DTYPES, reporting, say


@click.command(
    epilog="Example: stylegan-jax bench data photos.zip --resolution 256 --rate 300"
)
@click.argument("data")
@click.option("--resolution", help="256, or 320x256; the pictures' own if not given.")
@click.option(
    "--batch",
    type=click.IntRange(1, 65536),
    default=32,
    show_default=True,
    help="Images.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help="Processes that decode; 0 for threads.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="images/s that training takes: exit 1 where the pipeline is slower.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 3600),
    default=10.0,
    show_default=True,
    help="About how long to read.",
)
@reporting
def data(
    data: str,
    resolution: str | None,
    batch: int,
    workers: int,
    rate: float | None,
    seconds: float,
) -> tuple[Any, list[str], bool]:
    """Measure the training input pipeline.

    DATA is what data.path of a configuration takes. Pictures of another size are
    converted first, once, as training does.
    """
    from stylegan_jax.bench import input_pipeline as library

    report = library.bench_data(
        data,
        resolution=resolution,
        batch=batch,
        workers=workers,
        seconds=seconds,
        rate=rate,
        say=say,
    )
    return report, library.describe(report), report["figures"]["keeps_up"] is not False


@click.command(
    epilog="Example: stylegan-jax bench peers --rosinality stylegan2-pytorch/ "
    "--python torch-env/bin/python"
)
@click.option(
    "--rosinality",
    type=click.Path(exists=True, file_okay=False),
    help="A checkout of rosinality/stylegan2-pytorch.",
)
@click.option(
    "--nvlabs",
    type=click.Path(exists=True, file_okay=False),
    help="A checkout of NVlabs/stylegan2-ada-pytorch.",
)
@click.option("--python", required=True, help="A Python that has PyTorch.")
@click.option(
    "--resolution",
    type=click.IntRange(8, 1024),
    default=64,
    show_default=True,
    help="Side of the pictures.",
)
@click.option(
    "--batch",
    type=click.IntRange(2, 4096),
    default=8,
    show_default=True,
    help="Images on each side.",
)
@click.option(
    "--widths",
    type=click.Choice(["config-f", "config-e"]),
    default="config-f",
    show_default=True,
    help="Channels: the paper's large networks, or the small ones.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float32",
    show_default=True,
    help="Precision; half precision is float16 on the peer's side.",
)
@click.option(
    "--threads",
    type=click.IntRange(0, 4096),
    default=0,
    show_default=True,
    help="Of the peer on a CPU; 0 leaves it to PyTorch.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Turns that count; one more warms up.",
)
@click.option(
    "--phases",
    default="generate,g_main,g_reg,d_main,d_reg,end",
    show_default=True,
    help="What is measured, apart by commas.",
)
@reporting
def peers(
    rosinality: str | None,
    nvlabs: str | None,
    python: str,
    resolution: int,
    batch: int,
    widths: str,
    dtype: str,
    threads: int,
    repeats: int,
    phases: str,
) -> tuple[Any, list[str], bool]:
    """Measure other programs' code and ours, in turns.

    The peers' networks come from your checkouts and run in your Python, with the same
    widths, batch and phases. The ratio is the figure: both sides meet the same
    machine. Nothing is written into a checkout.
    """
    # Both sides share a GPU: jax must not take all of its memory at the start.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from stylegan_jax.bench import peers as library

    given = {"rosinality": rosinality, "nvlabs": nvlabs}
    report = library.bench_peers(
        {name: path for name, path in given.items() if path},
        python=python,
        resolution=resolution,
        batch=batch,
        widths=widths,
        dtype=dtype,
        threads=threads,
        repeats=repeats,
        phases=[word.strip() for word in phases.split(",") if word.strip()],
        say=say,
    )
    return report, library.describe(report), True
