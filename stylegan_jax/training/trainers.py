"""Which trainer a configuration asks for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from stylegan_jax.errors import UsageError
from stylegan_jax.training.run import Run

# A configuration's ``trainer``: the module whose ``build_run`` makes its runs.
TRAINERS = {
    "stylegan2": "stylegan_jax.training.stylegan2.build",
    "psp": "stylegan_jax.training.psp.build",
    "pix2pixhd": "stylegan_jax.training.pix2pixhd.build",
    "attributes": "stylegan_jax.training.attributes.build",
    "facespace": "stylegan_jax.training.facespace.build",
}


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
