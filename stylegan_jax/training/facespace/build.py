"""From a configuration to the parts of a run that fits a face space."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict

from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.checkpoints.facespace_config import Faces, pose_vectors
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.data.mixture import Weighted
from stylegan_jax.errors import UsageError
from stylegan_jax.models.facespace import Encoder, FaceSpace
from stylegan_jax.training import spmd
from stylegan_jax.training.facespace import presets, smoke
from stylegan_jax.training.facespace.photos import Photos, open_photos
from stylegan_jax.training.facespace.start import Start, open_start
from stylegan_jax.training.facespace.state import (
    CODES,
    ENCODER,
    FaceSpaceState,
    init_state,
    start_at,
)
from stylegan_jax.training.facespace.steps import (
    FaceSpaceHyper,
    Losses,
    end_step,
    make_optimiser,
    make_step,
    with_constant,
)
from stylegan_jax.training.networks import Networks, open_networks
from stylegan_jax.training.pictures import accumulation, parse_path
from stylegan_jax.training.run import Observer, Phase, Run
from stylegan_jax.training.snapshots import begun_from
from stylegan_jax.training.updates import placed


@dataclasses.dataclass(frozen=True, kw_only=True)
class FaceSpaceRun(Run):
    """The parts of a run.

    Attributes:
        module: encoder and generator.
        hyper: numbers of the step.
        networks: frozen networks that losses look through.
        start: the generator.
        photos: what it is made of.
        notes: lines that a person should read.
    """

    SHOWN = ("loss/facespace", "loss/pixel")
    RARE = ("val/l2", "val/l2_worst", "val/l2_ratio")
    TO_GO_ON = "all its phases are done; another --workdir begins anew"
    REMEDY = "a lower train.learning_rate, or smaller weights in the section loss"

    module: FaceSpace
    hyper: FaceSpaceHyper
    networks: Networks
    start: Start
    photos: Photos
    notes: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the generator's pictures."""
        return self.start.generator.image_shape

    def phases(self) -> list[Phase]:
        """The one phase."""
        own = Losses(self.module, self.hyper, self.networks)
        return [Phase("facespace", 1, make_step(own))]

    def constants(self) -> tuple[Any, ...]:
        """Generator, frozen networks, fixed inputs and the mean latent."""
        return (
            {
                "generator": dict(self.start.generator.variables),
                "networks": self.networks.variables(),
                "inputs": jnp.asarray(self.inputs()),
                "w_avg": jnp.asarray(self.start.w_avg, jnp.float32),
            },
        )

    def inputs(self) -> np.ndarray:
        """[N, input_dim] float32: fixed inputs in the order of training."""
        number = len(self.photos)
        if self.photos.points is not None:
            return pose_vectors(self.photos.points, self.image_shape, 0.5)
        return np.eye(number, self.module.encoder.input_dim, dtype=np.float32)

    def init(self, key: jax.Array) -> FaceSpaceState:
        """A fresh encoder and empty optimisers."""
        return init_state(
            self.module.encoder,
            make_optimiser(),
            key,
            photos=len(self.photos),
            code_dim=self.hyper.code_dim,
        )

    def adopt(self, state: FaceSpaceState) -> FaceSpaceState:
        """The generator's mean latent as what the encoder gives at first."""
        new = start_at(state, self.module.encoder, self.start.w_avg)
        return placed(new, state)

    def end_step(self, state: FaceSpaceState) -> FaceSpaceState:
        """Moves the counters."""
        return end_step(state, self.hyper)

    def batch_shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Pictures and their numbers."""
        return {"image": (self.image_shape, jnp.uint8), "label": ((), jnp.int32)}

    def begun_with(self) -> dict[str, tuple[Any, str]]:
        """Generator, photos, network, phases and losses."""
        config, model = self.config, self.config.model
        encoder, line = self.module.encoder, self.hyper.timeline
        kind = [model.kind, model.space, encoder.input_dim, list(encoder.features)]
        phases = [line.steps, line.cycles, line.last, self.hyper.batch]
        prints = [dataset.fingerprint for dataset, _ in self.data]
        found: dict[str, tuple[Any, str]] = {
            "photos": (prints, f"these pictures in {config.data.path}"),
            "encoder": (kind, f"a space of {' '.join(map(str, kind))}"),
            "phases": (
                phases,
                f"train.epochs={config.train.epochs} and cycles={config.train.cycles}",
            ),
            "feature": (config.loss.feature, f"loss.feature={config.loss.feature}"),
        }
        names = ("learning_rate", "leaf_learning_rate", "anneal")
        numbers = {**self.hyper.weights, **{n: config.train[n] for n in names}}
        numbers["pixel_boost"] = config.loss.pixel_boost
        said = ", ".join(f"{name} {value}" for name, value in numbers.items())
        found["numbers"] = (
            [[name, value] for name, value in numbers.items()],
            f"the weights and rates {said}",
        )
        return found | begun_from({"init.model": self.start.origin}, ["init.model"])

    def introduction(self, state: FaceSpaceState) -> list[str]:
        """Sizes, losses, phases and notes."""
        count = parameter_overview.count_parameters(state.params)
        model, line = self.config.model, self.hyper.timeline
        own = self.module.encoder
        weights = ", ".join(f"{v:g} {k}" for k, v in self.hyper.weights.items())
        last = f", then {line.last} that look at pixels" if line.last else ""
        return [
            f"encoder {count / 1e6:.2f} M parameters from {model.kind} "
            f"[{own.input_dim}] to {model.space} [{own.num_ws}, {own.w_dim}]",
            f"losses: {weights}",
            f"{1 + line.cycles} phases of {line.steps} steps{last}",
            *self.notes,
        ]

    def observer(self, workdir: Path) -> Observer:
        """Photos above what is drawn of them, and how far they are apart."""
        # It looks at runs, so it cannot stand above what a run is.
        from stylegan_jax.training.facespace.observer import FaceSpaceObserver

        return FaceSpaceObserver(self, workdir)

    def model_of(self, state: FaceSpaceState) -> FaceSpaceModel:
        """The face space of a state, its photos in the order of their names."""
        state = jax.device_get(state)
        kind, codes = self.config.model.kind, self.inputs()
        if self.hyper.code_dim:
            codes = np.asarray(with_constant(jnp.asarray(state.params[CODES])))
        encoder = FaceSpaceEncoder(
            self.module.encoder, {"params": state.params[ENCODER]}
        )
        return FaceSpaceModel.join(
            encoder,
            self.start.generator,
            faces=Faces(self.photos.names, kind),
            codes=codes[self.photos.ranks].astype(np.float32),
            photos=self.photos.thumbnails(),
        )


def build_run(
    config: ConfigDict,
    workdir: Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> FaceSpaceRun:
    """Opens generator and photos, derives the numbers, makes the encoder's module.

    Args:
        config: as ``experiment.load_config`` gives it.
        workdir: the run's folder.
        devices: what to run on; None for all there are. As many are used as divide the
            batch.
        progress: show a bar while photos are read.

    Raises:
        UserError: for unusable photos or generators, and missing weights.
        UsageError: for a configuration that cannot be run.
    """
    presets.check(config)
    if smoke.is_wanted(config):
        config = smoke.fill(config, workdir)
    start = open_start(config.init.model)
    photos = _open_photos(config, start, progress=progress)
    side = min(start.generator.image_shape[:2])
    config, notes = presets.resolve(config, len(photos), side)
    mesh = spmd.make_mesh(_devices(config.train.batch, devices))
    networks = open_networks(*presets.networks_of(config), side)
    accumulate = accumulation(config, mesh.size)
    return FaceSpaceRun(
        config=config,
        mesh=mesh,
        rows=spmd.batch_rows(config.train.batch, mesh.size * accumulate, 1),
        data=cast(Weighted, [(photos, 1.0)]),  # its fields are frozen
        held_out=[],
        accumulate=accumulate,
        module=make_module(config, start, len(photos)),
        hyper=make_hyper(config, len(photos), accumulate),
        networks=networks,
        start=start,
        photos=photos,
        notes=(*photos.notes, *notes),
    )


def _open_photos(config: ConfigDict, start: Start, *, progress: bool) -> Photos:
    path = config.data.path
    if path is None:
        raise UsageError(
            "There are no photos to fit: say where they are with "
            "--config.data.path=FOLDER."
        )
    landmarks = config.data.landmarks if config.model.kind == "landmarks" else None
    height, width, _ = start.generator.image_shape
    return open_photos(
        parse_path(path), (height, width), landmarks=landmarks, progress=progress
    )


def _devices(batch: int, devices: Sequence[jax.Device] | None) -> list[jax.Device]:
    """The most devices that share a batch evenly.

    Raises:
        UsageError: several processes, some of which would have nothing to do.
    """
    found = list(jax.devices() if devices is None else devices)
    used = math.gcd(batch, len(found))
    if used < len(found) and jax.process_count() > 1:
        raise UsageError(
            f"A batch of {batch} photos cannot be shared by {len(found)} devices in "
            f"{jax.process_count()} processes: fit face spaces in one process."
        )
    return found[:used]


def make_module(config: ConfigDict, start: Start, photos: int) -> FaceSpace:
    """Encoder and generator of a resolved configuration."""
    generator = start.generator.module
    encoder = Encoder(
        input_dim=presets.input_dim(config, photos),
        features=presets.features_of(config, photos),
        num_ws=1 if config.model.space == "w" else generator.num_ws,
        w_dim=generator.w_dim,
    )
    return FaceSpace(encoder=encoder, generator=generator)


def make_hyper(config: ConfigDict, photos: int, accumulate: int) -> FaceSpaceHyper:
    """Numbers of the step from a resolved configuration."""
    train = config.train
    return FaceSpaceHyper(
        batch=train.batch,
        photos=photos,
        code_dim=config.model.code_dim if config.model.kind == "code" else 0,
        weights=presets.weights_of(config),
        timeline=presets.timeline_of(config, photos),
        learning_rate=train.learning_rate,
        leaf_learning_rate=train.leaf_learning_rate,
        accumulate=accumulate,
    )
