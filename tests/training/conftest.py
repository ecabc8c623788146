"""A tiny run: 16 px toy faces, a few channels, eight steps."""

from __future__ import annotations

import pytest

from stylegan_jax.data import toy
from stylegan_jax.training.experiment import load_config

TINY = (
    "--config.data.resolution=16",
    "--config.model.z_dim=8",
    "--config.model.w_dim=8",
    "--config.model.channel_base=64",
    "--config.model.channel_max=8",
    "--config.train.total_kimg=0.064",
    "--config.train.batch=8",
    "--config.train.tick_kimg=0.016",
    "--config.loss.g_reg_interval=2",
    "--config.loss.d_reg_interval=4",
    "--config.snapshot.every_kimg=0.032",
    "--config.snapshot.grid=4",
    "--config.eval.every_kimg=0",
)


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "photo"
    toy.write_toy(folder, style="photo", num=48, size=16, seed=0)
    return folder


@pytest.fixture(scope="session")
def tiny_words(faces):
    """The command line's words for a tiny run."""
    return (f"--config.data.path={faces}", *TINY)


@pytest.fixture
def tiny(tiny_words):
    """Makes a tiny run's configuration, with overrides like ``train.batch=16``."""

    def make(*words):
        extra = [f"--config.{w}" for w in words]
        return load_config("stylegan2_base:smoke", [*tiny_words, *extra])

    return make
