"""A tiny run: four toy faces of 16 pixels in a generator of a few thousand numbers."""

from __future__ import annotations

import pytest
from facespace_files import draw_faces, save_generator

from stylegan_jax.training.experiment import load_config


@pytest.fixture(scope="session")
def generator_file(tmp_path_factory):
    return save_generator(tmp_path_factory.mktemp("generator") / "g.safetensors")


@pytest.fixture(scope="session")
def four_faces(tmp_path_factory):
    """Pictures 0.png to 3.png."""
    return draw_faces(tmp_path_factory.mktemp("four") / "faces", 4)


@pytest.fixture(scope="session")
def tiny(generator_file, four_faces):
    """The configuration of a run of 6 steps, with further words."""

    def make(*words):
        return load_config(
            "facespace",
            [
                f"--config.{word}"
                for word in (
                    f"init.model={generator_file}",
                    f"data.path={four_faces}",
                    "model.features=8,8",
                    "train.epochs=2",
                    "train.batch=4",
                    "loss.feature=pyramid",
                    "loss.blend_weight=0",
                    "loss.pull_weight=0",
                    *words,
                )
            ],
        )

    return make
