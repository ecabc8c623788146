"""Fills in what a face space's configuration leaves to be derived, refuses nonsense."""

from __future__ import annotations

import math

from ml_collections import ConfigDict

from stylegan_jax.checkpoints.facespace_config import KINDS, LANDMARKS, SPACES
from stylegan_jax.checkpoints.weights import THERE, weights_state
from stylegan_jax.errors import UsageError
from stylegan_jax.training.facespace.timeline import Timeline
from stylegan_jax.training.networks import CHOICES, IDENTITY, LPIPS, VGG
from stylegan_jax.training.ranges import Ranges

FEATURES = ("auto", "vgg", "lpips", "pyramid")
VGG_NAME = "vgg16"
MAX_CODE = 10
MAX_BATCH = 8
# Measured at 32 px: VGG's features were slower and led further from the photos.
SMALLEST_FOR_VGG = 64

RANGES = Ranges(
    may_be_none={
        "data.path",
        "init.model",
        "train.batch",
        "train.batch_per_device",
        "train.leaf_learning_rate",
        "train.total_kimg",
        "train.tick_kimg",
        "snapshot.every_kimg",
        "eval.every_kimg",
    },
    above_zero={
        "train.epochs",
        "train.batch",
        "train.learning_rate",
        "train.leaf_learning_rate",
        "train.tick_kimg",
        "train.nonfinite_patience",
        "snapshot.every_kimg",
        "snapshot.grid",
        "model.code_dim",
    },
    not_negative={
        "train.cycles",
        "train.seed",
        "loss.feature_weight",
        "loss.pixel_weight",
        "loss.pixel_boost",
        "loss.propagation_weight",
        "loss.identity_weight",
        "loss.pull_weight",
        "loss.blend_weight",
        "eval.every_kimg",
        "init.resume_kimg",
        "data.workers",
    },
    shares={"train.anneal"},
    choices={
        "train.precision": ("float32", "tf32"),
        "model.kind": KINDS,
        "model.space": SPACES,
        "loss.feature": FEATURES,
        "loss.lpips_network": CHOICES[LPIPS],
        "loss.identity_network": CHOICES[IDENTITY],
    },
)


def check(config: ConfigDict) -> None:
    """Refuses values out of range; every offender is named in one message.

    Raises:
        UsageError: naming every offender.
    """
    wrong = RANGES.offenders(config)
    model, loss, train = config.model, config.loss, config.train
    if model.kind == "code" and not 1 <= model.code_dim <= MAX_CODE:
        wrong.append(f"model.code_dim={model.code_dim} must be from 1 to {MAX_CODE}")
    if any(not 1 <= width <= 2**16 for width in widths_of(config)):
        said = ",".join(map(str, model.features))
        wrong.append(f"model.features={said} must be whole numbers from 1 to 65536")
    if loss.feature_weight == 0 and loss.pixel_weight == 0:
        wrong.append(
            "loss.feature_weight and loss.pixel_weight are both 0: nothing compares "
            "faces with photos"
        )
    if train.total_kimg is not None:
        wrong.append(
            f"train.total_kimg={train.total_kimg} follows from the phases: set "
            "train.epochs and train.cycles instead"
        )
    if config.init.resume_kimg:
        wrong.append("init.resume_kimg must be 0: the phases begin with the run")
    if wrong:
        raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")


def widths_of(config: ConfigDict) -> tuple[int, ...]:
    """The widths of the layers that are asked for; 0 for what is none."""
    words = [str(width) for width in config.model.features]
    return tuple(int(word) if word.isdigit() else 0 for word in words)


def input_dim(config: ConfigDict, photos: int) -> int:
    """Width of the encoder's input."""
    kind = config.model.kind
    if kind == "landmarks":
        return 2 * LANDMARKS
    return photos if kind == "one_hot" else config.model.code_dim + 1


def features_of(config: ConfigDict, photos: int) -> tuple[int, ...]:
    """The widths of the layers: those asked for, or the original program's."""
    if config.model.features:
        return widths_of(config)
    if config.model.kind == "landmarks":
        return (256, 256, 256, 512, 512, 1024)
    return (min(input_dim(config, photos), 64), 64, 128, 256, 512, 512)


def resolve(config: ConfigDict, photos: int, side: int) -> tuple[ConfigDict, list[str]]:
    """Fills in every derived number.

    Args:
        config: checked; not changed.
        photos: how many there are.
        side: the shorter one of the pictures.

    Returns:
        The configuration, and lines that a person should read.
    """
    config = config.copy_and_resolve_references()
    train, loss = config.train, config.loss
    notes = []
    if loss.feature == "auto":
        loss.feature = "vgg"
        if weights_state(VGG_NAME) != THERE:
            loss.feature = "pyramid"
            notes.append(
                f"note: without VGG16's weights pixels and a pyramid of them are "
                f"compared: stylegan-jax weights get {VGG_NAME} makes better likenesses"
            )
        elif side < SMALLEST_FOR_VGG:
            loss.feature = "pyramid"
            notes.append(
                f"note: VGG16 sees little in pictures of {side} pixels: pixels and a "
                "pyramid of them are compared (--config.loss.feature=vgg insists)"
            )
    if train.batch is None:
        train.batch = min(photos, MAX_BATCH)
    train.batch = min(train.batch, photos)
    if train.leaf_learning_rate is None:
        train.leaf_learning_rate = train.learning_rate
    total = timeline_of(config, photos).total * train.batch / 1000
    train.total_kimg = total
    if train.tick_kimg is None:
        train.tick_kimg = total / 40
    if config.eval.every_kimg is None:
        config.eval.every_kimg = total / 10
    if config.snapshot.every_kimg is None:
        config.snapshot.every_kimg = total / (1 + train.cycles)
    return config, notes


def timeline_of(config: ConfigDict, photos: int) -> Timeline:
    """The phases of a configuration with a batch."""
    train = config.train
    epoch = photos / train.batch
    return Timeline(
        steps=math.ceil(train.epochs * epoch),
        cycles=train.cycles,
        last=math.ceil(train.epochs // 2 * epoch) if train.pixel_phase else 0,
        anneal=train.anneal,
        boost=config.loss.pixel_boost,
    )


def weights_of(config: ConfigDict) -> dict[str, float]:
    """The losses whose weight is not 0; the others are not computed at all."""
    loss = config.loss
    weights = {
        loss.feature: loss.feature_weight,
        "pixel": loss.pixel_weight,
        "identity": loss.identity_weight,
        "propagation": loss.propagation_weight,
        "pull": loss.pull_weight,
        "blend": loss.blend_weight,
    }
    return {name: float(value) for name, value in weights.items() if value > 0}


def networks_of(
    config: ConfigDict,
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Which frozen network each kind of loss looks through, and how to do without."""
    weights, loss = weights_of(config), config.loss
    wanted: dict[str, str] = {}
    switches: dict[str, tuple[str, ...]] = {}
    if "vgg" in weights:
        wanted[VGG] = VGG_NAME
        switches[VGG] = ("--config.loss.feature=pyramid",)
    if "lpips" in weights:
        wanted[LPIPS] = loss.lpips_network
        switches[LPIPS] = ("--config.loss.feature=pyramid",)
    if "identity" in weights:
        wanted[IDENTITY] = loss.identity_network
        switches[IDENTITY] = ("--config.loss.identity_weight=0",)
    return wanted, switches
