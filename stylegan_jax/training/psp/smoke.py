"""What a smoke run of pSp makes itself: a small untrained generator, and toy pairs."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.models.stylegan2 import Generator
from stylegan_jax.training import spmd
from stylegan_jax.training.toy_pairs import write_toy_pairs


def is_wanted(config: ConfigDict) -> bool:
    """Whether a run asks for toys, and names neither pairs nor networks."""
    init, data = config.init, config.data
    named = (data.path, init.decoder, init.model)
    return data.toy and not any(x is not None for x in named)


def fill(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Makes what is missing in ``data/`` of the run's folder, and names it."""
    config = config.copy_and_resolve_references()
    folder = workdir / "data"
    decoder, pairs = folder / "toy_decoder.safetensors", folder / "toy_pairs"
    if jax.process_index() == 0:
        if not decoder.is_file():
            write_toy_generator(decoder)
        if not pairs.is_dir():
            write_toy_pairs(pairs, labels=config.data.source_labels)
    spmd.wait_for_all("toy pairs")
    config.init.decoder = str(decoder)
    config.data.path = str(pairs / "B" if config.data.reconstruct else pairs)
    return config


def write_toy_generator(path: Path) -> None:
    """Writes an untrained StyleGAN2 generator of 32 px."""
    module = Generator(
        num_blocks=4, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256,
        channel_max=16,
    )  # fmt: skip
    key = jax.random.key(0)
    variables = module.init(key, jnp.zeros((1, 16)), jnp.zeros((1, 0)))
    save_model(
        path,
        jax.device_get(variables),
        family="stylegan2.generator",
        config=config_of(module),
        provenance={"made_by": "a smoke run; untrained"},
        licence="CC0",
    )
