"""A tiny run: 32 px toy faces, ten layers of two channels, six steps."""

from __future__ import annotations

import pytest

from stylegan_jax.data import toy
from stylegan_jax.training.experiment import load_config

NUM = 40
TINY = (
    "--config.model.num_layers=10",
    "--config.model.width=2",
    "--config.model.input_size=32",
    "--config.data.attributes=smile,glasses:round|square",
    "--config.data.held_out=0.3",
    "--config.augment.shrink=()",
    "--config.train.batch=8",
    "--config.train.total_kimg=0.048",
    "--config.train.tick_kimg=0.016",
    "--config.train.warmup_kimg=0",
    "--config.train.schedule=constant",
    "--config.snapshot.every_kimg=0.024",
    "--config.snapshot.grid=4",
    "--config.eval.every_kimg=0.024",
    "--config.eval.num=12",
)


@pytest.fixture(scope="session")
def labelled_faces(tmp_path_factory):
    """Toy faces of 32 px and the table of their attributes."""
    folder = tmp_path_factory.mktemp("labelled") / "faces"
    toy.write_toy(folder, style="photo", num=NUM, size=32, seed=0)
    return folder


@pytest.fixture(scope="session")
def tiny_words(labelled_faces):
    """The command line's words for a tiny run."""
    return (f"--config.data.path={labelled_faces}", *TINY)


@pytest.fixture
def tiny(tiny_words):
    """Makes a tiny run's configuration, with overrides like ``train.batch=16``."""

    def make(*words):
        extra = [f"--config.{w}" for w in words]
        return load_config("attributes", [*tiny_words, *extra])

    return make
