"""``stylegan-jax export``."""

from __future__ import annotations

import json

import click

from stylegan_jax.cli.options import JSON
from stylegan_jax.errors import UsageError

_EPILOG = """\b
Example: stylegan-jax export runs/student student.onnx --format onnx --size 256
         stylegan-jax export runs/a a.stablehlo --format stablehlo --batch dynamic
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.argument("out", type=click.Path(dir_okay=False))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["stablehlo", "onnx"]),
    required=True,
    help="StableHLO runs in jax on CPU, CUDA and TPU; ONNX in onnxruntime and others.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    help="Side of a pix2pixHD model's pictures; that of its training if not given.",
)
@click.option(
    "--classes",
    type=click.IntRange(1, 256),
    help="Classes of label maps, where a converted pix2pixHD model does not tell.",
)
@click.option(
    "--batch",
    default="1",
    show_default=True,
    help="Pictures at a time: a number, or dynamic for any.",
)
@click.option(
    "--noise",
    type=click.Choice(["const", "none"]),
    help="Of a generator, or a pSp's decoder: its own noise, or none.",
)
@click.option(
    "--input",
    "latents",
    type=click.Choice(["z", "w_plus"]),
    help="What a generator takes: random numbers (z, with psi) or latents; z if not "
    "given.",
)
@click.option("--uint8", is_flag=True, help="Pictures in and out as bytes.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the inputs that file and model are compared with.",
)
@JSON
def export(
    model: str,
    out: str,
    format_: str,
    size: int | None,
    classes: int | None,
    batch: str,
    noise: str | None,
    latents: str | None,
    uint8: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Write a model for other programs to run.

    MODEL is a model file or a run's folder: a generator, a pSp, a pix2pixHD model or a
    model of attributes. The weights are inside OUT; OUT.json says what goes in and what
    comes out: pictures are float32 [N, H, W, C] from -1 to 1, or with --uint8 bytes.

    The file is run on random inputs before it takes its place, and is not written where
    it differs from the model by more than 0.001 (with --uint8 by more than one step).
    """
    from stylegan_jax.pipelines.export import Options
    from stylegan_jax.pipelines.export import export as library

    options = Options(
        size=size,
        classes=classes,
        batch=_batch(batch),
        noise_mode=noise,
        latents=latents,
        uint8=uint8,
    )
    done = library(model, out, format_, options, seed=seed)
    if as_json:
        click.echo(json.dumps(done.to_json()))
        return
    for x in done.inputs:
        shape = ", ".join(map(str, x["shape"]))
        click.echo(f"in   {x['name']} [{shape}] {x['dtype']}: {x['meaning']}")
    for name, meaning in done.outputs.items():
        click.echo(f"out  {name}: {meaning}")
    click.echo(
        f"{done.path}: {done.bytes / 2**20:.1f} MiB, at most {done.difference:.2g} "
        f"from the model; {done.document} describes it"
    )


def _batch(text: str) -> int | None:
    """Reads a number of pictures, or None for any."""
    if text == "dynamic":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise UsageError(f"a batch is a number such as 1, or dynamic, got '{text}'.")
    return int(text)
