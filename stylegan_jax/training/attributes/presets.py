"""Fills in what a configuration leaves to be derived, and refuses nonsense."""

from __future__ import annotations

from ml_collections import ConfigDict

from stylegan_jax.data.attribute_labels import Attribute, parse_attribute
from stylegan_jax.errors import UsageError
from stylegan_jax.models.features.resnet import PLANS
from stylegan_jax.training.attributes.augment import Jitter
from stylegan_jax.training.ranges import Ranges

RANGES = Ranges(
    may_be_none={
        "data.path",
        "data.labels",
        "data.resolution",
        "init.backbone",
        "train.batch",
        "train.batch_per_device",
        "ema.rampup",
    },
    above_zero={
        "data.resolution",
        "train.batch",
        "train.total_kimg",
        "train.tick_kimg",
        "train.max_auto_batch_per_device",
        "train.learning_rate",
        "train.nonfinite_patience",
        "snapshot.every_kimg",
        "snapshot.grid",
        "model.width",
        "eval.num",
        "augment.zoom_out",
        "augment.zoom_in",
    },
    not_negative={
        "train.seed",
        "train.warmup_kimg",
        "train.weight_decay",
        "ema.kimg",
        "ema.rampup",
        "eval.every_kimg",
        "init.resume_kimg",
        "data.workers",
        "augment.turn",
        "augment.light",
        "augment.noise",
    },
    shares={"data.held_out", "augment.shift"},
    choices={
        "train.precision": ("float32", "tf32"),
        "train.schedule": ("constant", "cosine"),
        "loss.number": ("huber", "mse"),
        "model.num_layers": tuple(PLANS),
    },
)
# Sides of the network's input; larger pictures tell no more of a face.
SMALLEST, LARGEST = 32, 256


def check(config: ConfigDict) -> None:
    """Refuses values out of range; every offender is named in one message.

    Raises:
        UsageError: naming every offender.
        UserError: an attribute that is not understood.
    """
    wrong = RANGES.offenders(config)
    side, resolution = config.model.input_size, config.data.resolution
    if type(side) is not int or not SMALLEST <= side <= LARGEST:
        wrong.append(
            f"model.input_size={side} must be from {SMALLEST} to {LARGEST} pixels"
        )
    if resolution is not None and type(resolution) is not int:
        wrong.append(f"data.resolution={resolution} must be one side")
    share, drop = config.model.read_share, config.model.read_drop
    if not 0.1 <= share <= 1 or abs(drop) > (1 - share) / 2:
        wrong.append(
            f"model.read_share={share} must be from 0.1 to 1, and model.read_drop="
            f"{drop} leave its square inside the picture"
        )
    if config.augment.zoom_out > config.augment.zoom_in:
        wrong.append("augment.zoom_out must not be above augment.zoom_in")
    names = [attribute.name for attribute in attributes_of(config)]
    if not names:
        wrong.append("data.attributes names nothing to learn")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        wrong.append(f"data.attributes names {', '.join(twice)} more than once")
    if any(not 1 <= factor <= 16 for factor in shrink_of(config)):
        said = ",".join(map(str, config.augment.shrink))
        wrong.append(f"augment.shrink={said} must be whole numbers from 1 to 16")
    if wrong:
        raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")


def attributes_of(config: ConfigDict) -> list[Attribute]:
    """The wanted attributes."""
    return [parse_attribute(text) for text in config.data.attributes]


def shrink_of(config: ConfigDict) -> tuple[int, ...]:
    """Factors as numbers, 0 for what is none; a lone one arrives as text."""
    words = [str(factor) for factor in config.augment.shrink]
    return tuple(int(word) if word.isdigit() else 0 for word in words)


def jitter_of(config: ConfigDict) -> Jitter:
    """How pictures are changed."""
    section = config.augment
    return Jitter(
        mirror=section.mirror,
        zoom=(section.zoom_out, section.zoom_in),
        shift=section.shift,
        turn=section.turn,
        light=section.light,
        shrink=shrink_of(config),
        noise=section.noise,
    )


def resolve(config: ConfigDict, devices: int) -> ConfigDict:
    """Returns the configuration with every derived number filled in.

    Args:
        config: checked; not changed.
        devices: number of devices.
    """
    config = config.copy_and_resolve_references()
    if config.data.resolution is None:
        config.data.resolution = config.model.input_size
    if config.train.batch is None:
        config.train.batch = devices * config.train.max_auto_batch_per_device
    return config
