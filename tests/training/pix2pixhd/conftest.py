"""A tiny pix2pixHD run: noisy 16 px squares and their negatives."""

from __future__ import annotations

import numpy as np
import pytest
from pair_files import write_pairs

from stylegan_jax.training.experiment import load_config

NUM = 24
TINY = (
    "--config.model.width=2",
    "--config.model.downsamplings=1",
    "--config.model.residual_blocks=1",
    "--config.model.d_width=2",
    "--config.model.d_layers=1",
    "--config.model.norm=instance",
    "--config.loss.l1_weight=20.0",
    "--config.train.learning_rate=0.001",
    "--config.data.resolution=16",
    "--config.data.held_out=0.34",
    "--config.train.batch=8",
    "--config.train.total_kimg=0.048",
    "--config.train.tick_kimg=0.016",
    "--config.snapshot.every_kimg=0.024",
    "--config.snapshot.grid=4",
    "--config.eval.every_kimg=0.024",
    "--config.eval.num=8",
)


@pytest.fixture(scope="session")
def negatives(tmp_path_factory):
    """Pairs of soft random pictures and their negatives."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (NUM, 4, 4, 3), np.uint8)
    pictures = coarse.repeat(4, 1).repeat(4, 2)
    folder = tmp_path_factory.mktemp("negatives") / "pairs"
    return write_pairs(folder, pictures, 255 - pictures)


@pytest.fixture(scope="session")
def tiny_words(negatives):
    """The command line's words for a tiny run."""
    return (f"--config.data.path={negatives}", *TINY)


@pytest.fixture
def tiny(tiny_words):
    """Makes a tiny run's configuration, with overrides like ``train.batch=16``."""

    def make(*words):
        extra = [f"--config.{w}" for w in words]
        return load_config("pix2pixhd_toy", [*tiny_words, *extra])

    return make
