"""Two processes with two devices each do what one device does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from stylegan_jax import load
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.loop import train


def launch(repo_root, workdir, words):
    """Two processes of ``train`` with two CPU devices each."""
    env = dict(os.environ)
    env["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    env["STYLEGAN_JAX"] = os.path.join(os.path.dirname(sys.executable), "stylegan-jax")
    script = str(repo_root / "launch" / "local.sh")
    config = ["--config", "stylegan2_base:smoke", "--workdir", str(workdir)]
    return subprocess.Popen(
        [script, "2", "--devices-per-process", "2", "--", "train", *config, *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow  # three trainings, two of them in processes of their own
def test_two_processes_agree_with_one_device(tiny_words, repo_root, tmp_path):
    # Four devices in whole groups of four: 16 images a step.
    words = [*tiny_words, "--config.train.batch=16", "--config.train.total_kimg=0.128"]
    launched = launch(repo_root, tmp_path / "two", words)
    said, _ = launched.communicate(timeout=300)
    assert launched.returncode == 0, said
    assert "on 4 cpu device(s) in 2 process(es)" in said
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


@pytest.mark.slow
def test_sigterm_stops_all_processes_at_one_step(tiny_words, repo_root, tmp_path):
    more = ["train.batch=16", "train.total_kimg=50", "snapshot.every_kimg=100"]
    words = [*tiny_words, *(f"--config.{w}" for w in more)]
    launched = launch(repo_root, tmp_path, words)
    until = time.monotonic() + 200
    while not (tmp_path / "stats.jsonl").exists():
        assert launched.poll() is None, launched.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.1)
    launched.send_signal(signal.SIGTERM)
    said, _ = launched.communicate(timeout=120)
    assert launched.returncode == 128 + signal.SIGTERM, said
    assert "everything is saved" in said
    saved = [p for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()]
    assert len(saved) == 1 and 0 < int(saved[0].name) < 3125
