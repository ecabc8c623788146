"""Two processes with two devices each do what one device does."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import numpy as np

from stylegan_jax import load
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.loop import train


def test_two_processes_agree_with_one_device(tiny_words, repo_root, tmp_path):
    # Four devices in whole groups of four: 16 images a step.
    words = [*tiny_words, "--config.train.batch=16", "--config.train.total_kimg=0.128"]
    env = dict(os.environ)
    env["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    env["STYLEGAN_JAX"] = os.path.join(os.path.dirname(sys.executable), "stylegan-jax")
    config = ["--config", "stylegan2_base:smoke", "--workdir", str(tmp_path / "two")]
    done = subprocess.run(
        [
            str(repo_root / "launch" / "local.sh"),
            *["2", "--devices-per-process", "2", "--", "train", *config, *words],
        ],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "on 4 cpu device(s) in 2 process(es)" in done.stderr + done.stdout
    one = train(
        load_config("stylegan2_base:smoke", words),
        tmp_path / "one",
        devices=jax.devices()[:1],
        show_progress=False,
    )
    for part in ("g_ema", "g", "d"):
        ours = load(tmp_path / "two", part=part).params
        theirs = load(tmp_path / "one", part=part).params
        # Eight Adam steps of 0.002 from gradients summed in another order.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
            ours,
            theirs,
        )
    assert one.nimg == 128
