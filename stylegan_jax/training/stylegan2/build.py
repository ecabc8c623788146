"""From a configuration to the parts of a run; all below takes plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict

from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.data.augment.color import check_channels
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.errors import UsageError
from stylegan_jax.models.stylegan2 import Discriminator, Generator
from stylegan_jax.training import spmd
from stylegan_jax.training.pictures import (
    accumulation,
    check_enough,
    open_data,
    parse_resolution,
)
from stylegan_jax.training.run import Observer, Phase, Run
from stylegan_jax.training.stylegan2 import presets
from stylegan_jax.training.stylegan2.augmentation import Augmentation, make_augmentation
from stylegan_jax.training.stylegan2.finetune import OWN_FIELDS, Parent, open_parent
from stylegan_jax.training.stylegan2.freeze import Freeze
from stylegan_jax.training.stylegan2.state import GanState, init_state
from stylegan_jax.training.stylegan2.steps import (
    GanHyper,
    end_step,
    make_phases,
    optimisers,
)


class Networks(NamedTuple):
    """Generator and discriminator as they are at a moment.

    Attributes:
        g: generator's module.
        d: discriminator's module.
        extra: variables that the moment adds to those of the state.
    """

    g: Any
    d: Any
    extra: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanRun(Run):
    """The parts of a StyleGAN2 run, or of another GAN's with the same methods.

    Attributes:
        FAMILY: of its model files.
        NETWORK: class of a generator ready for use.
        g: generator.
        d: discriminator.
        hyper: numbers of the steps.
        parent: the networks that it starts from; None for fresh ones.
    """

    SHOWN = ("loss/g_main", "loss/d_main", "augment/p")
    RARE = ("swd/mean", "watch/nearest", "watch/diversity", "watch/gap")
    REMEDY = (
        "a lower train.g_learning_rate and train.d_learning_rate, a higher "
        "loss.r1_gamma, or train.precision=float32"
    )

    FAMILY: ClassVar[str] = "stylegan2"
    NETWORK: ClassVar[type[StyleGAN2Generator]] = StyleGAN2Generator

    g: Any
    d: Any
    hyper: GanHyper
    parent: Parent | None = None

    @property
    def unit(self) -> int:
        """Minibatch-std groups and the path length's share are never split."""
        model, loss = self.config.model, self.config.loss
        return spmd.layout_unit(model.mbstd_group_size, loss.pl_batch_shrink)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the pictures."""
        return self.g.image_shape

    @property
    def judges_snapshots(self) -> bool:
        """Where copies are watched for, every snapshot is judged."""
        return self.config.eval.watch

    def networks(self, nimg: int) -> Networks:
        """What draws and scores once ``nimg`` images are seen."""
        del nimg  # these networks stay as they are
        return Networks(self.g, self.d, {})

    def filed(
        self, module: Any, variables: Mapping[str, Any], nimg: int
    ) -> tuple[Any, Mapping[str, Any]]:
        """A network as its model file holds it once ``nimg`` images are seen."""
        del nimg
        return module, variables

    def compared_with(self, nimg: int) -> dict[str, Any] | None:
        """What snapshots must share for their measures to be compared."""
        del nimg
        return None

    def phases(self) -> list[Phase]:
        """The phases of a step."""
        return make_phases(self.g, self.d, self.hyper)

    def init(self, key: jax.Array) -> GanState:
        """Fresh networks and optimisers."""
        return init_state(
            self.g,
            self.d,
            *optimisers(self.hyper),
            key,
            augmentation=self.hyper.augmentation,
            nimg=int(self.config.init.resume_kimg * 1000),
            keep_source=self.hyper.correspondence_weight > 0,
        )

    def adopt(self, state: GanState) -> GanState:
        """The parent's networks instead of fresh ones."""
        return self.parent.adopt(state, self.hyper.freeze) if self.parent else state

    def end_step(self, state: GanState) -> GanState:
        """Moves the averaged generator and the counters."""
        return end_step(state, self.hyper)

    def batch_shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """A picture and its label."""
        return {
            "image": (self.d.image_shape, jnp.uint8),
            "label": ((self.d.c_dim,), jnp.float32),
        }

    def begun_with(self) -> dict[str, tuple[Any, str]]:
        """The parent, and whether it is compared with."""
        weight = self.hyper.correspondence_weight
        digest = self.parent.provenance["sha256"] if self.parent else None
        parent = f"init.model={self.config.init.model} (sha256 {str(digest)[:12]})"
        on = f"loss.correspondence_weight={weight:g}"
        return {
            "parent": (digest, parent if digest else "no init.model"),
            "correspondence": (weight > 0, on),
        }

    def introduction(self, state: GanState) -> list[str]:
        """Sizes, the parent's note, and what is frozen."""
        g = parameter_overview.count_parameters(state.g_params)
        d = parameter_overview.count_parameters(state.d_params)
        lines = [f"generator {g / 1e6:.2f} M, discriminator {d / 1e6:.2f} M parameters"]
        if self.parent and self.parent.note:
            lines.append(self.parent.note)
        if frozen := str(self.hyper.freeze):
            lines.append(f"frozen: {frozen}")
        return lines

    def observer(self, workdir: Path) -> Observer:
        """Grids, snapshots, the sliced Wasserstein distance, the overfit watch."""
        # It looks at runs, so it cannot stand above what a run is.
        from stylegan_jax.training.stylegan2.observer import GanObserver

        return GanObserver(self, workdir)


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
    check_enough(pictures, config.train.batch)
    data, held_out = hold_out(pictures, config.data.held_out)
    check_enough(data, config.train.batch)
    check_augmentation(config, channels)
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
        accumulate=accumulate,
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


def make_rows(config: ConfigDict, devices: int, accumulate: int) -> np.ndarray:
    """Order of a global batch, see ``spmd.batch_rows``."""
    unit = spmd.layout_unit(config.model.mbstd_group_size, config.loss.pl_batch_shrink)
    return spmd.batch_rows(config.train.batch, devices * accumulate, unit)


def augmentation_of(config: ConfigDict) -> Augmentation:
    """What the discriminator's images go through."""
    return make_augmentation(
        finetune=config.init.get("model") is not None,
        mirror=config.data.mirror,
        **config.augment.to_dict(),
    )


def check_augmentation(config: ConfigDict, channels: int) -> None:
    """Refuses an augmentation that pictures of so many channels cannot have."""
    augmentation = augmentation_of(config)
    if augmentation.mode in ("ada", "fixed"):
        check_channels(augmentation.spec, channels)


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
        recompute=train.recompute,
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
