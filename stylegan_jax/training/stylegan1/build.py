"""From a configuration to the parts of a run that grows; below are plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from stylegan_jax.checkpoints.stylegan1 import StyleGAN1Generator
from stylegan_jax.data.mixture import Weighted, hold_out, reduced
from stylegan_jax.errors import UsageError
from stylegan_jax.models.stylegan1 import Discriminator, Generator
from stylegan_jax.models.stylegan1.growth import growth_variables, without_growth
from stylegan_jax.training import spmd
from stylegan_jax.training.pictures import check_enough, open_data
from stylegan_jax.training.run import Phase
from stylegan_jax.training.stylegan1 import presets
from stylegan_jax.training.stylegan1.schedule import Stage, stage_at
from stylegan_jax.training.stylegan1.steps import GrowHyper, end_step, make_phases
from stylegan_jax.training.stylegan2.build import (
    GanRun,
    Networks,
    augmentation_of,
    check_augmentation,
)
from stylegan_jax.training.stylegan2.presets import base_grid
from stylegan_jax.training.stylegan2.state import GanState


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrowRun(GanRun):
    """The parts of a run, at one stage of its growth.

    Attributes:
        g: generator at its full resolution.
        d: discriminator at its full resolution.
        hyper: numbers of the stage's steps.
        schedule: all stages.
    """

    SHOWN = ("loss/g_main", "loss/d_main", "grow/lod")
    REMEDY = (
        "a lower grow.learning_rate, a higher loss.r1_gamma, or train.precision=float32"
    )
    FAMILY: ClassVar[str] = "stylegan1"
    NETWORK: ClassVar[type[StyleGAN1Generator]] = StyleGAN1Generator

    hyper: GrowHyper
    schedule: tuple[Stage, ...]

    @property
    def batch(self) -> int:
        """Images in the global batch of this stage."""
        return self.hyper.batch

    @property
    def unit(self) -> int:
        """Minibatch-std groups are never split."""
        group: int = self.config.model.mbstd_group_size
        return group

    @property
    def stream_data(self) -> Weighted:
        """The pictures at this stage's resolution."""
        return reduced(self.data, self.hyper.stage.top_lod)

    @property
    def stage(self) -> str:
        """Resolution, batch and length."""
        stage = self.hyper.stage
        height, width, _ = self._shape(stage)
        until = self.config.train.total_kimg
        if stage.ends is not None:
            until = min(until, stage.ends / 1000)
        fading = f", fading in for {stage.fades / 1000:g} kimg" if stage.fades else ""
        return (
            f"{height}x{width} from {stage.begins / 1000:g} to {until:g} kimg{fading}: "
            f"batch {self.batch}, learning rate {stage.learning_rate:g}"
        )

    @property
    def ends(self) -> int | None:
        """Images at which the next resolution begins."""
        return self.hyper.stage.ends

    def at(self, nimg: int) -> Self:
        """The run at the stage that it is in once ``nimg`` images are seen."""
        stage = stage_at(self.schedule, nimg)
        return self if stage == self.hyper.stage else self._in(stage)

    def stages(self) -> list[Self]:
        """The run at every resolution, but those that it never comes to."""
        total = self.config.train.total_kimg * 1000
        return [self._in(s) for s in self.schedule if s.begins < total]

    def planned(self) -> Self:
        """The stage of ``grow.plan_resolution``, or the last one."""
        wanted = self.config.grow.plan_resolution
        found = [s for s in self.schedule if wanted in (None, s.resolution)]
        if not found:
            raise UsageError(
                f"grow.plan_resolution={wanted} is below "
                f"grow.start_resolution={self.config.grow.start_resolution}: there is "
                "no such stage."
            )
        return self._in(found[-1])

    def networks(self, nimg: int) -> Networks:
        """What draws and scores once ``nimg`` images are seen."""
        stage = stage_at(self.schedule, nimg)
        lod = float(stage.top_lod)
        # A number beside the weights, so that a fade is one program from end to end.
        extra = growth_variables(jnp.float32(stage.fade_at(nimg)))
        return Networks(
            self.g.clone(lod=lod), self.d.clone(lod=lod), extra if stage.fades else {}
        )

    def filed(
        self, module: Any, variables: Mapping[str, Any], nimg: int
    ) -> tuple[Any, Mapping[str, Any]]:
        """A network as its file holds it: once grown, like one that never grew."""
        stage = stage_at(self.schedule, nimg)
        lod = stage.top_lod + stage.fade_at(nimg)
        if lod > 0:
            return module.clone(lod=lod), variables
        return without_growth(module, variables)

    def compared_with(self, nimg: int) -> dict[str, Any] | None:
        """The resolution, and whether it is there: the best is of the newest one."""
        stage = stage_at(self.schedule, nimg)
        fading = stage.fade_at(nimg) > 0
        return {"resolution": stage.resolution, "fading": fading}

    def phases(self) -> list[Phase]:
        """The phases of a step."""
        lod = float(self.hyper.stage.top_lod)
        return make_phases(self.g.clone(lod=lod), self.d.clone(lod=lod), self.hyper)

    def end_step(self, state: GanState) -> GanState:
        """Moves the averaged generator and the counters."""
        return end_step(state, self.hyper)

    def batch_shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """A picture of the stage's resolution and its label."""
        image = (self._shape(self.hyper.stage), jnp.uint8)
        return {**super().batch_shapes(), "image": image}

    def begun_with(self) -> dict[str, tuple[Any, str]]:
        """Nothing: the networks are always begun anew."""
        return {}

    def introduction(self, state: GanState) -> list[str]:
        """Sizes, and how the run grows."""
        first, *more = super().introduction(state)
        sides = ", ".join(str(stage.resolution) for stage in self.schedule)
        return [first, *more, f"growing through the resolutions {sides}"]

    def _shape(self, stage: Stage) -> tuple[int, int, int]:
        height, width, channels = self.image_shape
        return height >> stage.top_lod, width >> stage.top_lod, channels

    def _in(self, stage: Stage) -> Self:
        """The run at a stage."""
        parts = _parts(self.config, stage, self.mesh.size)
        hyper = dataclasses.replace(
            self.hyper,
            stage=stage,
            batch=stage.batch,
            accumulate=parts,
            g_learning_rate=stage.learning_rate,
            d_learning_rate=stage.learning_rate,
        )
        rows = spmd.batch_rows(stage.batch, self.mesh.size * parts, self.unit)
        return dataclasses.replace(self, hyper=hyper, rows=rows, accumulate=parts)


def build_run(
    config: ConfigDict,
    workdir: Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> GrowRun:
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
    pictures = open_data(config, workdir, progress=progress)
    if pictures[0][0].label_dim:
        raise UsageError(
            "StyleGAN's generator of 2018 is here without labels only: set "
            "--config.data.labels=false, or train StyleGAN2."
        )
    height, width, channels = pictures[0][0].image_shape
    mesh = spmd.make_mesh(devices)
    config = presets.resolve(config, height, width, mesh.size)
    schedule = presets.schedule_of(config, height, width)
    stage = stage_at(schedule, int(config.init.resume_kimg * 1000))
    data, held_out = hold_out(pictures, config.data.held_out)
    check_enough(data, max(stage.batch for stage in schedule))
    check_augmentation(config, channels)
    g, d = make_networks(config, (height, width, channels))
    parts = _parts(config, stage, mesh.size)
    return GrowRun(
        config=config,
        mesh=mesh,
        g=g,
        d=d,
        hyper=make_hyper(config, stage, parts),
        schedule=schedule,
        rows=spmd.batch_rows(
            stage.batch, mesh.size * parts, config.model.mbstd_group_size
        ),
        accumulate=parts,
        data=data,
        held_out=held_out,
    )


def _parts(config: ConfigDict, stage: Stage, devices: int) -> int:
    """The fewest parts of a device's share that ``train.batch_per_device`` allows.

    It is a limit here: the batch of a low resolution is larger than that of a high one.

    Raises:
        UsageError: it is no number, or smaller than a minibatch-std group.
    """
    most = config.train.batch_per_device
    if most is None or most == "auto":
        return 1
    group = config.model.mbstd_group_size
    if type(most) is not int or most < group:
        raise UsageError(
            f"train.batch_per_device={most} must be 'auto' or a whole number of at "
            f"least model.mbstd_group_size={group}."
        )
    groups = stage.batch // (devices * group)
    fitting = [
        parts
        for parts in range(1, groups + 1)
        if groups % parts == 0 and groups // parts * group <= most
    ]
    return fitting[0]


def make_networks(
    config: ConfigDict, image_shape: tuple[int, int, int]
) -> tuple[Generator, Discriminator]:
    """The modules that a resolved configuration describes."""
    model = config.model
    height, width, channels = image_shape
    grid, num_blocks = base_grid(height, width)
    shared = {
        "num_blocks": num_blocks,
        "base_grid": grid,
        "img_channels": channels,
        "channel_base": model.channel_base,
        "channel_max": model.channel_max,
        "progressive": True,
    }
    g = Generator(
        z_dim=model.z_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        mapping_features=model.mapping_features,
        mapping_lr_multiplier=model.mapping_lr_multiplier,
        fused_resolution=model.fused_resolution,
        use_noise=model.use_noise,
        const_input=model.const_input,
        use_style=model.use_style,
        instance_norm=model.instance_norm,
        pixel_norm=model.pixel_norm,
        **shared,
    )
    d = Discriminator(
        mbstd_group_size=model.mbstd_group_size,
        mbstd_num_channels=model.mbstd_num_channels,
        **shared,
    )
    return g, d


def make_hyper(config: ConfigDict, stage: Stage, parts: int) -> GrowHyper:
    """Numbers of a stage's steps from a resolved configuration."""
    loss = config.loss
    return GrowHyper(
        batch=stage.batch,
        accumulate=parts,
        r1_gamma=loss.r1_gamma,
        style_mixing_prob=loss.style_mixing_prob,
        # No lazy regularisation: plain Adam.
        g_reg_interval=0,
        d_reg_interval=0,
        g_learning_rate=stage.learning_rate,
        d_learning_rate=stage.learning_rate,
        ema_kimg=config.ema.kimg,
        ema_rampup=config.ema.rampup or None,
        w_avg_beta=config.model.w_avg_beta,
        augmentation=augmentation_of(config),
        stage=stage,
        objective=loss.objective,
        gp_weight=loss.gp_weight,
        gp_target=loss.gp_target,
        drift=loss.drift,
        reset_optimisers=config.grow.reset_optimisers,
    )
