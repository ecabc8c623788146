"""From a configuration to the parts of a pix2pixHD run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from clu import parameter_overview
from ml_collections import ConfigDict

from stylegan_jax.data.mixture import hold_out
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.models.pix2pixhd import (
    GlobalGenerator,
    InstanceEncoder,
    LocalEnhancer,
    MultiscaleDiscriminator,
)
from stylegan_jax.training import spmd
from stylegan_jax.training.networks import Networks, open_networks
from stylegan_jax.training.pictures import accumulation, check_enough
from stylegan_jax.training.pix2pixhd import presets, smoke
from stylegan_jax.training.pix2pixhd.inputs import Inputs
from stylegan_jax.training.pix2pixhd.pairs import open_pairs
from stylegan_jax.training.pix2pixhd.start import STARTS, Start, open_start
from stylegan_jax.training.pix2pixhd.state import (
    D,
    E,
    G,
    Modules,
    TranslatorState,
    init_state,
)
from stylegan_jax.training.pix2pixhd.steps import (
    Losses,
    TranslatorHyper,
    end_step,
    make_optimiser,
    make_step,
)
from stylegan_jax.training.run import Observer, Phase, Run
from stylegan_jax.training.snapshots import begun_from

GENERATORS: dict[str, Any] = {"global": GlobalGenerator, "local": LocalEnhancer}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslatorRun(Run):
    """The parts of a pix2pixHD run.

    Attributes:
        modules: the networks.
        inputs: what becomes of a batch.
        hyper: numbers of the step.
        networks: frozen networks that losses look through.
        start: the networks that it starts from.
    """

    SHOWN = ("loss/g", "loss/d")
    RARE = ("val/loss", "val/l1", "val/l1_ratio", "val/vgg", "val/lpips")
    REMEDY = "a lower train.learning_rate, or a larger batch"

    modules: Modules
    inputs: Inputs
    hyper: TranslatorHyper
    networks: Networks
    start: Start

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the targets."""
        return self.data[0][0].image_shape

    def losses(self) -> Losses:
        """Outputs and distances."""
        return Losses(self.modules, self.inputs, self.hyper, self.networks)

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("pix2pixhd", 1, make_step(self.losses()))]

    def constants(self) -> tuple[Any, ...]:
        """Weights of the frozen networks."""
        return (self.networks.variables(),)

    def init(self, key: jax.Array) -> TranslatorState:
        """Fresh networks and empty optimisers."""
        height, width, channels = self.image_shape
        examples = _examples(self.modules, (height, width))
        behind = self.modules.d.input_channels
        return init_state(
            self.modules,
            make_optimiser(),
            key,
            inputs={
                name: tuple(jnp.zeros(x.shape, x.dtype) for x in given)
                for name, given in examples.items()
            },
            pool=(self.hyper.pool_size, height, width, behind),
        )

    def adopt(self, state: TranslatorState) -> TranslatorState:
        """The networks that a run starts from, instead of fresh ones."""
        return self.start.adopt(state)

    def end_step(self, state: TranslatorState) -> TranslatorState:
        """Moves the averaged networks and the counters."""
        return end_step(state, self.hyper)

    def batch_shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """The pictures of a pair."""
        item = self.data[0][0][0]
        return {name: (value.shape, value.dtype) for name, value in item.items()}

    def begun_with(self) -> dict[str, tuple[Any, str]]:
        """Model files, and what shapes the state."""
        found = begun_from(self.start.provenance, STARTS)
        size = self.hyper.pool_size
        found["pool_size"] = (size, f"loss.pool_size={size}")
        kind = self.hyper.gan
        found["gan"] = (kind, f"loss.gan={kind}")
        # Arrays of equal shapes that mean something else.
        sections = {
            "model": ("generator", "upsampling", "norm"),
            "data": ("source", "target", "second", "source_labels", "instances"),
        }
        for section, names in sections.items():
            for name in names:
                value = self.config[section][name]
                found[f"{section}.{name}"] = (value, f"{section}.{name}={value}")
        return found

    def introduction(self, state: TranslatorState) -> list[str]:
        """Sizes, losses, and how pairs are distorted."""
        count = parameter_overview.count_parameters
        names = {G: "generator", D: "discriminator", E: "encoder of instances"}
        sizes = ", ".join(
            f"{names[name]} {count(state.params[name]) / 1e6:.2f} M"
            for name in self.modules.all()
        )
        weights = ", ".join(f"{v:g} {k}" for k, v in self.hyper.weights.items())
        hyper = self.hyper
        lines = [
            f"{sizes} parameters",
            f"losses ({hyper.gan}): {weights}; rate {hyper.learning_rate:g}, falling "
            f"to 0 over the last {hyper.decay / 1000:g} kimg",
        ]
        if self.inputs.distortion.moves or self.inputs.distortion.damages:
            lines.append(f"pairs: {self.inputs.distortion.describe()}")
        if not self.held_out:
            lines.append(
                "note: no pairs are held out (data.held_out=0): nothing tells whether "
                "the student only knows its training pairs"
            )
        return lines

    def observer(self, workdir: Path) -> Observer:
        """Grids of source, target and output; distances of the held-out pairs."""
        # It looks at runs, so it cannot stand above what a run is.
        from stylegan_jax.training.pix2pixhd.observer import TranslatorObserver

        return TranslatorObserver(self, workdir)


def build_run(
    config: ConfigDict,
    workdir: Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> TranslatorRun:
    """Opens networks and pairs, derives the numbers, makes the modules.

    Args:
        config: as ``experiment.load_config`` gives it.
        workdir: the run's folder.
        devices: what to run on; None for all there are.
        progress: show a bar while pictures are read.

    Raises:
        UserError: for unusable pairs or models, and missing weights.
        UsageError: for a configuration that cannot be run.
    """
    presets.check(config)
    if smoke.is_wanted(config):
        config = smoke.fill(config, workdir)
    start = open_start(config)
    mesh = spmd.make_mesh(devices)
    config = presets.resolve(start.fill(config), mesh.size)
    pairs = open_pairs(config, progress=progress)
    side = pairs[0][0].image_shape[0]
    wanted, switches = presets.networks_of(config)
    networks = open_networks(wanted, switches, side)
    inputs = make_inputs(config)
    modules = make_modules(config, inputs)
    _check_modules(modules, side)
    start.check(modules.all())
    if config.loss.blind_spot > side:
        raise UsageError(
            f"loss.blind_spot={config.loss.blind_spot} does not fit into pictures of "
            f"{side} pixels."
        )
    data, held_out = hold_out(pairs, config.data.held_out)
    check_enough(data, config.train.batch)
    accumulate = accumulation(config, mesh.size)
    return TranslatorRun(
        config=config,
        mesh=mesh,
        rows=spmd.batch_rows(config.train.batch, mesh.size * accumulate, 1),
        data=data,
        held_out=held_out,
        accumulate=accumulate,
        modules=modules,
        inputs=inputs,
        hyper=make_hyper(config, accumulate),
        networks=networks,
        start=start,
    )


def make_inputs(config: ConfigDict) -> Inputs:
    """What becomes of a batch, from a resolved configuration."""
    data = config.data
    return Inputs(
        labels=data.source_labels,
        second=data.second is not None,
        instances=data.instances,
        mirror=data.mirror,
        distortion=presets.distortion_of(config),
    )


def make_modules(config: ConfigDict, inputs: Inputs) -> Modules:
    """The networks of a resolved configuration."""
    model = config.model
    cls = GENERATORS[model.generator]
    fields = {name: model[name] for name in presets.G_FIELDS}
    own = {name: v for name, v in fields.items() if name in cls.__dataclass_fields__}
    e = None
    if model.feature_channels:
        e = InstanceEncoder(
            feature_channels=model.feature_channels,
            width=model.e_width,
            downsamplings=model.e_downsamplings,
            norm=model.norm,
            upsampling=model.upsampling,
        )
    return Modules(
        g=cls(input_channels=inputs.channels + model.feature_channels, **own),
        d=MultiscaleDiscriminator(
            input_channels=inputs.channels + 3,
            width=model.d_width,
            layers=model.d_layers,
            scales=model.d_scales,
            norm=model.norm,
        ),
        e=e,
    )


def make_hyper(config: ConfigDict, accumulate: int) -> TranslatorHyper:
    """Numbers of the step from a resolved configuration."""
    train, loss = config.train, config.loss
    return TranslatorHyper(
        batch=train.batch,
        weights=presets.weights_of(config),
        gan=loss.gan,
        vgg_normalise=loss.vgg_normalise,
        accumulate=accumulate,
        learning_rate=train.learning_rate,
        total=round(train.total_kimg * 1000),
        decay=round(train.decay_kimg * 1000),
        fix_global=round(train.fix_global_kimg * 1000),
        pool_size=loss.pool_size,
        blind_spot=loss.blind_spot,
        ema_kimg=config.ema.kimg,
        ema_rampup=config.ema.rampup,
    )


def _examples(modules: Modules, size: tuple[int, int]) -> dict[str, tuple[Any, ...]]:
    """Shapes of what every network takes, by name."""

    def pictures(channels: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((1, *size, channels), jnp.float32)

    found: dict[str, tuple[Any, ...]] = {
        G: (pictures(modules.g.input_channels),),
        D: (pictures(modules.d.input_channels),),
    }
    if modules.e is not None:
        numbers = jax.ShapeDtypeStruct((1, *size), jnp.int32)
        found[E] = (pictures(3), numbers)
    return found


def _check_modules(modules: Modules, side: int) -> None:
    """Refuses networks that cannot be, or that the pictures are too small for.

    Raises:
        UsageError: with the networks' own words.
        UserError: for pictures of another size than the networks can halve.
    """
    for name, module in modules.all().items():
        multiple = getattr(module, "multiple", 1)
        if side % multiple or side < max(4, 2 * multiple):
            raise UserError(
                f"the pictures have {side} pixels a side and this network takes "
                f"multiples of {multiple}, at least {max(4, 2 * multiple)}: set "
                "data.resolution, or a smaller model.downsamplings."
            )
        key = jax.eval_shape(lambda: jax.random.key(0))
        try:
            jax.eval_shape(module.init, key, *_examples(modules, (side, side))[name])
        except ValueError as error:
            raise UsageError(f"The section model makes no network: {error}") from error
