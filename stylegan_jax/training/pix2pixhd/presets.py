"""Fills in what a pix2pixHD configuration leaves open, and refuses nonsense."""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict

from stylegan_jax.data.augment.wild import Wild
from stylegan_jax.errors import UsageError
from stylegan_jax.losses.translation import GAN_LOSSES
from stylegan_jax.models.pix2pixhd.layers import NORMS, UPSAMPLINGS
from stylegan_jax.training.networks import CHOICES
from stylegan_jax.training.ranges import Ranges

GENERATORS = ("global", "local")
# Losses in the order in which they are reported; `<name>_weight` in the section loss.
LOSSES = ("gan", "features", "vgg", "l1", "lpips")
# What a generator or a discriminator that a run goes on from decides.
G_FIELDS = {
    "width": "width",
    "downsamplings": "downsamplings",
    "residual_blocks": "residual_blocks",
    "enhancers": "enhancers",
    "enhancer_blocks": "enhancer_blocks",
    "norm": "norm",
    "upsampling": "upsampling",
}
D_FIELDS = {"d_width": "width", "d_layers": "layers", "d_scales": "scales"}
WILD = tuple(field.name for field in dataclasses.fields(Wild))

RANGES = Ranges(
    may_be_none={
        "data.path",
        "data.resolution",
        "data.second",
        "init.model",
        "init.global_generator",
        "model.norm",
        "model.upsampling",
        "train.batch",
        "train.batch_per_device",
        "train.decay_kimg",
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
        "model.d_width",
        "model.d_layers",
        "model.d_scales",
        "model.e_width",
        "eval.num",
    },
    not_negative={
        *(f"loss.{name}_weight" for name in LOSSES),
        "loss.pool_size",
        "loss.blind_spot",
        "model.downsamplings",
        "model.residual_blocks",
        "model.feature_channels",
        "model.e_downsamplings",
        "train.decay_kimg",
        "train.fix_global_kimg",
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
        "model.generator": GENERATORS,
        "model.norm": NORMS,
        "model.upsampling": UPSAMPLINGS,
        "data.source": ("a", "b", "c"),
        "data.target": ("a", "b", "c"),
        "data.second": ("a", "b", "c"),
        "loss.gan": tuple(GAN_LOSSES),
        "loss.vgg_network": CHOICES["vgg"],
        "loss.lpips_network": CHOICES["lpips"],
    },
)


def check(config: ConfigDict) -> None:
    """Refuses values out of range; every offender is named in one message.

    Raises:
        UsageError: naming every offender.
    """
    wrong = RANGES.offenders(config)
    data, train, model = config.data, config.train, config.model
    weights = weights_of(config)
    if not weights:
        wrong.append("every weight of the section loss is 0: nothing is learnt")
    sides = [side for side in (data.source, data.target, data.second) if side]
    if len({*sides}) < len(sides):
        wrong.append(
            f"data.source={data.source}, data.target={data.target} and data.second="
            f"{data.second} must be different sides of the pairs"
        )
    if data.second and data.source_labels:
        wrong.append("data.second is a picture, and data.source_labels has none")
    if model.feature_channels and not data.instances:
        wrong.append("model.feature_channels are of instances: set data.instances=true")
    if train.fix_global_kimg and model.generator != "local":
        wrong.append(
            "train.fix_global_kimg is for a local enhancer (model.generator=local)"
        )
    begins = (config.init.global_generator, config.init.model)
    if train.fix_global_kimg and model.generator == "local" and not any(begins):
        wrong.append(
            f"train.fix_global_kimg={train.fix_global_kimg:g} keeps the trunk as it "
            "is, and without init.global_generator it is random: give the model of the "
            "global stage, or set train.fix_global_kimg=0"
        )
    if config.init.global_generator is not None and model.generator != "local":
        wrong.append(
            "init.global_generator goes into a local enhancer (model.generator=local)"
        )
    if train.decay_kimg is not None and train.decay_kimg > train.total_kimg:
        wrong.append(
            f"train.decay_kimg={train.decay_kimg:g} is part of train.total_kimg="
            f"{train.total_kimg:g}"
        )
    if config.loss.pool_size and "gan" not in weights and "features" not in weights:
        wrong.append("loss.pool_size is for a discriminator, which nothing looks at")
    if wrong:
        raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")
    distortion_of(config).check()


def weights_of(config: ConfigDict) -> dict[str, float]:
    """The losses whose weight is not 0; the others are not computed at all."""
    weights = {name: float(config.loss[f"{name}_weight"]) for name in LOSSES}
    return {name: value for name, value in weights.items() if value > 0}


def networks_of(
    config: ConfigDict,
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Which frozen network each kind of loss looks through, and how to do without."""
    names = {"vgg": config.loss.vgg_network, "lpips": config.loss.lpips_network}
    wanted = {kind: names[kind] for kind in names if kind in weights_of(config)}
    return wanted, {kind: (f"--config.loss.{kind}_weight=0",) for kind in wanted}


def distortion_of(config: ConfigDict) -> Wild:
    """What photos from anywhere are like; the section augment has `Wild`'s names."""
    return Wild(**{name: config.augment[name] for name in WILD})


def resolve(config: ConfigDict, devices: int) -> ConfigDict:
    """Returns the configuration with every derived number filled in.

    Args:
        config: checked; not changed.
        devices: number of devices.
    """
    config = config.copy_and_resolve_references()
    train, model = config.train, config.model
    if train.batch is None:
        train.batch = devices * train.max_auto_batch_per_device
    if train.decay_kimg is None:
        train.decay_kimg = train.total_kimg / 2  # 100 of 200 epochs in the program
    model.norm = model.norm or NORMS[0]
    model.upsampling = model.upsampling or UPSAMPLINGS[0]
    pool, batch = config.loss.pool_size, train.batch
    if 0 < pool < batch:
        raise UsageError(
            f"loss.pool_size={pool} must hold a batch, which is {batch}: make it "
            f"{batch} or more, or 0 for no pool."
        )
    return config
