"""From a configuration to the parts of a pSp run."""

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
from stylegan_jax.losses.encoder import inner_face
from stylegan_jax.models.psp import PSP
from stylegan_jax.training import spmd
from stylegan_jax.training.networks import Networks, open_networks
from stylegan_jax.training.pictures import accumulation, check_enough
from stylegan_jax.training.psp import presets, smoke
from stylegan_jax.training.psp.pairs import compared_side, open_pairs
from stylegan_jax.training.psp.start import STARTS, Start, open_start, psp_module
from stylegan_jax.training.psp.state import EncoderState, init_state
from stylegan_jax.training.psp.steps import (
    EncoderHyper,
    Losses,
    end_step,
    make_optimiser,
    make_step,
)
from stylegan_jax.training.run import Observer, Phase, Run
from stylegan_jax.training.snapshots import begun_from


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderRun(Run):
    """The parts of a pSp run.

    Attributes:
        psp: encoder and decoder.
        hyper: numbers of the step.
        networks: frozen networks that losses look through.
        start: the networks that it starts from.
    """

    SHOWN = ("loss/psp", "loss/l2")
    RARE = ("val/loss", "val/l2", "val/l2_ratio", "val/lpips", "val/identity")
    REMEDY = "a lower train.learning_rate, or smaller weights in the section loss"

    psp: PSP
    hyper: EncoderHyper
    networks: Networks
    start: Start

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the decoder's pictures."""
        return self.psp.image_shape

    def losses(self) -> Losses:
        """Inputs, outputs and distances."""
        return Losses(self.psp, self.hyper, self.networks)

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("psp", 1, make_step(self.losses()))]

    def constants(self) -> tuple[Any, ...]:
        """Weights of the frozen networks."""
        return (self.networks.variables(),)

    def init(self, key: jax.Array) -> EncoderState:
        """A fresh model and an empty optimiser."""
        return init_state(
            self.psp,
            make_optimiser(self.hyper),
            key,
            train_decoder=self.hyper.train_decoder,
        )

    def adopt(self, state: EncoderState) -> EncoderState:
        """The decoder, and the encoder where one is given, instead of fresh ones."""
        return self.start.adopt(state, self.psp)

    def end_step(self, state: EncoderState) -> EncoderState:
        """Moves the averaged model and the counters."""
        return end_step(state, self.hyper)

    def batch_shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """The pictures of a pair, or the one that is both."""
        item = self.data[0][0][0]
        names = [name for name in ("source", "target") if name in item]
        return {name: (item[name].shape, jnp.uint8) for name in names}

    def begun_with(self) -> dict[str, tuple[Any, str]]:
        """Model files, the optimiser, and what it trains."""
        found = begun_from(self.start.provenance, STARTS)
        config = self.config
        optimiser = config.train.optimiser
        found["optimiser"] = (optimiser, f"train.optimiser={optimiser}")
        trained = config.train.train_decoder
        found["train_decoder"] = (trained, f"train.train_decoder={trained}")
        return found

    def introduction(self, state: EncoderState) -> list[str]:
        """Sizes, what is compared, and the start's note."""
        count = parameter_overview.count_parameters
        decoder = count({**state.frozen, **state.params}["decoder"])
        trained = "trained" if self.hyper.train_decoder else "frozen"
        weights = ", ".join(f"{v:g} {k}" for k, v in self.hyper.weights.items())
        lines = [
            f"encoder {count(state.params['encoder']) / 1e6:.2f} M, decoder "
            f"{decoder / 1e6:.2f} M parameters ({trained})",
            f"compared at {self.hyper.size} pixels: {weights}",
        ]
        if self.start.note:
            lines.append(self.start.note)
        if not self.held_out:
            lines.append(
                "note: no pairs are held out (data.held_out=0): nothing tells whether "
                "the encoder only knows its training pairs"
            )
        return lines

    def observer(self, workdir: Path) -> Observer:
        """Grids of source, target and output; distances of the held-out pairs."""
        # It looks at runs, so it cannot stand above what a run is.
        from stylegan_jax.training.psp.observer import EncoderObserver

        return EncoderObserver(self, workdir)


def build_run(
    config: ConfigDict,
    workdir: Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> EncoderRun:
    """Opens networks and pairs, derives the numbers, makes the module.

    Args:
        config: as ``experiment.load_config`` gives it.
        workdir: the run's folder; converted pictures are kept in its ``data/``.
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
    if start.psp is not None:
        config = _settle(config, start)
    _check_decoder(start)
    size = compared_side(config, start.decoder.image_shape[0])
    mesh = spmd.make_mesh(devices)
    config = presets.resolve(config, size, mesh.size)
    wanted, switches = presets.networks_of(config)
    networks = open_networks(wanted, switches, _lpips_side(config, size))
    _check_channels(config)
    psp = _checked_module(config, start)
    pairs = open_pairs(
        config,
        workdir,
        size=size,
        decoder_side=start.decoder.image_shape[0],
        progress=progress,
    )
    data, held_out = hold_out(pairs, config.data.held_out)
    check_enough(data, config.train.batch)
    accumulate = accumulation(config, mesh.size)
    return EncoderRun(
        config=config,
        mesh=mesh,
        rows=spmd.batch_rows(config.train.batch, mesh.size * accumulate, 1),
        data=data,
        held_out=held_out,
        accumulate=accumulate,
        psp=psp,
        hyper=make_hyper(config, size, accumulate),
        networks=networks,
        start=start,
    )


def _lpips_side(config: ConfigDict, size: int) -> int:
    """Side of the smallest pictures that LPIPS looks at."""
    if config.loss.lpips_crop_weight <= 0:
        return size
    shape = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(inner_face, shape).shape[1]


def make_hyper(config: ConfigDict, size: int, accumulate: int) -> EncoderHyper:
    """Numbers of the step from a resolved configuration."""
    train, data = config.train, config.data
    return EncoderHyper(
        batch=train.batch,
        size=size,
        weights=presets.weights_of(config),
        accumulate=accumulate,
        mirror=data.mirror,
        factors=presets.factors_of(config),
        labels=data.source_labels,
        noise_mode=train.noise_mode,
        learning_rate=train.learning_rate,
        optimiser=train.optimiser,
        train_decoder=train.train_decoder,
        ema_kimg=config.ema.kimg,
        ema_rampup=config.ema.rampup,
    )


def _settle(config: ConfigDict, start: Start) -> ConfigDict:
    """Fills in what the whole pSp that a run starts from decides.

    Raises:
        UserError: the decoder of ``init.decoder`` does not take its latents.
    """
    assert start.psp is not None
    config = config.copy_and_resolve_references()
    module = start.psp.module
    for name in presets.MODEL_OF_PSP:
        config.model[name] = getattr(module, name)
    own, given = start.psp.decoder.module, start.decoder.module
    if (own.num_ws, own.w_dim) != (given.num_ws, given.w_dim):
        raise UserError(
            f"init.decoder takes latents [{given.num_ws}, {given.w_dim}] and the "
            f"encoder of init.model gives [{own.num_ws}, {own.w_dim}]: give a "
            "generator of the same size, such as a blend of init.model's decoder."
        )
    return config


def _check_decoder(start: Start) -> None:
    module = start.decoder.module
    if module.c_dim:
        raise UserError(
            f"init.decoder draws {module.c_dim} classes, and pSp knows no labels: give "
            "a generator without labels."
        )
    height, width, channels = start.decoder.image_shape
    if height != width:
        raise UserError(
            f"init.decoder draws {height}x{width}, and pSp's encoder takes square "
            "pictures: give a square generator."
        )
    if channels != 3:
        raise UserError(
            f"init.decoder draws {channels} channels, and pairs are compared in RGB: "
            "give a generator of RGB pictures."
        )


def _check_channels(config: ConfigDict) -> None:
    """Refuses an encoder of other channels than the sources have."""
    data, channels = config.data, config.model.input_nc
    given = data.source_labels or data.source_channels
    if channels != given:
        key = "source_labels" if data.source_labels else "source_channels"
        raise UsageError(
            f"The encoder takes {channels} channels (model.input_nc, or init.model's) "
            f"and data.{key}={given}: make them agree."
        )


def _checked_module(config: ConfigDict, start: Start) -> PSP:
    """The module; a configuration that makes no encoder is refused now.

    Raises:
        UsageError: with the module's own words.
    """
    psp = psp_module(config, start)
    source = jax.ShapeDtypeStruct((1, *psp.input_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    try:
        shapes: Any = jax.eval_shape(psp.init, key, source)
    except ValueError as error:
        raise UsageError(f"The section model makes no pSp: {error}") from error
    if start.backbone is not None:
        start.check_backbone(shapes, config.init.backbone)
    return psp
