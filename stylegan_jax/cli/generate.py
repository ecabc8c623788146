"""``stylegan-jax generate``."""

from __future__ import annotations

import click

from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import CUTOFF, LABEL


@click.command(
    epilog="Example: stylegan-jax generate runs/a --seeds 0-31 --grid --out grid.png"
)
@click.argument("model")
@click.option("--seeds", required=True, help="Such as 0-31,40; both ends included.")
@click.option("--out", required=True, help="A folder, or a .png for one grid.")
@click.option(
    "--psi",
    type=float,
    default=1.0,
    show_default=True,
    help="Truncation: lower is closer to the mean picture, with less variety.",
)
@CUTOFF
@click.option(
    "--noise",
    type=click.Choice(["const", "random", "none"]),
    default="const",
    show_default=True,
    help="The model's own noise, noise drawn from the seed, or none.",
)
@LABEL
@click.option(
    "--z",
    "z_source",
    type=click.Choice(["jax", "numpy"]),
    default="jax",
    show_default=True,
    help="How a seed becomes z; numpy does it as NVIDIA's programs do.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    help="About how many pictures to compute at a time; changes none of them.",
)
@click.option(
    "--grid", is_flag=True, help="One grid; --out must end in .png, which means it too."
)
@click.option("--columns", type=click.IntRange(1), help="Columns of the grid.")
def generate(
    model: str,
    seeds: str,
    out: str,
    psi: float,
    cutoff: int | None,
    noise: str,
    label: int | None,
    z_source: str,
    batch: int | None,
    grid: bool,
    columns: int | None,
) -> None:
    """Draw pictures from a generator.

    MODEL is a model file or a run's folder. A picture depends on its seed and the
    options alone, not on the batch size or the number of devices.
    """
    from stylegan_jax.errors import UsageError
    from stylegan_jax.pipelines import generate as library

    # What costs nothing to check comes before the model is read.
    numbers = library.parse_seeds(seeds)
    is_grid = library.check_out(out)
    if grid and not is_grid:
        raise UsageError(
            f"--grid draws one picture and --out {out} is a folder's name: end it in "
            ".png, or leave --grid out for a file per seed."
        )
    if columns is not None and not is_grid:
        raise UsageError("--columns is for a grid: give --out a name ending in .png.")

    from tqdm import tqdm

    from stylegan_jax.checkpoints.load import find_model, load_generator

    file = find_model(model)
    generator = load_generator(file)
    # disable=None: a bar only where a person watches.
    with tqdm(total=len(numbers), unit="img", leave=False, disable=None) as bar:
        paths = library.generate(
            generator,
            numbers,
            out,
            truncation_psi=psi,
            truncation_cutoff=cutoff,
            noise_mode=noise,
            label=label,
            z_source=z_source,
            batch=batch,
            columns=columns,
            progress=bar.update,
        )
    say_licence(file)
    pictures = "picture" if len(numbers) == 1 else "pictures"
    where = "in one grid" if is_grid else f"in {len(set(paths))} files"
    click.echo(f"{out}: {len(numbers)} {pictures} {where}, drawn by {file}")
