"""From a configuration to the parts of a run that trains an attribute network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview
from ml_collections import ConfigDict

from stylegan_jax.data import toy
from stylegan_jax.data.attribute_labels import Attribute
from stylegan_jax.data.attribute_pictures import open_labelled
from stylegan_jax.data.mixture import Weighted, hold_out, parse_paths
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.models.attributes import BINARY, AttributeNet
from stylegan_jax.training import spmd
from stylegan_jax.training.attributes import presets
from stylegan_jax.training.attributes.start import Start, open_start
from stylegan_jax.training.attributes.state import AttributeState, init_state
from stylegan_jax.training.attributes.steps import (
    AttributeHyper,
    balanced,
    end_step,
    make_optimiser,
    make_step,
)
from stylegan_jax.training.pictures import accumulation, check_enough, parse_path
from stylegan_jax.training.run import Observer, Phase, Run
from stylegan_jax.training.snapshots import begun_from

TOYS = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttributeRun(Run):
    """The parts of a run.

    Attributes:
        module: the network.
        hyper: numbers of the step.
        start: the body that it starts from; None for fresh weights.
    """

    SHOWN = ("loss/attributes",)
    RARE = ("val/loss",)
    REMEDY = "a lower train.learning_rate, or a longer train.warmup_kimg"

    module: AttributeNet
    hyper: AttributeHyper
    start: Start | None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the network's input."""
        return self.module.input_shape

    def phases(self) -> list[Phase]:
        """The one phase."""
        return [Phase("attributes", 1, make_step(self.module, self.hyper))]

    def init(self, key: jax.Array) -> AttributeState:
        """A fresh network and an empty optimiser."""
        return init_state(self.module, make_optimiser(self.hyper), key)

    def adopt(self, state: AttributeState) -> AttributeState:
        """The body of ``init.backbone`` instead of a fresh one."""
        return state if self.start is None else self.start.adopt(state)

    def end_step(self, state: AttributeState) -> AttributeState:
        """Moves the averaged network and the counters."""
        return end_step(state, self.hyper)

    def batch_shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Pictures and their values."""
        shape = self.data[0][0].image_shape
        count = len(self.module.names)
        return {"image": (shape, jnp.uint8), "values": ((count,), jnp.float32)}

    def begun_with(self) -> dict[str, tuple[Any, str]]:
        """What is learnt, and the body that it started from."""
        own = self.module
        kinds = [f"{n}:{k}" for n, k in zip(own.names, own.kinds, strict=True)]
        scale = [list(own.means), list(own.stds)]
        found: dict[str, tuple[Any, str]] = {
            "attributes": (kinds, f"data.attributes={','.join(kinds)}"),
            "scale": (scale, f"values of the means and deviations {scale}"),
        }
        origins = {}
        if self.start is not None:
            sha256 = self.start.source["sha256"]
            origins["init.backbone"] = {"file": self.start.name, "sha256": sha256}
        return found | begun_from(origins, ["init.backbone"])

    def introduction(self, state: AttributeState) -> list[str]:
        """Sizes, and what the values of the pictures are."""
        own = self.module
        size = parameter_overview.count_parameters(state.params)
        lines = [f"ResNet-{own.num_layers} of {size / 1e6:.2f} M parameters"]
        values = training_values(self.data)
        for a, (name, kind) in enumerate(zip(own.names, own.kinds, strict=True)):
            if kind == BINARY:
                lines.append(f"{name}: {values[:, a].mean():.1%} of the pictures")
            else:
                mean, std = own.means[a], own.stds[a]
                lines.append(f"{name}: mean {mean:g}, deviation {std:g}")
        if not self.held_out:
            lines.append(
                "note: no pictures are held out (data.held_out=0): nothing tells "
                "whether the network only knows its training pictures"
            )
        return lines

    def observer(self, workdir: Path) -> Observer:
        """Grids of pictures with readings; figures of the held-out pictures."""
        # It looks at runs, so it cannot stand above what a run is.
        from stylegan_jax.training.attributes.observer import AttributeObserver

        return AttributeObserver(self, workdir)


def build_run(
    config: ConfigDict,
    workdir: Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> AttributeRun:
    """Opens pictures and their attributes, derives the numbers, makes the module.

    Args:
        config: as ``experiment.load_config`` gives it.
        workdir: the run's folder; converted pictures are kept in its ``data/``.
        devices: what to run on; None for all there are.
        progress: show a bar while pictures are read.

    Raises:
        UserError: for unusable pictures, labels or weights.
        UsageError: for a configuration that cannot be run.
    """
    presets.check(config)
    start = open_start(config.init.backbone)
    mesh = spmd.make_mesh(devices)
    config = presets.resolve(config, mesh.size)
    pictures, attributes = open_pictures(config, workdir, progress=progress)
    data, held_out = hold_out(pictures, config.data.held_out)
    check_enough(data, config.train.batch)
    values = training_values(data)
    module = make_module(config, attributes, values)
    _check_module(module, start)
    accumulate = accumulation(config, mesh.size)
    return AttributeRun(
        config=config,
        mesh=mesh,
        rows=spmd.batch_rows(config.train.batch, mesh.size * accumulate, 1),
        data=data,
        held_out=held_out,
        accumulate=accumulate,
        module=module,
        hyper=make_hyper(config, module, values, accumulate),
        start=start,
    )


def open_pictures(
    config: ConfigDict, workdir: Path, *, progress: bool
) -> tuple[Weighted, tuple[Attribute, ...]]:
    """Opens the training pictures; a smoke run without a path draws toy faces.

    Raises:
        UserError: unusable pictures or labels, or sets of other kinds of values.
        UsageError: no path.
    """
    section = config.data
    path = section.path
    if path is None:
        path = _toy_faces(config, workdir)
    wanted = presets.attributes_of(config)
    opened: Weighted = []
    for name, weight in parse_paths(parse_path(path)):
        pictures = open_labelled(
            name,
            attributes=wanted,
            labels=section.labels,
            resolution=section.resolution,
            skip_unlabelled=section.skip_unlabelled,
            skip_broken=section.skip_broken,
            cache_dir=workdir / "data",
            progress=progress,
        )
        opened.append((pictures, weight))
        if pictures.attributes != opened[0][0].attributes:  # type: ignore[attr-defined]
            said = ", ".join(f"{a.name}:{a.kind}" for a in pictures.attributes)
            raise UserError(
                f"{name} has {said}, and the set before it values of other kinds: say "
                "the kinds in --config.data.attributes."
            )
    return opened, opened[0][0].attributes  # type: ignore[attr-defined]


def training_values(data: Weighted) -> np.ndarray:
    """The values of all pictures, float64 [N, A]."""
    sets: list[Any] = [pictures for pictures, _ in data]
    return np.concatenate([pictures.values for pictures in sets]).astype(np.float64)


def make_module(
    config: ConfigDict, attributes: Sequence[Attribute], values: np.ndarray
) -> AttributeNet:
    """The network of a resolved configuration.

    Args:
        config: resolved.
        attributes: names and kinds.
        values: [N, A] of the pictures that are trained on.

    Raises:
        UserError: attributes that are the same in every picture.
    """
    same = [a.name for i, a in enumerate(attributes) if np.ptp(values[:, i]) == 0]
    if same:
        raise UserError(
            f"all pictures that are trained on have the same {', '.join(same)}: there "
            "is nothing to learn, leave it out of --config.data.attributes."
        )
    means, stds = [], []
    for i, attribute in enumerate(attributes):
        binary = attribute.kind == BINARY
        # Few digits: they are written into the model file.
        means.append(0.0 if binary else float(f"{values[:, i].mean():.6g}"))
        stds.append(1.0 if binary else float(f"{values[:, i].std():.6g}"))
    model = config.model
    return AttributeNet(
        names=tuple(a.name for a in attributes),
        kinds=tuple(a.kind for a in attributes),
        means=tuple(means),
        stds=tuple(stds),
        num_layers=model.num_layers,
        width=model.width,
        input_size=model.input_size,
        # What differs between left and right must not be read off a mirror image.
        mirrored=config.augment.mirror,
        read_share=model.read_share,
        read_drop=model.read_drop,
    )


def make_hyper(
    config: ConfigDict, module: AttributeNet, values: np.ndarray, accumulate: int
) -> AttributeHyper:
    """Numbers of the step from a resolved configuration."""
    train = config.train
    return AttributeHyper(
        batch=train.batch,
        total=round(train.total_kimg * 1000),
        balance=balanced(values, module.kinds, config.loss.balance),
        number_loss=config.loss.number,
        jitter=presets.jitter_of(config),
        accumulate=accumulate,
        learning_rate=train.learning_rate,
        schedule=train.schedule,
        warmup=round(train.warmup_kimg * 1000),
        weight_decay=train.weight_decay,
        ema_kimg=config.ema.kimg,
        ema_rampup=config.ema.rampup,
    )


def _toy_faces(config: ConfigDict, workdir: Path) -> Path:
    """The toy faces of a smoke run, drawn where they are not there yet.

    Raises:
        UsageError: this is no smoke run, so pictures are missing.
    """
    if not config.data.toy:
        raise UsageError(
            "There are no pictures to train on: say where they are with "
            "--config.data.path=FOLDER, and where their attributes are with "
            "--config.data.labels=FILE.csv (or utkface)."
        )
    side = config.data.resolution
    folder = workdir / "data" / f"toy{side}"
    if not folder.is_dir() and jax.process_index() == 0:
        toy.write_toy(folder, style="photo", num=TOYS, size=side, seed=0)
    spmd.wait_for_all("toy faces")
    return folder


def _check_module(module: AttributeNet, start: Start | None) -> None:
    """Refuses a configuration that makes no network, and a body that does not fit.

    Raises:
        UsageError: with the module's own words.
        UserError: as `Start.check`.
    """
    picture = jax.ShapeDtypeStruct((1, *module.input_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    try:
        shapes: Any = jax.eval_shape(module.init, key, picture)
    except ValueError as error:
        raise UsageError(f"The section model makes no network: {error}") from error
    if start is not None:
        start.check(shapes, module)
