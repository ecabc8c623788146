"""What a configuration of the StyleGAN of 2018 may say, and the schedule it means."""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict

from stylegan_jax.errors import UsageError
from stylegan_jax.training.spmd import batch_rows
from stylegan_jax.training.stylegan1.schedule import Stage, make_schedule, read_table
from stylegan_jax.training.stylegan1.steps import OBJECTIVES
from stylegan_jax.training.stylegan2 import presets as gan

# Global batch by resolution, as NVIDIA's program has it on 8 GPUs.
_BATCH = "32,4:512,8:256,16:128,32:64"
_TABLES = ("train_kimg", "fade_kimg", "learning_rate")


def resolve(config: ConfigDict, height: int, width: int, devices: int) -> ConfigDict:
    """Returns the configuration with every derived number filled in.

    DIFF(nv): where no batch is given, a resolution's is the nearest below NVIDIA's (but
    not nothing) that the devices can share in whole minibatch-std groups; there it is a
    table for each number of GPUs.

    Args:
        config: as ``experiment.load_config`` gives it; not changed.
        height: of the pictures.
        width: of the pictures.
        devices: number of devices.

    Raises:
        UsageError: for a value outside its range, or a schedule that cannot be.
    """
    check(config)
    config = config.copy_and_resolve_references()
    gan.check_measurable(config, height, width)
    gan.check_statistics(config)
    sides = resolutions_of(height, width)
    grow = config.grow
    if grow.batch is None:
        unit = config.model.mbstd_group_size * devices
        usual = read_table(_BATCH, "grow.batch", sides)
        fitting = {r: max(int(n) // unit, 1) * unit for r, n in usual.items()}
        grow.batch = ",".join(f"{r}:{n}" for r, n in fitting.items())
    for name in ("start_resolution", "plan_resolution"):
        if grow[name] is not None and grow[name] not in sides:
            raise UsageError(
                f"grow.{name}={grow[name]} must be one of {', '.join(map(str, sides))} "
                f"for pictures of {height}x{width}."
            )
    for stage in schedule_of(config, height, width):
        batch_rows(stage.batch, devices, config.model.mbstd_group_size)
    return config


def resolutions_of(height: int, width: int) -> list[int]:
    """The nominal resolutions of all blocks; raises as ``base_grid``."""
    _, num_blocks = gan.base_grid(height, width)
    return [4 << i for i in range(num_blocks)]


def schedule_of(config: ConfigDict, height: int, width: int) -> tuple[Stage, ...]:
    """The stages of a resolved configuration.

    Raises:
        UsageError: a table is not understood, or has no number for a resolution.
    """
    sides = resolutions_of(height, width)
    grow = config.grow
    needed = [r for r in sides if r >= grow.start_resolution]
    tables = {n: read_table(grow[n], f"grow.{n}", needed) for n in _TABLES}
    given = config.train.batch
    text = grow.batch if given is None else str(given)
    found = read_table(text, "grow.batch", needed)
    odd = [f"{r}:{n:g}" for r, n in found.items() if n < 1 or n != int(n)]
    none = [f"{r}:{n:g}" for r, n in tables["learning_rate"].items() if n <= 0]
    if odd or none:
        name, words = ("batch", odd) if odd else ("learning_rate", none)
        raise UsageError(
            f"grow.{name} has {', '.join(words)}: give "
            f"{'whole numbers from 1' if odd else 'numbers above 0'}."
        )
    batch = {r: int(n) for r, n in found.items()}
    return make_schedule(sides, start=grow.start_resolution, batch=batch, **tables)


def check(config: ConfigDict) -> None:
    """Refuses values out of range; every offender is named in one message.

    Raises:
        UsageError: naming every offender.
    """
    gan.check(config, RANGES)
    model, loss = config.model, config.loss
    if not model.use_style:
        wrong = []
        if model.const_input:
            wrong.append("model.const_input=false (so that the latent comes in at all)")
        if loss.style_mixing_prob > 0:
            wrong.append("loss.style_mixing_prob=0, since there is nothing to mix")
        if wrong:
            raise UsageError(f"model.use_style=false needs {' and '.join(wrong)}.")
    if model.mapping_layers == 0 and model.z_dim != model.w_dim:
        raise UsageError(
            f"model.mapping_layers=0 makes z itself w: model.z_dim={model.z_dim} and "
            f"model.w_dim={model.w_dim} must be the same."
        )


RANGES = dataclasses.replace(
    gan.RANGES,
    may_be_none={
        "data.path",
        "data.resolution",
        "train.batch",
        "train.batch_per_device",
        "grow.batch",
        "grow.plan_resolution",
        "augment.kimg",
    },
    above_zero=(set(gan.RANGES.above_zero) - {"model.mapping_layers"})
    | {
        "model.mapping_features",
        "model.mapping_lr_multiplier",
        "model.fused_resolution",
        "loss.gp_target",
    },
    not_negative=set(gan.RANGES.not_negative)
    | {"model.mapping_layers", "loss.gp_weight", "loss.drift"},
    choices={
        "train.precision": ("float32", "tf32"),
        "loss.objective": OBJECTIVES,
    },
)
