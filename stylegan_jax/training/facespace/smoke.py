"""What a smoke run makes itself: toy faces, and a small untrained generator."""

from __future__ import annotations

from pathlib import Path

import jax
from ml_collections import ConfigDict

from stylegan_jax.data import toy
from stylegan_jax.training import spmd
from stylegan_jax.training.psp.smoke import write_toy_generator

NUM, SIDE = 8, 32


def is_wanted(config: ConfigDict) -> bool:
    """Whether a run asks for toys, and names neither photos nor a generator."""
    return config.data.toy and config.data.path is None and config.init.model is None


def fill(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Makes what is missing in ``data/`` of the run's folder, and names it."""
    config = config.copy_and_resolve_references()
    folder = workdir / "data"
    generator, faces = folder / "toy_generator.safetensors", folder / "toy_faces"
    if jax.process_index() == 0:
        if not generator.is_file():
            write_toy_generator(generator)
        if not faces.is_dir():
            toy.write_toy(faces, style="photo", num=NUM, size=SIDE, seed=0)
    spmd.wait_for_all("toy faces")
    config.init.model, config.data.path = str(generator), str(faces)
    return config
