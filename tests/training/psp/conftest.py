"""A tiny pSp run: a drawn 16 px decoder, its pairs, an encoder of a few channels."""

from __future__ import annotations

import numpy as np
import pytest
from pair_files import write_pairs
from tiny_models import save_tiny, tiny_generator

from stylegan_jax import load
from stylegan_jax.training.experiment import load_config

NUM = 24
TINY = (
    # The pyramid's heads take three quarters of the time to compile.
    "--config.model.encoder_type=BackboneEncoderUsingLastLayerIntoWPlus",
    "--config.model.num_layers=18",
    "--config.model.width=2",
    "--config.model.input_size=32",
    "--config.data.held_out=0.34",
    "--config.train.batch=8",
    "--config.train.total_kimg=0.048",
    "--config.train.tick_kimg=0.016",
    "--config.train.optimiser=ranger",
    "--config.snapshot.every_kimg=0.024",
    "--config.snapshot.grid=4",
    "--config.eval.every_kimg=0.024",
    "--config.eval.num=8",
)


@pytest.fixture(scope="session")
def decoder(tmp_path_factory):
    """The file of a generator of 16 px pictures."""
    path = tmp_path_factory.mktemp("decoder") / "g.safetensors"
    return save_tiny(path, *tiny_generator())


@pytest.fixture(scope="session")
def pairs(decoder, tmp_path_factory):
    """Pairs of the decoder's pictures and their negatives."""
    pictures = load(decoder).images(seeds=range(NUM), truncation_psi=0.5)
    folder = tmp_path_factory.mktemp("pairs") / "pairs"
    return write_pairs(folder, 255 - np.asarray(pictures), np.asarray(pictures))


@pytest.fixture(scope="session")
def tiny_words(decoder, pairs):
    """The command line's words for a tiny run."""
    return (
        f"--config.data.path={pairs}",
        f"--config.init.decoder={decoder}",
        *TINY,
    )


@pytest.fixture
def tiny(tiny_words):
    """Makes a tiny run's configuration, with overrides like ``train.batch=16``."""

    def make(*words):
        extra = [f"--config.{w}" for w in words]
        return load_config("psp_toy", [*tiny_words, *extra])

    return make
