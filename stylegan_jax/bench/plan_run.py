"""Builds the run that a plan is for, on devices that are not there and without data."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from PIL import Image

from stylegan_jax.data.images import MODES, check_channels
from stylegan_jax.errors import UsageError
from stylegan_jax.training import spmd
from stylegan_jax.training.pictures import parse_resolution
from stylegan_jax.training.run import Run
from stylegan_jax.training.stylegan2.finetune import open_parent
from stylegan_jax.training.trainers import OF_PICTURES, build_run, enough_pictures


def plan_run(
    config: ConfigDict,
    devices: Sequence[Any],
    folder: Path,
    *,
    images_per_device: int | None = None,
) -> Run:
    """Builds the run of a configuration as `train` would on these devices.

    Of a run of several stages it is the one to plan for. Only shapes matter: where no
    data set is given, blank pictures of the wanted size take its place.

    Args:
        config: as ``experiment.load_config`` gives it; not changed.
        devices: of a target.
        folder: an empty folder for blank pictures, to be removed afterwards.
        images_per_device: sets the global batch to so many images for every device.

    Raises:
        UserError: for what the run itself refuses.
        UsageError: the size of the pictures is not known.
    """
    config = config.copy_and_resolve_references()
    if images_per_device is not None:
        config.train.batch = images_per_device * len(devices)
        config.train.batch_per_device = None
    if config.data.path is None and config.trainer in OF_PICTURES:
        config.data.path = str(_blank_pictures(config, len(devices), folder))
    return build_run(config, folder, devices=devices, progress=False).planned()


def with_images(run: Run, images: int) -> Run:
    """The same run with so many images per device, all at a time."""
    batch = images * run.mesh.size
    config = run.config.copy_and_resolve_references()
    config.train.batch = batch
    config.train.batch_per_device = None
    return dataclasses.replace(
        run,
        config=config,
        rows=spmd.batch_rows(batch, run.mesh.size, run.unit),
        hyper=dataclasses.replace(run.hyper, batch=batch, accumulate=1),
        accumulate=1,
    )


def _blank_pictures(config: ConfigDict, devices: int, folder: Path) -> Path:
    """A folder of black pictures, enough for a batch."""
    data = config.data
    if data.labels:
        raise UsageError(
            "With data.labels=true the number of labels comes from the data: say where "
            "they are with --config.data.path=FOLDER."
        )
    check_channels(data.channels)
    height, width = _size(config)
    batch = enough_pictures(config, height, width, devices)
    number = math.ceil(batch / (1.0 - data.held_out)) + 1
    place = folder / "blank"
    place.mkdir()
    first = place / "0000.png"
    Image.new(MODES[data.channels], (width, height)).save(first)
    for index in range(1, number):
        shutil.copyfile(first, place / f"{index:04d}.png")
    return place


def _size(config: ConfigDict) -> tuple[int, int]:
    """(height, width) of the pictures that a run would train on."""
    size = parse_resolution(config.data.resolution)
    if size is None and config.init.get("model") is not None:
        parent = open_parent(config.init.model, fresh_d=config.init.fresh_d)
        height, width, _ = parent.image_shape
        size = (height, width)
    if size is None:
        raise UsageError(
            "A plan needs the size of the pictures: set --config.data.resolution=256, "
            "or --config.data.path=FOLDER."
        )
    return (size, size) if isinstance(size, int) else size
