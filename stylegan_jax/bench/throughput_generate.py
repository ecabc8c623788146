"""`bench generate`: pictures per second of a generator."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from stylegan_jax.bench import report as reports
from stylegan_jax.bench.machine import (
    PRECISIONS,
    Peaks,
    check_precision,
    measure_peaks,
)
from stylegan_jax.bench.program_cost import Cost, cost_of, or_counted, peak_memory
from stylegan_jax.bench.report import Report, Say
from stylegan_jax.bench.roofline import roofline
from stylegan_jax.bench.timing import DEFAULT, Budget, Compilation, Timing, measure
from stylegan_jax.checkpoints.drawing import AXIS, compile_tiles
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.load import find_model, load_generator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UsageError
from stylegan_jax.training.pictures import parse_resolution
from stylegan_jax.training.stylegan2 import presets
from stylegan_jax.training.stylegan2.build import make_networks


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A compiled program that draws pictures, and its arguments.

    Attributes:
        program: ``program(*arguments)`` gives [N, H, W, C] uint8.
        arguments: on the devices.
        cost: of one run on one device.
        compilation: how long compiling took.
    """

    program: Any
    arguments: tuple[Any, ...]
    cost: Cost
    compilation: Compilation


def random_generator(config: ConfigDict) -> StyleGAN2Generator:
    """A generator with fresh weights, as a configuration describes it.

    Args:
        config: of the trainer stylegan2, with a ``data.resolution``.

    Raises:
        UsageError: it is of another trainer, or says no resolution.
    """
    if config.get("trainer") != "stylegan2":
        raise UsageError(
            f"bench generate draws from configurations of the trainer stylegan2, and "
            f"this one is of {config.get('trainer')}: give a trained MODEL instead."
        )
    size = parse_resolution(config.data.resolution)
    if size is None:
        raise UsageError(
            "This configuration takes the pictures' own size: say one with "
            "--resolution 256."
        )
    height, width = (size, size) if isinstance(size, int) else size
    config = config.copy_and_resolve_references()
    config.eval.every_kimg = 0.0
    config = presets.resolve(config, height, width, 1)
    g, _ = make_networks(config, (height, width, config.data.channels), 0)
    z, c = jnp.zeros((1, g.z_dim)), jnp.zeros((1, 0))
    return StyleGAN2Generator(g, jax.jit(g.init)(jax.random.key(0), z, c))


def open_generator(model: str, dtype: str | None) -> GeneratorNetwork:
    """Opens a trained generator, computed in another precision where one is given.

    Raises:
        UserError: there is no such model.
        UsageError: the model cannot be computed in this precision.
    """
    network = load_generator(find_model(model))
    if dtype is None:
        return network
    check_precision(dtype)
    low = dtype in ("bfloat16", "float16")
    if not hasattr(network.module, "dtype"):
        if low:
            raise UsageError(
                f"a {network.metadata['family']} is computed in float32 only: leave "
                "--dtype out, or take float32 or tf32."
            )
        return network
    module = network.module.clone(dtype=dtype if low else "float32")
    return type(network)(module, network.variables, metadata=network.metadata)


def precision_of(network: GeneratorNetwork, dtype: str | None) -> str:
    """What a generator is computed in: what was asked for, or the model's own."""
    return dtype or str(getattr(network.module, "dtype", "float32"))


def prepare(
    network: GeneratorNetwork,
    *,
    batch: int,
    noise_mode: str = "const",
    precision: str = "float32",
    devices: list[jax.Device] | None = None,
) -> Drawing:
    """Compiles the program of `stylegan-jax generate` for a batch.

    Args:
        network: a generator.
        batch: pictures at a time, over all devices.
        noise_mode: one of the network's.
        precision: of `machine.PRECISIONS`.
        devices: what to draw on; None for all of this process.

    Raises:
        UsageError: the batch does not divide by the number of devices.
    """
    devices = devices or jax.local_devices()
    if batch < 1 or batch % len(devices):
        raise UsageError(
            f"--batch {batch} cannot be shared by {len(devices)} devices: take a "
            f"multiple of {len(devices)}."
        )
    mesh = Mesh(np.array(devices), (AXIS,))
    rows, everywhere = (
        NamedSharding(mesh, spec) for spec in (PartitionSpec(AXIS), PartitionSpec())
    )
    rng = np.random.default_rng(0)
    z = rng.standard_normal((batch, network.module.z_dim), np.float32)
    c = np.zeros((batch, network.module.c_dim), np.float32)
    arguments = (
        jax.device_put(network.variables, everywhere),
        *jax.device_put((np.arange(batch, dtype=np.uint32), z, c), rows),
        jax.device_put(jnp.float32(1.0), everywhere),
    )
    draw: Any = compile_tiles(network.module, mesh, None, noise_mode)
    with jax.default_matmul_precision(PRECISIONS[precision][1]):
        with Compilation() as compilation:
            program = draw.lower(*arguments).compile()
    cost = or_counted(cost_of(program), lambda: draw.trace(*arguments))
    return Drawing(program, arguments, cost, compilation)


def time_drawing(drawing: Drawing, budget: Budget) -> Timing:
    """Seconds of a batch, the pictures on the device and not fetched."""
    return measure(lambda: drawing.program(*drawing.arguments), budget)


def bench_generate(
    network: GeneratorNetwork,
    *,
    source: str,
    batch: int | None = None,
    noise_mode: str = "const",
    dtype: str | None = None,
    budget: Budget = DEFAULT,
    peaks: Peaks | None = None,
    devices: list[jax.Device] | None = None,
    say: Say = reports.silent,
) -> Report:
    """Measures how fast a generator draws.

    Args:
        network: a generator, computed in ``dtype``.
        source: what it came from, for the report.
        batch: pictures at a time; None for the `generate` command's own number.
        noise_mode: one of the network's.
        dtype: of `machine.PRECISIONS`; None for the model's own.
        budget: repeats.
        peaks: what the machine can do; None measures it.
        devices: what to draw on; None for all of this process.
        say: called with a line of text as the work goes on.

    Raises:
        UsageError: the batch does not divide by the number of devices.
    """
    devices = devices or jax.local_devices()
    batch = batch or network.tile * len(devices)
    precision = precision_of(network, dtype)
    if peaks is None:
        say("measuring what the machine can do")
        peaks = measure_peaks((precision,))
    say(f"compiling for {batch} pictures")
    drawing = prepare(
        network,
        batch=batch,
        noise_mode=noise_mode,
        precision=precision,
        devices=devices,
    )
    say("drawing")
    timing = time_drawing(drawing, budget)
    cost, median = drawing.cost, timing.median
    figures = {
        "images_per_second": batch / median,
        "seconds_per_kimg": 1000 * median / batch,
        **roofline(median, cost.flops, cost.bytes, peaks, precision),
        "flops_source": cost.flops_source,
        "compile_seconds": drawing.compilation.seconds,
        "programs_from_cache": drawing.compilation.cached,
        "peak_memory": peak_memory([cost]),
    }
    height, width, channels = network.image_shape
    settings = {
        "source": source,
        "size": [height, width, channels],
        "batch": batch,
        "devices": len(devices),
        "dtype": precision,
        "noise": noise_mode,
    }
    row = {"name": "generate", "seconds": timing.to_json()}
    return reports.make_report("generate", settings, peaks, figures, [row])


def describe(report: Report) -> list[str]:
    """Writes a report for people."""
    figures, settings = report["figures"], report["settings"]
    seconds = report["rows"][0]["seconds"]
    height, width, _ = settings["size"]
    memory = figures["peak_memory"]
    cached = " (from jax's cache)" if figures["programs_from_cache"] else ""
    return [
        *reports.heading(report),
        f"{settings['source']}: {height}x{width}, batch {settings['batch']} on "
        f"{settings['devices']} device(s), {settings['dtype']}, "
        f"noise {settings['noise']}",
        "",
        f"images/s        {figures['images_per_second']:.4g}",
        f"s/kimg          {figures['seconds_per_kimg']:.4g}",
        f"batch           {reports.seconds_text(seconds['median'])} median of "
        f"{seconds['repeats']} ({reports.seconds_text(seconds['min'])} to "
        f"{reports.seconds_text(seconds['max'])})",
        f"arithmetic      {reports.number_text(figures['flops'], 1e9)} GFLOP per "
        f"device ({figures['flops_source']}), "
        f"{reports.number_text(figures['flops_per_second'], 1e9)} GFLOP/s, "
        f"{reports.share_text(figures['share_of_matmul'])} of matmul",
        f"memory traffic  {reports.number_text(figures['bytes'], 1e9)} GB per device, "
        f"{reports.number_text(figures['bytes_per_second'], 1e9)} GB/s, "
        f"{reports.share_text(figures['share_of_copy'])} of copy",
        f"compiling       {reports.seconds_text(figures['compile_seconds'])}{cached}",
        f"memory          {memory['bytes'] / 2**20:.0f} MiB per device "
        f"({memory['source']})",
    ]
