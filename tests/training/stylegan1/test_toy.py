"""A real training on toy faces, 8 to 32 px: what a resolution brings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from training_runs import stats

from stylegan_jax import load
from stylegan_jax.data import toy

TRAIN, FADE = 12, 16


@pytest.mark.slow  # some fifteen minutes of real training
def test_every_resolution_brings_the_distance_down(tmp_path):
    faces, workdir = tmp_path / "faces", tmp_path / "run"
    toy.write_toy(faces, style="photo", num=2000, size=32, seed=0)
    command = os.path.join(os.path.dirname(sys.executable), "stylegan-jax")
    words = ["train", "--config", "stylegan1_toy", f"--config.data.path={faces}"]
    words += ["--config.train.total_kimg=60", "--workdir", str(workdir)]
    # A process of its own: tests compile without LLVM's optimisations.
    quick = {name: x for name, x in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run([command, *words], env=quick, check=True)
    lines = [line for line in stats(workdir) if "swd/mean" in line]
    mean = {round(line["kimg"]): line["swd/mean"] for line in lines}
    at_16 = {round(line["kimg"]): line["swd/16"] for line in lines}
    print("SWD by kimg:", {k: round(v, 1) for k, v in mean.items()})
    for begins in (TRAIN, 2 * TRAIN + FADE):
        # While a resolution comes in, it is worse for a while than the one below that
        # is trained: it counts once it is there, four kimg later.
        assert mean[begins + FADE + 4] < 0.95 * mean[begins]
    # The details that come in at 16 px are better with every kimg of the fade.
    assert at_16[TRAIN + FADE] < 0.9 * at_16[TRAIN]
    assert mean[60] < 45
    assert load(workdir).images(seeds=range(4)).std() > 30
