"""Helpers for tests of whole training runs."""

from __future__ import annotations

import json

import jax
import numpy as np

from stylegan_jax.training.loop import train

ONE = jax.devices()[:1]


def run(config, workdir, devices=ONE):
    """Trains, quietly."""
    return train(config, workdir, devices=devices, show_progress=False)


def stats(workdir):
    """The lines of a run's figures."""
    text = (workdir / "stats.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def same_bits(a, b):
    """Asserts that two trees are equal, bit for bit."""
    a, b = (jax.tree.leaves_with_path(jax.device_get(x)) for x in (a, b))
    assert [path for path, _ in a] == [path for path, _ in b]
    for (path, x), (_, y) in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))
