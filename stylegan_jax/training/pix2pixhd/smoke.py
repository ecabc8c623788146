"""What a smoke run of pix2pixHD makes itself: toy pairs, and a small global stage."""

from __future__ import annotations

from pathlib import Path

import jax
from ml_collections import ConfigDict

from stylegan_jax.training import spmd
from stylegan_jax.training.toy_pairs import write_toy_pairs


def is_wanted(config: ConfigDict) -> bool:
    """Whether a run asks for toys, and names no pairs."""
    return config.data.toy and config.data.path is None


def fill(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Makes toy pairs in ``data/`` of the run's folder where needed, and names them."""
    config = config.copy_and_resolve_references()
    pairs = workdir / "data" / "toy_pairs"
    if jax.process_index() == 0 and not pairs.is_dir():
        write_toy_pairs(
            pairs,
            labels=config.data.source_labels,
            second=config.data.second is not None,
            instances=config.data.instances,
        )
    spmd.wait_for_all("toy pairs")
    config.data.path = str(pairs)
    return config
