"""Runs that are killed, as a user would type them; needs processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

WORDS = ["train", "--config", "stylegan2_base:smoke"]


def command(workdir, words):
    env = dict(os.environ)
    # One device, as on a laptop.
    env["XLA_FLAGS"] = env["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    line = [sys.executable, "-m", "stylegan_jax", *WORDS, "--workdir", str(workdir)]
    return subprocess.Popen(
        [*line, *words],
        env=env,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def finish(workdir, words):
    process = command(workdir, words)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    return err


def wait_for(condition, process, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until, "the run did not get there"
        time.sleep(0.02)


def checkpoints(workdir):
    return [p for p in (workdir / "checkpoints").glob("*") if p.name.isdigit()]


@pytest.fixture(scope="module")
def long_words(tiny_words):
    return [*tiny_words, "--config.train.total_kimg=2.4"]


@pytest.fixture(scope="module")
def whole(long_words, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    finish(workdir, long_words)
    return workdir


def models(workdir):
    return {
        p.name: p.read_bytes()
        for p in sorted((workdir / "models").glob("*-000002.safetensors"))
    }


@pytest.mark.slow
def test_kill_9_and_the_same_command_equal_an_uninterrupted_run(
    whole, long_words, tmp_path
):
    process = command(tmp_path, long_words)
    wait_for(lambda: len(checkpoints(tmp_path)) > 0, process)
    process.kill()
    process.wait()
    process.stderr.close()
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["nimg"] < 2400, "it was over before it was killed"
    said = finish(tmp_path, long_words)
    assert "going on at" in said
    assert models(tmp_path) == models(whole)
    assert len(models(whole)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_first(whole, long_words, tmp_path, number):
    # No snapshot before the end: what is saved is saved by the signal.
    words = [*long_words, "--config.snapshot.every_kimg=100"]
    process = command(tmp_path, words)
    wait_for(lambda: (tmp_path / "stats.jsonl").exists(), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert "everything is saved: run the same command" in err
    assert len(checkpoints(tmp_path)) == 1
    finish(tmp_path, words)
    assert models(tmp_path) == models(whole)
