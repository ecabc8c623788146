"""Fills in what a pSp configuration leaves to be derived, and refuses nonsense."""

from __future__ import annotations

import math

from ml_collections import ConfigDict

from stylegan_jax.errors import UsageError
from stylegan_jax.models.features.irse import MODES, STAGES
from stylegan_jax.models.psp import ENCODER_TYPES, MAX_ITERATIONS
from stylegan_jax.training.networks import CHOICES, NETWORK_OF
from stylegan_jax.training.ranges import Ranges

# Losses in the order in which they are reported; `<name>_weight` in the section loss.
LOSSES = (
    "l2",
    "lpips",
    "identity",
    "moco",
    "w_norm",
    "l2_crop",
    "lpips_crop",
)
MIRRORS = ("none", "together", "apart")
# Larger pictures are compared at this side, as pSp's program does.
LARGEST_COMPARED = 256

# What a whole pSp that a run goes on from decides, as `model.*` has it.
MODEL_OF_PSP = (
    "encoder_type",
    "num_layers",
    "mode",
    "width",
    "input_nc",
    "input_size",
    "learn_in_w",
    "start_from_latent_avg",
    "iterations",
)

RANGES = Ranges(
    may_be_none={
        "data.path",
        "data.resolution",
        "init.model",
        "init.decoder",
        "init.backbone",
        "model.input_size",
        "model.input_nc",
        "train.batch",
        "train.batch_per_device",
        "ema.rampup",
    },
    above_zero={
        "train.batch",
        "train.total_kimg",
        "train.tick_kimg",
        "train.max_auto_batch_per_device",
        "train.learning_rate",
        "train.nonfinite_patience",
        "snapshot.every_kimg",
        "snapshot.grid",
        "model.width",
        "model.input_size",
        "model.iterations",
        "eval.num",
    },
    not_negative={
        *(f"loss.{name}_weight" for name in LOSSES),
        "ema.kimg",
        "ema.rampup",
        "eval.every_kimg",
        "init.resume_kimg",
        "data.workers",
        "data.source_labels",
        "train.seed",
    },
    shares={"data.held_out"},
    choices={
        "train.precision": ("float32", "tf32"),
        "train.optimiser": ("ranger", "adam"),
        "train.noise_mode": ("random", "const", "none"),
        "model.encoder_type": ENCODER_TYPES,
        "model.num_layers": tuple(STAGES),
        "model.mode": MODES,
        "data.mirror": MIRRORS,
        "data.source_channels": (1, 3),
        "loss.lpips_network": CHOICES["lpips"],
        "loss.identity_network": CHOICES["identity"],
    },
)


def check(config: ConfigDict) -> None:
    """Refuses values out of range; every offender is named in one message.

    Raises:
        UsageError: naming every offender.
    """
    wrong = RANGES.offenders(config)
    data, model = config.data, config.model
    if model.iterations > MAX_ITERATIONS:
        wrong.append(
            f"model.iterations={model.iterations} must be at most {MAX_ITERATIONS}"
        )
    if any(not 1 <= f <= 64 for f in factors_of(config)):
        given = ",".join(map(str, data.factors))
        wrong.append(f"data.factors={given} must be whole numbers from 1 to 64")
    if data.factors and data.source_labels:
        wrong.append("data.factors shrink pictures, and data.source_labels has none")
    if data.reconstruct and (data.source_labels or data.source_channels != 3):
        wrong.append(
            "data.reconstruct shows the encoder the target itself, in RGB: leave "
            "data.source_labels and data.source_channels out"
        )
    if not weights_of(config):
        wrong.append("every weight of the section loss is 0: nothing is learnt")
    if config.loss.moco_weight > 0 and config.loss.identity_weight > 0:
        wrong.append(
            "loss.moco_weight is for what is no face and loss.identity_weight for "
            "faces: set one of them to 0"
        )
    if wrong:
        raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")


def factors_of(config: ConfigDict) -> tuple[int, ...]:
    """The factors as numbers, 0 for what is none; a lone one arrives as text."""
    words = [str(factor) for factor in config.data.factors]
    return tuple(int(word) if word.isdigit() else 0 for word in words)


def weights_of(config: ConfigDict) -> dict[str, float]:
    """The losses whose weight is not 0; the others are not computed at all."""
    weights = {name: float(config.loss[f"{name}_weight"]) for name in LOSSES}
    return {name: value for name, value in weights.items() if value > 0}


def networks_of(
    config: ConfigDict,
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Which frozen network each kind of loss looks through, and how to do without."""
    names = {
        "lpips": config.loss.lpips_network,
        "identity": config.loss.identity_network,
        "moco": CHOICES["moco"][0],
    }
    wanted: dict[str, str] = {}
    switches: dict[str, tuple[str, ...]] = {}
    for loss in weights_of(config):
        if loss in NETWORK_OF:
            kind = NETWORK_OF[loss]
            wanted[kind] = names[kind]
            word = f"--config.loss.{loss}_weight=0"
            switches[kind] = (*switches.get(kind, ()), word)
    return wanted, switches


def resolve(config: ConfigDict, side: int, devices: int) -> ConfigDict:
    """Returns the configuration with every derived number filled in.

    Args:
        config: checked; not changed.
        side: of the pictures that are compared.
        devices: number of devices.
    """
    config = config.copy_and_resolve_references()
    model, train = config.model, config.train
    if model.input_size is None:
        model.input_size = 1 << max(5, min(8, math.ceil(math.log2(side))))
    if model.input_nc is None:
        model.input_nc = config.data.source_labels or config.data.source_channels
    if train.batch is None:
        train.batch = devices * train.max_auto_batch_per_device
    return config
