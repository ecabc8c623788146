"""``stylegan-jax bench``."""

from __future__ import annotations

from typing import Any

import click

from stylegan_jax.cli.bench_options import (
    DTYPE,
    DTYPES,
    NO_CACHE,
    REPEATS,
    RESOLUTION,
    SECONDS,
    budget_of,
    config_of,
    reporting,
    say,
    use_cache,
)
from stylegan_jax.cli.bench_peers import data, peers
from stylegan_jax.cli.options import OVERRIDES


@click.group()
def bench() -> None:
    """Measure speed on this machine.

    Every figure comes with the machine's own best rates, measured in the same run:
    matrix products, convolutions, copying. Times are medians of several repeats after
    a warm-up, and never include compiling. docs/bench.md says what each means.
    """


@bench.command(
    epilog="Example: stylegan-jax bench generate runs/a --batch 8\n\n"
    "stylegan-jax bench generate --config stylegan2 --resolution 256 --dtype bfloat16",
    context_settings=OVERRIDES,
)
@click.argument("words", nargs=-1, metavar="[MODEL]")
@click.option("--config", "name", help="Instead of MODEL: fresh weights of this one.")
@RESOLUTION
@click.option(
    "--batch",
    type=click.IntRange(1, 65536),
    help="Pictures at a time; as many as generate takes if not given.",
)
@DTYPE
@click.option(
    "--noise",
    type=click.Choice(["const", "random", "none"]),
    default="const",
    show_default=True,
    help="Noise of the layers.",
)
@REPEATS
@SECONDS
@NO_CACHE
@reporting
def generate(
    words: tuple[str, ...],
    name: str | None,
    resolution: str | None,
    batch: int | None,
    dtype: str | None,
    noise: str,
    repeats: int | None,
    seconds: float | None,
    no_cache: bool,
) -> tuple[Any, list[str], bool]:
    """Measure how fast a generator draws.

    MODEL is a model file or a run's folder. The program is that of the command
    generate; the pictures stay on the device.
    """
    from stylegan_jax.bench import throughput_generate as library
    from stylegan_jax.errors import UsageError

    use_cache(not no_cache)
    # Overrides are unknown options to click, which takes them for arguments.
    overrides = [word for word in words if word.startswith("--")]
    models = [word for word in words if not word.startswith("--")]
    if len(models) + (name is not None) != 1:
        raise UsageError("give a MODEL, or --config with --resolution, and not both.")
    if name is not None:
        values = {"data__resolution": resolution, "train__precision": dtype}
        config = config_of(name, overrides, **values)
        network: Any = library.random_generator(config)
        source = f"{name}, fresh weights"
    else:
        if overrides or resolution:
            raise UsageError(
                "--resolution and --config.SECTION.KEY go with --config, not with a "
                "MODEL: leave them out."
            )
        source = models[0]
        network = library.open_generator(source, dtype)
    report = library.bench_generate(
        network,
        source=source,
        batch=batch,
        noise_mode=noise,
        dtype=dtype,
        budget=budget_of(repeats, seconds),
        say=say,
    )
    return report, library.describe(report), True


@bench.command(
    epilog="Example: stylegan-jax bench train --config stylegan2 --resolution 64 "
    "--batch 8",
    context_settings=OVERRIDES,
)
@click.option("--config", "name", required=True, help="As train takes it.")
@RESOLUTION
@click.option(
    "--batch", type=click.IntRange(1, 65536), help="Short for --config.train.batch."
)
@click.option(
    "--dtype", type=click.Choice(DTYPES), help="Short for --config.train.precision."
)
@REPEATS
@SECONDS
@NO_CACHE
@reporting
@click.pass_context
def train(
    ctx: click.Context,
    name: str,
    resolution: str | None,
    batch: int | None,
    dtype: str | None,
    repeats: int | None,
    seconds: float | None,
    no_cache: bool,
) -> tuple[Any, list[str], bool]:
    """Measure every phase of a training step.

    The programs are the trainer's own; the pictures are made up, so that no data set
    is needed, and reading them does not count (see bench data). Any value of the
    configuration is set with --config.SECTION.KEY=VALUE.
    """
    from stylegan_jax.bench import throughput_train as library

    use_cache(not no_cache)
    values = {
        "data__resolution": resolution,
        "train__batch": batch,
        "train__precision": dtype,
    }
    config = config_of(name, ctx.args, **values)
    report = library.bench_train(
        config, source=name, budget=budget_of(repeats, seconds), say=say
    )
    return report, library.describe(report), True


@bench.command(
    epilog="Example: stylegan-jax bench ops --network ffhq64 --only '*/b64/*'"
)
@click.option(
    "--network",
    default="ffhq256",
    show_default=True,
    help="Whose layers: ffhq1024, ffhq512, ffhq256, ffhq256e (config-e) or ffhq64.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    default=8,
    show_default=True,
    help="Images.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float32",
    show_default=True,
    help="Of activations and their products.",
)
@click.option("--only", metavar="PATTERN", help="Names to measure, such as '*/b64/*'.")
@click.option(
    "--orders",
    default="forward,gradient,second",
    show_default=True,
    help="Which derivatives, apart by commas.",
)
@REPEATS
@SECONDS
@reporting
def ops(
    network: str,
    batch: int,
    dtype: str,
    only: str | None,
    orders: str,
    repeats: int | None,
    seconds: float | None,
) -> tuple[Any, list[str], bool]:
    """Measure each operator of a network alone.

    Forwards, with first derivatives, and with second ones as the R1 penalty takes
    them; by XLA and by the fused kernels of this device. Those far below the machine's
    best are listed.
    """
    from tqdm import tqdm

    from stylegan_jax.bench import operators as library

    # disable=None: a bar only where a person watches.
    with tqdm(unit="program", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = library.bench_operators(
            network,
            batch=batch,
            dtype=dtype,
            only=only,
            orders=[word.strip() for word in orders.split(",") if word.strip()],
            budget=budget_of(repeats, seconds, 0.5),
            say=say,
            progress=progress,
        )
    return report, library.describe(report), True


bench.add_command(data)
bench.add_command(peers)
