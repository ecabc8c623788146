"""Which trainer a configuration asks for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from stylegan_jax.errors import UsageError
from stylegan_jax.training.run import Run
from stylegan_jax.training.stylegan1 import presets as growing

# A configuration's ``trainer``: the module whose ``build_run`` makes its runs.
TRAINERS = {
    "stylegan2": "stylegan_jax.training.stylegan2.build",
    "stylegan1": "stylegan_jax.training.stylegan1.build",
    "psp": "stylegan_jax.training.psp.build",
    "pix2pixhd": "stylegan_jax.training.pix2pixhd.build",
    "attributes": "stylegan_jax.training.attributes.build",
    "facespace": "stylegan_jax.training.facespace.build",
}
# Those that learn pictures alone: where only shapes matter, blank ones will do.
OF_PICTURES = ("stylegan2", "stylegan1")
# At least the largest batch that StyleGAN2's trainer derives.
_DERIVED_BATCH = 64


def build_run(
    config: ConfigDict,
    workdir: Path,
    *,
    devices: Sequence[jax.Device] | None = None,
    progress: bool = True,
) -> Run:
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
    name = config.get("trainer")
    if name not in TRAINERS:
        *first, last = TRAINERS
        raise UsageError(
            f"There is no trainer '{name}', choose {', '.join(first)} or {last}."
        )
    module = importlib.import_module(TRAINERS[name])
    return module.build_run(config, workdir, devices=devices, progress=progress)


def enough_pictures(config: ConfigDict, height: int, width: int, devices: int) -> int:
    """How many pictures suffice for every batch of a trainer `OF_PICTURES`.

    Raises:
        UsageError: for a configuration that cannot be run.
    """
    if config.trainer == "stylegan1":
        resolved = growing.resolve(config, height, width, devices)
        schedule = growing.schedule_of(resolved, height, width)
        return max(stage.batch for stage in schedule)
    return max(config.train.batch or _DERIVED_BATCH, devices)
