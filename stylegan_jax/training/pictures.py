"""From the section ``data`` of a configuration to datasets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from stylegan_jax.data import check, toy
from stylegan_jax.data.mixture import Weighted, open_mixture
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training import spmd


def open_data(config: ConfigDict, workdir: Path, *, progress: bool) -> Weighted:
    """Opens the training pictures; a smoke run without a path draws toy faces."""
    section = config.data
    path = section.path
    if path is None:
        path = _toy_faces(config, workdir)
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


def _toy_faces(config: ConfigDict, workdir: Path) -> Path:
    """The toy faces of a smoke run, drawn where they are not there yet.

    Raises:
        UsageError: this is no smoke run, so pictures are missing.
    """
    if config.data.resolution is None or config.train.total_kimg > 2:
        raise UsageError(
            "There are no pictures to train on: say where they are with "
            "--config.data.path=FOLDER."
        )
    side = toy_side(config.data.resolution)
    folder = workdir / "data" / f"toy{side}"
    if not folder.is_dir() and jax.process_index() == 0:
        toy.write_toy(folder, style="photo", num=256, size=side, seed=0)
    spmd.wait_for_all("toy faces")
    return folder


def check_enough(pictures: Weighted, batch: int) -> None:
    """Refuses fewer pictures than a batch now, not after minutes of compiling.

    Raises:
        UserError: there are fewer.
    """
    num = available(pictures)
    if num < batch:
        names = " and ".join(d.name for d, _ in pictures)
        raise UserError(check.too_few(names, num, batch) + ".")


def available(data: Weighted) -> int:
    """Number of pictures in the data, without their mirror images."""
    return sum(dataset.num_images for dataset, _ in data)


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


def accumulation(config: ConfigDict, devices: int) -> int:
    """Parts that a device's share of the batch is processed in.

    Raises:
        UsageError: train.batch_per_device does not divide it.
    """
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
