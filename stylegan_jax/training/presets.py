"""Fills in what a configuration leaves to be derived (NVIDIA's preset "auto")."""

from __future__ import annotations

import math

from ml_collections import ConfigDict

from stylegan_jax.errors import UsageError
from stylegan_jax.training.spmd import layout_unit

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
_LARGEST_BASE = 16


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
        raise UsageError(
            f"Pictures of {height}x{width} pixels cannot be built up from a small grid "
            f"by doubling: take sides like {_near(height)} and {_near(width)} "
            f"(--config.data.resolution={_near(height)}x{_near(width)})."
        )
    return (h, w), blocks


def _near(side: int) -> int:
    """A near side that is 4, 5, 6 or 7 times a power of two."""
    sides = [b << k for b in (4, 5, 6, 7) for k in range(1, 10)]
    return min(sides, key=lambda s: (abs(s - side), s))


def resolve(config: ConfigDict, height: int, width: int, devices: int) -> ConfigDict:
    """Returns the configuration with every derived number filled in.

    The rules are those of StyleGAN2-ADA's ``cfg=auto``. DIFF(nv): the batch is rounded
    down to what can be split over the devices in whole minibatch-std groups, where
    NVIDIA's loop would fail or split a group.

    Args:
        config: as ``experiment.load_config`` gives it; not changed.
        height: of the pictures.
        width: of the pictures.
        devices: number of devices.

    Raises:
        UsageError: for a value outside its range.
    """
    config = config.copy_and_resolve_references()
    size = max(height, width)
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
    if train.precision in ("bfloat16", "float16"):
        _default(model, "conv_clamp", 256.0)
    _check(config)
    return config


def _default(section: ConfigDict, key: str, value) -> None:
    if section[key] is None:
        section[key] = value


def _batch(config: ConfigDict, size: int, devices: int) -> None:
    """Batch and minibatch-std group, each derived unless given."""
    model, train = config.model, config.train
    shrink = config.loss.pl_batch_shrink
    if train.batch is None:
        wanted = max(min(devices * max(min(4096 // size, 32), 1), 64), devices)
        _default(model, "mbstd_group_size", max(min(wanted // devices, 4), 1))
        step = layout_unit(model.mbstd_group_size, shrink) * devices
        train.batch = max(wanted // step, 1) * step
    elif model.mbstd_group_size is None:
        per_device = train.batch // max(devices, 1)
        fitting = [g for g in (4, 3, 2, 1) if per_device % layout_unit(g, shrink) == 0]
        model.mbstd_group_size = fitting[0] if fitting else 4


def _check(config: ConfigDict) -> None:
    """Ranges; every offender is named in one message."""
    positive = {
        "train.batch": config.train.batch,
        "train.total_kimg": config.train.total_kimg,
        "train.tick_kimg": config.train.tick_kimg,
        "train.g_learning_rate": config.train.g_learning_rate,
        "train.d_learning_rate": config.train.d_learning_rate,
        "train.nonfinite_patience": config.train.nonfinite_patience,
        "snapshot.every_kimg": config.snapshot.every_kimg,
        "loss.g_reg_interval": config.loss.g_reg_interval,
        "loss.d_reg_interval": config.loss.d_reg_interval,
        "loss.pl_batch_shrink": config.loss.pl_batch_shrink,
        "model.z_dim": config.model.z_dim,
        "model.w_dim": config.model.w_dim,
        "model.mapping_layers": config.model.mapping_layers,
        "model.channel_base": config.model.channel_base,
        "model.channel_max": config.model.channel_max,
        "model.mbstd_group_size": config.model.mbstd_group_size,
        "snapshot.grid": config.snapshot.grid,
    }
    not_negative = {
        "loss.r1_gamma": config.loss.r1_gamma,
        "loss.pl_weight": config.loss.pl_weight,
        "loss.style_mixing_prob": config.loss.style_mixing_prob,
        "ema.kimg": config.ema.kimg,
        "ema.rampup": config.ema.rampup,
        "eval.every_kimg": config.eval.every_kimg,
        "init.resume_kimg": config.init.resume_kimg,
    }
    wrong = [f"{k}={v} must be above 0" for k, v in positive.items() if not v > 0]
    wrong += [f"{k}={v} must be 0 or more" for k, v in not_negative.items() if v < 0]
    numbers = [*positive.values(), *not_negative.values()]
    if not all(math.isfinite(v) for v in numbers):
        wrong.append("every number must be finite")
    if config.train.precision not in PRECISIONS:
        choices = ", ".join(PRECISIONS)
        wrong.append(
            f"train.precision='{config.train.precision}' must be one of {choices}"
        )
    if wrong:
        raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")
