"""Which trainer a configuration asks for."""

from __future__ import annotations

import importlib

import pytest
from ml_collections import ConfigDict

from stylegan_jax.errors import UsageError
from stylegan_jax.training.trainers import TRAINERS, build_run


def test_unknown_trainers_are_refused(tmp_path):
    with pytest.raises(UsageError) as caught:
        build_run(ConfigDict({"trainer": "stylegan3"}), tmp_path)
    assert str(caught.value) == (
        "There is no trainer 'stylegan3', choose stylegan2, stylegan1, psp, "
        "pix2pixhd, attributes or facespace."
    )


@pytest.mark.parametrize("module", TRAINERS.values())
def test_every_trainer_builds_runs(module):
    assert callable(importlib.import_module(module).build_run)
