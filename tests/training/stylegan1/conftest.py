"""A tiny run that grows from 8 to 16 px: two steps, a fade of four, four more."""

from __future__ import annotations

import pytest

from stylegan_jax.training.experiment import load_config

TINY = (
    "--config.data.resolution=16",
    "--config.model.z_dim=8",
    "--config.model.w_dim=8",
    "--config.model.mapping_layers=2",
    "--config.model.mapping_features=8",
    "--config.model.channel_base=64",
    "--config.model.channel_max=8",
    "--config.grow.start_resolution=8",
    "--config.grow.train_kimg=0.032",
    "--config.grow.fade_kimg=0.032",
    "--config.grow.batch=8:16,16:8",
    "--config.grow.learning_rate=8:0.003,16:0.002",
    "--config.train.total_kimg=0.096",
    "--config.train.tick_kimg=0.016",
    "--config.snapshot.every_kimg=10",
    "--config.snapshot.grid=4",
    "--config.eval.every_kimg=0",
)


@pytest.fixture(scope="session")
def growing(faces):
    """Makes a tiny run's configuration, with overrides like ``train.batch=16``."""

    def make(*words):
        extra = [f"--config.{w}" for w in words]
        path = f"--config.data.path={faces}"
        return load_config("stylegan1:smoke", [path, *TINY, *extra])

    return make
