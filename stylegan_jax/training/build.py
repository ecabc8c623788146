"""From a configuration to the parts of a run; all below takes plain values."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from stylegan_jax.data import check, toy
from stylegan_jax.data.augment.color import check_channels
from stylegan_jax.data.mixture import Weighted, hold_out, open_mixture
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.models.stylegan2 import Discriminator, Generator
from stylegan_jax.training import presets, spmd
from stylegan_jax.training.augmentation import Augmentation, make_augmentation
from stylegan_jax.training.finetune import OWN_FIELDS, Parent, open_parent
from stylegan_jax.training.freeze import Freeze
from stylegan_jax.training.gan_steps import GanHyper, Phase, make_phases

# What XLA may do with float32 operands of matrix products.
_MATMUL = {
    "float32": "float32",
    "tf32": "tensorfloat32",
    "bfloat16": "tensorfloat32",
    "float16": "tensorfloat32",
}


@dataclasses.dataclass(frozen=True)
class GanRun:
    """The parts of a StyleGAN2 run.

    Attributes:
        config: with every derived number filled in.
        mesh: the devices.
        g: generator.
        d: discriminator.
        hyper: numbers of the steps.
        rows: order of a global batch over devices and accumulation steps.
        data: weighted datasets.
        held_out: pictures of the same datasets that are not trained on, perhaps none.
        parent: the networks that it starts from; None for fresh ones.
    """

    config: ConfigDict
    mesh: Mesh
    g: Generator
    d: Discriminator
    hyper: GanHyper
    rows: np.ndarray
    data: Weighted
    held_out: Weighted
    parent: Parent | None = None

    @property
    def local_rows(self) -> np.ndarray:
        """This process's part of ``rows``."""
        return spmd.local_rows(self.rows, self.mesh)

    @property
    def data_identity(self) -> list[list[Any]]:
        """Fingerprint and weight of every dataset, as a checkpoint keeps them."""
        return [[dataset.fingerprint, weight] for dataset, weight in self.data]

    def phases(self) -> list[Phase]:
        """The phases of a step."""
        return make_phases(self.g, self.d, self.hyper)

    def matmul_precision(self) -> contextlib.AbstractContextManager:
        """The context in which the steps are traced."""
        return jax.default_matmul_precision(_MATMUL[self.config.train.precision])

    def with_accumulation(self, accumulate: int) -> GanRun:
        """The same run with a device's share processed in so many parts."""
        hyper = dataclasses.replace(self.hyper, accumulate=accumulate)
        rows = make_rows(self.config, self.mesh.size, accumulate)
        return dataclasses.replace(self, hyper=hyper, rows=rows)


def build_run(
    config: ConfigDict,
    workdir: Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> GanRun:
    """Opens the data, derives the numbers, makes the networks' modules.

    Args:
        config: as ``experiment.load_config`` gives it.
        workdir: the run's folder; converted pictures are kept in its ``data/``.
        devices: what to run on; None for all there are.
        progress: show a bar while pictures are converted.

    Raises:
        UserError: for unusable data.
        UsageError: for a configuration that cannot be run.
    """
    if config.trainer != "stylegan2":
        raise UsageError(f"There is no trainer '{config.trainer}', choose stylegan2.")
    presets.check(config)
    parent = None
    if config.init.model is None and config.init.needed:
        raise UsageError(
            "This configuration goes on from trained networks: say which with "
            "--config.init.model=FOLDER (from convert, or a run's)."
        )
    if config.init.model is not None:
        parent = open_parent(config.init.model, fresh_d=config.init.fresh_d)
        config = config.copy_and_resolve_references()
        _settle(config, parent)
    pictures = open_data(config, workdir, progress=progress)
    height, width, channels = pictures[0][0].image_shape
    mesh = spmd.make_mesh(devices)
    config = presets.resolve(config, height, width, mesh.size)
    _check_enough(pictures, config.train.batch)
    data, held_out = hold_out(pictures, config.data.held_out)
    _check_enough(data, config.train.batch)
    augmentation = augmentation_of(config)
    if augmentation.mode in ("ada", "fixed"):
        check_channels(augmentation.spec, channels)
    g, d = make_networks(
        config, (height, width, channels), data[0][0].label_dim, parent
    )
    accumulate = accumulation(config, mesh.size)
    hyper = make_hyper(config, accumulate)
    hyper.freeze.check(g, d)
    return GanRun(
        config=config,
        mesh=mesh,
        g=g,
        d=d,
        hyper=hyper,
        rows=make_rows(config, mesh.size, accumulate),
        data=data,
        held_out=held_out,
        parent=parent,
    )


def _settle(config: ConfigDict, parent: Parent) -> None:
    """Fills in what the networks that a run starts from decide.

    Raises:
        UsageError: the data are asked for at another size than the networks draw.
    """
    height, width, channels = parent.image_shape
    wanted = parse_resolution(config.data.resolution)
    if wanted is None:
        config.data.resolution = f"{height}x{width}"
    elif wanted not in ((height, width), height if height == width else None):
        raise UsageError(
            f"data.resolution={config.data.resolution} and init.model, which draws "
            f"{height}x{width}, do not agree: leave data.resolution out."
        )
    config.data.channels = channels
    parent.fill(config)


def _check_enough(data: Weighted, batch: int) -> None:
    """Refuses fewer pictures than a batch now, not after minutes of compiling."""
    pictures = sum(d.num_images for d, _ in data)
    if pictures < batch:
        names = " and ".join(d.name for d, _ in data)
        raise UserError(check.too_few(names, pictures, batch) + ".")


def open_data(config: ConfigDict, workdir: Path, *, progress: bool) -> Weighted:
    """Opens the training pictures; a smoke run without a path draws toy faces."""
    section = config.data
    path = section.path
    if path is None:
        if section.resolution is None or config.train.total_kimg > 2:
            raise UsageError(
                "There are no pictures to train on: say where they are with "
                "--config.data.path=FOLDER."
            )
        path = _toy_faces(workdir / "data" / "toy", toy_side(section.resolution))
    return open_mixture(
        parse_path(path),
        resolution=parse_resolution(section.resolution),
        mirror=section.mirror,
        use_labels=section.labels,
        channels=section.channels,
        cache_dir=workdir / "data",
        skip_broken=section.skip_broken,
        progress=progress,
    )


def parse_path(value: Any) -> Any:
    """Reads data.path: text, a path, or a list of them or of pairs with weights."""
    if isinstance(value, int | float):
        return str(value)  # a folder called 2024
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        name = item[0] if isinstance(item, list | tuple) and len(item) == 2 else item
        if not isinstance(name, str | os.PathLike):
            raise UsageError(
                f"data.path={value} is not understood: give a folder, or a weighted "
                "list such as a/:3,b/:1."
            )
    return value


def toy_side(resolution: Any) -> int:
    """The side of toy faces, which are square."""
    parsed = parse_resolution(resolution)
    if not isinstance(parsed, int):
        raise UsageError(
            f"Toy faces are square, got data.resolution={resolution}: give one side, "
            "or your own pictures with --config.data.path=FOLDER."
        )
    return parsed


def _toy_faces(folder: Path, size: int) -> Path:
    folder = folder.with_name(f"{folder.name}{size}")
    if not folder.is_dir() and jax.process_index() == 0:
        toy.write_toy(folder, style="photo", num=256, size=size, seed=0)
    spmd.wait_for_all("toy faces")
    return folder


def parse_resolution(value: Any) -> int | tuple[int, int] | None:
    """Reads 256, "256", "320x256" (height x width) or a pair."""
    if value is None:
        return None
    parts = value.lower().split("x") if isinstance(value, str) else value
    parts = [parts] if isinstance(parts, int) else parts
    try:
        sides = [int(p) for p in parts]
    except (TypeError, ValueError):
        sides = []
    if len(sides) not in (1, 2) or any(s < 8 for s in sides):
        raise UsageError(
            f"data.resolution={value} is not understood: give a side such as 256, or "
            "height x width such as 320x256, each at least 8."
        )
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def make_networks(
    config: ConfigDict,
    image_shape: tuple[int, int, int],
    label_dim: int,
    parent: Parent | None = None,
) -> tuple[Generator, Discriminator]:
    """The modules that a resolved configuration, or the parent's networks, describe.

    Raises:
        UsageError: the data's labels are not those of the parent's networks.
    """
    model, train = config.model, config.train
    height, width, channels = image_shape
    grid, num_blocks = presets.base_grid(height, width)
    low = train.precision in ("bfloat16", "float16")
    shared = {
        "num_blocks": num_blocks,
        "c_dim": label_dim,
        "base_grid": grid,
        "img_channels": channels,
        "channel_base": model.channel_base,
        "channel_max": model.channel_max,
        "conv_clamp": model.conv_clamp,
        "dtype": train.precision if low else "float32",
        "low_precision_blocks": model.low_precision_blocks,
    }
    g = Generator(
        z_dim=model.z_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        architecture=model.g_architecture,
        use_noise=model.use_noise,
        **shared,
    )
    d = Discriminator(
        architecture=model.d_architecture,
        mbstd_group_size=model.mbstd_group_size,
        mbstd_num_channels=model.mbstd_num_channels,
        **shared,
    )
    if parent is None:
        return g, d
    if label_dim != parent.g_ema.config["c_dim"]:
        raise UsageError(
            f"init.model knows {parent.g_ema.config['c_dim']} labels and the data have "
            f"{label_dim}: set --config.data.labels to what fits."
        )
    g = inherited(g, parent.g_ema.config)
    return g, d if parent.d is None else inherited(d, parent.d.config)


def inherited(module: Any, config: Mapping[str, Any]) -> Any:
    """A module of a parent's config, computed as ``module`` says."""
    own = {n: getattr(module, n) for n in OWN_FIELDS if n in config}
    return type(module)(**{**config, **own})


def accumulation(config: ConfigDict, devices: int) -> int:
    """Parts that a device's share of the batch is processed in."""
    value = config.train.batch_per_device
    if value is None or value == "auto":
        return 1
    batch = config.train.batch
    if type(value) is not int or value < 1 or batch % (devices * value):
        raise UsageError(
            f"train.batch_per_device={value} must be a whole number that divides the "
            f"share of a device, {batch // devices} of {batch} images on {devices} "
            f"device(s), or 'auto'."
        )
    return batch // (devices * value)


def make_rows(config: ConfigDict, devices: int, accumulate: int) -> np.ndarray:
    """Order of a global batch, see ``spmd.batch_rows``."""
    unit = spmd.layout_unit(config.model.mbstd_group_size, config.loss.pl_batch_shrink)
    return spmd.batch_rows(config.train.batch, devices * accumulate, unit)


def augmentation_of(config: ConfigDict) -> Augmentation:
    """What the discriminator's images go through."""
    return make_augmentation(
        finetune=config.init.model is not None,
        mirror=config.data.mirror,
        **config.augment.to_dict(),
    )


def make_hyper(config: ConfigDict, accumulate: int) -> GanHyper:
    """Numbers of the steps from a resolved configuration."""
    loss, train = config.loss, config.train
    return GanHyper(
        batch=train.batch,
        accumulate=accumulate,
        r1_gamma=loss.r1_gamma,
        pl_weight=loss.pl_weight,
        pl_decay=loss.pl_decay,
        pl_batch_shrink=loss.pl_batch_shrink,
        style_mixing_prob=loss.style_mixing_prob,
        g_reg_interval=loss.g_reg_interval,
        d_reg_interval=loss.d_reg_interval,
        g_learning_rate=train.g_learning_rate,
        d_learning_rate=train.d_learning_rate,
        ema_kimg=config.ema.kimg,
        ema_rampup=config.ema.rampup or None,
        w_avg_beta=config.model.w_avg_beta,
        augmentation=augmentation_of(config),
        freeze=Freeze(**config.freeze.to_dict()),
        correspondence_weight=loss.correspondence_weight,
        correspondence_group=_correspondence_group(config),
    )


def _correspondence_group(config: ConfigDict) -> int:
    """Images that are compared with each other: they already stay together.

    Raises:
        UsageError: the loss is asked for and the groups, or the parent, are missing.
    """
    group = spmd.layout_unit(config.model.mbstd_group_size, config.loss.pl_batch_shrink)
    if config.loss.correspondence_weight <= 0:
        return group
    if config.init.model is None:
        raise UsageError(
            "loss.correspondence_weight compares with the generator that a run starts "
            "from: say which with --config.init.model=FOLDER, or set it to 0."
        )
    if group < 3:
        raise UsageError(
            f"loss.correspondence_weight compares images in groups of {group}, the "
            "least common multiple of model.mbstd_group_size and loss.pl_batch_shrink, "
            "and needs at least 3: set --config.model.mbstd_group_size=4."
        )
    return group
