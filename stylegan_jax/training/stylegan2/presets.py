"""Fills in what a configuration leaves to be derived (NVIDIA's preset "auto")."""

from __future__ import annotations

from ml_collections import ConfigDict

from stylegan_jax.errors import UsageError
from stylegan_jax.models.stylegan2 import discriminator, synthesis
from stylegan_jax.training.ranges import Ranges
from stylegan_jax.training.spmd import layout_unit

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
_LARGEST_BASE = 16
# What can be measured while training.
METRICS = ("swd",)


def base_grid(height: int, width: int) -> tuple[tuple[int, int], int]:
    """The grid a generator of this size starts from, and its number of blocks.

    Halves both sides as long as they stay whole and at least 4.

    Raises:
        UsageError: where the sides do not allow a small grid; names sizes that do.
    """
    blocks = 1
    h, w = height, width
    while h % 2 == 0 and w % 2 == 0 and min(h, w) >= 8:
        h, w, blocks = h // 2, w // 2, blocks + 1
    if min(h, w) < 4 or max(h, w) > _LARGEST_BASE or blocks < 2:
        near = _near(height, width)
        raise UsageError(
            f"Pictures of {height}x{width} pixels cannot be built up from a small grid "
            f"by doubling: take sides like {near[0]} and {near[1]} "
            f"(--config.data.resolution={near[0]}x{near[1]})."
        )
    return (h, w), blocks


def _near(height: int, width: int) -> tuple[int, int]:
    """The nearest sides that ``base_grid`` takes: a grid of 4 to 16, doubled."""

    def doubled(side: int, times: int) -> int:
        return min(max(round(side / 2**times), 4), _LARGEST_BASE) << times

    sizes = [(doubled(height, k), doubled(width, k)) for k in range(1, 12)]
    return min(sizes, key=lambda s: abs(s[0] - height) + abs(s[1] - width))


def resolve(config: ConfigDict, height: int, width: int, devices: int) -> ConfigDict:
    """Returns the configuration with every derived number filled in.

    The rules are those of StyleGAN2-ADA's ``cfg=auto``. DIFF(nv): the batch is rounded
    down (but not to nothing) to what can be split over the devices in whole
    minibatch-std groups, where NVIDIA's loop would fail or split a group.

    Args:
        config: as ``experiment.load_config`` gives it; not changed.
        height: of the pictures.
        width: of the pictures.
        devices: number of devices.

    Raises:
        UsageError: for a value outside its range.
    """
    check(config)
    config = config.copy_and_resolve_references()
    size = max(height, width)
    check_measurable(config, height, width)
    _batch(config, size, devices)
    batch = config.train.batch
    model, train, loss = config.model, config.train, config.loss
    _default(model, "channel_base", 32768 if size >= 512 else 16384)
    _default(model, "mapping_layers", 2)
    rate = 0.002 if size >= 1024 else 0.0025
    _default(train, "g_learning_rate", rate)
    _default(train, "d_learning_rate", rate)
    _default(loss, "r1_gamma", 0.0002 * size**2 / batch)
    _default(config.ema, "kimg", batch * 10 / 32)
    _default(config.ema, "rampup", 0.05)
    check_statistics(config)
    if train.precision in ("bfloat16", "float16"):
        _default(model, "conv_clamp", 256.0)
    return config


def check_measurable(config: ConfigDict, height: int, width: int) -> None:
    """Refuses measures of pictures that are too small for them.

    Raises:
        UsageError: with what to set.
    """
    if min(height, width) < 16 and config.eval.every_kimg > 0:
        raise UsageError(
            f"Pictures of {height}x{width} are too small for the sliced Wasserstein "
            "distance, which needs 16 pixels: set --config.eval.every_kimg=0."
        )


def check_statistics(config: ConfigDict) -> None:
    """Refuses minibatch statistics that do not divide the channels.

    Raises:
        UsageError: with what to set.
    """
    model = config.model
    channels = min(model.channel_base // 4, model.channel_max)
    if model.mbstd_num_channels > 0 and channels % model.mbstd_num_channels:
        raise UsageError(
            f"model.mbstd_num_channels={model.mbstd_num_channels} must divide the "
            f"{channels} channels at the base grid."
        )


def _default(section: ConfigDict, key: str, value) -> None:
    if section[key] is None:
        section[key] = value


def _batch(config: ConfigDict, size: int, devices: int) -> None:
    """Batch and minibatch-std group, each derived unless given."""
    model, train = config.model, config.train
    shrink = config.loss.pl_batch_shrink
    if train.batch is None:
        share = max(min(4096 // size, train.max_auto_batch_per_device), 1)
        wanted = max(min(devices * share, 64), devices)
        _default(model, "mbstd_group_size", max(min(wanted // devices, 4), 1))
        step = layout_unit(model.mbstd_group_size, shrink) * devices
        train.batch = max(wanted // step, 1) * step
    elif model.mbstd_group_size is None:
        per_device = train.batch // max(devices, 1)
        fitting = [g for g in (4, 3, 2, 1) if per_device % layout_unit(g, shrink) == 0]
        model.mbstd_group_size = fitting[0] if fitting else 4


def check(config: ConfigDict, ranges: Ranges | None = None) -> None:
    """Refuses values out of range; every offender is named in one message.

    None stands for what is derived, and is refused where nothing is.

    Args:
        config: as ``experiment.load_config`` gives it.
        ranges: of the trainer; None for StyleGAN2's.

    Raises:
        UsageError: naming every offender.
    """
    wrong = (ranges or RANGES).offenders(config)
    unknown = [str(m) for m in config.eval.metrics or () if m not in METRICS]
    if unknown:
        wrong.append(
            f"eval.metrics has {', '.join(unknown)}: while training, choose from "
            f"{', '.join(METRICS)}"
        )
    if wrong:
        raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")


RANGES = Ranges(
    may_be_none={
        "data.path",
        "data.resolution",
        "model.mapping_layers",
        "model.channel_base",
        "model.mbstd_group_size",
        "model.conv_clamp",
        "train.batch",
        "train.batch_per_device",
        "train.g_learning_rate",
        "train.d_learning_rate",
        "loss.r1_gamma",
        "ema.kimg",
        "ema.rampup",
        "init.model",
        "augment.kimg",
    },
    above_zero={
        "train.batch",
        "train.total_kimg",
        "train.tick_kimg",
        "train.max_auto_batch_per_device",
        "train.g_learning_rate",
        "train.d_learning_rate",
        "train.nonfinite_patience",
        "snapshot.every_kimg",
        "snapshot.grid",
        "loss.g_reg_interval",
        "loss.d_reg_interval",
        "loss.pl_batch_shrink",
        "model.z_dim",
        "model.w_dim",
        "model.mapping_layers",
        "model.channel_base",
        "model.channel_max",
        "model.mbstd_group_size",
        "model.conv_clamp",
        "eval.num",
    },
    not_negative={
        "loss.r1_gamma",
        "loss.pl_weight",
        "loss.correspondence_weight",
        "ema.kimg",
        "ema.rampup",
        "eval.every_kimg",
        "init.resume_kimg",
        "freeze.d_layers",
        "freeze.g_below",
        "data.workers",
        "model.mbstd_num_channels",
        "model.low_precision_blocks",
        "train.seed",
    },
    shares={
        "data.held_out",
        "loss.style_mixing_prob",
        "loss.pl_decay",
        "model.w_avg_beta",
    },
    choices={
        "train.precision": PRECISIONS,
        "model.g_architecture": synthesis.ARCHITECTURES,
        "model.d_architecture": discriminator.ARCHITECTURES,
    },
)
