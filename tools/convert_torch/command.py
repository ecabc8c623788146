"""The commands ``convert`` and ``inspect``."""

from __future__ import annotations

import json

import click

from stylegan_jax.convert_torch.targets import TARGETS
from stylegan_jax.errors import printable


@click.command(
    epilog="Example: stylegan-jax convert ffhq.pkl ffhq.safetensors --verify"
)
@click.argument("src", type=click.Path())
@click.argument("dst", type=click.Path())
@click.option(
    "--to",
    type=click.Choice(TARGETS),
    default="jax",
    show_default=True,
    help="Whose format to write; jax is this program's model files.",
)
@click.option("--part", help="The one network to convert, e.g. g_ema, d, decoder.")
@click.option(
    "--verify",
    is_flag=True,
    help="Compare with PyTorch where it is installed; write DST.parity.json.",
)
@click.option("--licence", help="Licence of the weights, where you know it better.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def convert(
    src: str,
    dst: str,
    to: str,
    part: str | None,
    verify: bool,
    licence: str | None,
    as_json: bool,
) -> None:
    """Convert a checkpoint of another program, or back.

    SRC is a PyTorch file, an NVIDIA or TensorFlow pickle (nothing in it is executed),
    the folder of MobileStyleGAN's OpenVINO files, or, with --to, a model file, a run's
    folder or a folder of parts. DST ending in
    .safetensors gets the network that one would use; any other DST is a folder with a
    file for every network. Architecture and sizes are read from the file. A tensor that
    is missing, unexpected or of another shape is an error, and nothing is written.
    """
    from tqdm import tqdm

    from stylegan_jax.convert_torch.conversion import convert as library

    with tqdm(unit="tensor", leave=False, disable=None) as bar:
        result = library(
            src,
            dst,
            to=to,
            part=part,
            verify=verify,
            licence=licence,
            progress=bar.update,
        )
    if as_json:
        document = {
            "written": [str(path) for path in result.written],
            "parts": [
                {"name": p.name, "family": p.family, "parameters": p.parameters}
                for p in result.parts
            ],
            "notes": result.notes,
            "licence": result.parts[0].licence,
            "parity": json.loads(result.report.to_json()) if result.report else None,
        }
        click.echo(json.dumps(document))
        return
    for line in result.notes:
        click.echo(f"note: {printable(line)}")
    if result.report is not None:
        click.echo(result.report.table())
    for found in result.parts:
        click.echo(f"{found.name}: {found.family}, {found.parameters:,} parameters")
    click.echo(f"licence: {printable(result.parts[0].licence)}")
    click.echo("wrote " + ", ".join(str(path) for path in result.written))


@click.command(epilog="Example: stylegan-jax inspect stylegan2-ffhq-config-f.pkl")
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(file: str, as_json: bool) -> None:
    """Show what a checkpoint holds without running it.

    Prints family, architecture, number of parameters, picture size, provenance, licence
    and sha256.
    """
    from stylegan_jax.convert_torch.describe import describe, table

    found = describe(file)
    click.echo(json.dumps(found) if as_json else table(found))
