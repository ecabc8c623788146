"""Pairs as a user makes them: killed and resumed, and by two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from lively_models import lively_generator
from tiny_models import save_tiny

from stylegan_jax.pipelines.blend import Recipe, blend_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A narrow 64 px generator and its blend with another."""
    folder = tmp_path_factory.mktemp("models")
    module, variables = lively_generator(num_blocks=5)
    rng = np.random.default_rng(0)

    def other(tree):
        if isinstance(tree, dict):
            return {k: other(v) for k, v in tree.items()}
        return rng.standard_normal(np.shape(tree)).astype(np.float32)

    base = save_tiny(folder / "base.safetensors", module, variables)
    style = save_tiny(folder / "style.safetensors", module, other(variables))
    blend_models(base, style, folder / "blend.safetensors", recipe=Recipe(16))
    return ["--base", str(base), "--blend", str(folder / "blend.safetensors")]


def environment(devices):
    env = dict(os.environ)
    flag = "xla_force_host_platform_device_count"
    env["XLA_FLAGS"] = env["XLA_FLAGS"].replace(f"{flag}=8", f"{flag}={devices}")
    return env


def command(out, models, num, *words, devices=1):
    line = [sys.executable, "-m", "stylegan_jax", "pairs", str(out), *models]
    return subprocess.Popen(
        [*line, "--num", str(num), *words],
        env=environment(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    return said


def files_of(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def kill_when(process, condition):
    until = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until, "the command did not get there"
        time.sleep(0.005)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_1000_pairs_survive_kill_9(models, tmp_path):
    finish(command(tmp_path / "whole", models, 1000))
    cut = tmp_path / "cut"
    # In the middle of a chunk, twice; and with another number of devices between.
    for devices, pictures in ((1, 200), (4, 700)):
        process = command(cut, models, 1000, devices=devices)
        kill_when(process, lambda n=pictures: len(list(cut.glob("B/0*.png"))) >= n)
        assert not (cut / "manifest.jsonl").exists(), "it was over before"
    said = finish(command(cut, models, 1000, "--json"))
    assert 0 < json.loads(said)["drawn"] < 1000
    lines = [json.loads(x) for x in (cut / "manifest.jsonl").read_text().splitlines()]
    assert [x["index"] for x in lines] == list(range(1000))
    assert len({x["seed"] for x in lines}) == 1000
    assert files_of(cut) == files_of(tmp_path / "whole")


def test_two_processes_make_the_same_set(models, tmp_path, repo_root):
    finish(command(tmp_path / "one", models, 200))
    env = environment(1)
    env["STYLEGAN_JAX"] = os.path.join(os.path.dirname(sys.executable), "stylegan-jax")
    script = str(repo_root / "launch" / "local.sh")
    words = ["2", "--devices-per-process", "2", "--", "pairs", str(tmp_path / "two")]
    done = subprocess.run(
        [script, *words, *models, "--num", "200", "--curate"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    # The first process speaks for all.
    assert "two: 200 pairs" in done.stdout and "[1] note" not in done.stdout
    assert ", 128 drawn now" in done.stdout
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    same = [name for name in one if not name.startswith("manifest")]
    assert {name: two[name] for name in same} == {name: one[name] for name in same}
    assert two["manifest.jsonl"].count(b"\n") == 200
