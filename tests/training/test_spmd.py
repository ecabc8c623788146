"""How a batch lies over devices, and the wrapper of steps."""

from __future__ import annotations

import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding

from stylegan_jax.errors import UsageError
from stylegan_jax.training import spmd

groups = st.integers(1, 9)
shrinks = st.integers(1, 5)
shard_counts = st.integers(1, 12)
units_per_shard = st.integers(1, 4)


class TestBatchRows:
    @given(groups, shrinks, shard_counts, units_per_shard)
    @settings(deadline=None)
    def test_layout(self, group, shrink, shards, per_shard):
        unit = spmd.layout_unit(group, shrink)
        batch = unit * shards * per_shard
        rows = spmd.batch_rows(batch, shards, unit)
        assert sorted(rows) == list(range(batch))
        for shard in np.split(rows, shards):
            # The discriminator's local strided reshape: one column is one group.
            local = shard.reshape(group, -1)
            number = shard % (batch // group)
            assert np.all(number.reshape(group, -1) == number[: local.shape[1]])
            assert len(set(number)) == local.shape[1]  # no group twice: all are whole
            first = shard[: len(shard) // shrink]
            assert np.all(first < batch // shrink)

    def test_one_shard_is_the_batch_itself(self):
        np.testing.assert_array_equal(spmd.batch_rows(12, 1, 4), np.arange(12))

    def test_two_shards(self):
        rows = spmd.batch_rows(16, 2, 4)
        np.testing.assert_array_equal(rows[:8], [0, 1, 4, 5, 8, 9, 12, 13])
        np.testing.assert_array_equal(rows[8:], [2, 3, 6, 7, 10, 11, 14, 15])

    @given(st.integers(1, 100), st.integers(1, 16), st.integers(1, 9))
    @settings(deadline=None)
    def test_other_batches_are_refused_with_one_that_fits(self, batch, shards, unit):
        if batch % (shards * unit) == 0:
            return
        with pytest.raises(UsageError) as caught:
            spmd.batch_rows(batch, shards, unit)
        assert str(caught.value) == (
            f"A batch of {batch} cannot be split over {shards} shards (devices times "
            f"accumulation steps) in whole groups of {unit} images: make train.batch a "
            f"multiple of {unit * shards}, or use fewer devices or a larger "
            "train.batch_per_device."
        )

    @given(groups, shrinks)
    def test_unit_holds_whole_groups_and_halves(self, group, shrink):
        unit = spmd.layout_unit(group, shrink)
        assert unit == math.lcm(group, shrink)


class TestMesh:
    def test_all_devices_or_the_ones_given(self):
        assert spmd.make_mesh().size == jax.device_count()
        mesh = spmd.make_mesh(jax.devices()[:2])
        assert (mesh.size, mesh.axis_names) == (2, (spmd.AXIS,))

    def test_rows_of_one_process_are_all(self):
        rows = spmd.batch_rows(32, 4, 4)
        mesh = spmd.make_mesh(jax.devices()[:4])
        np.testing.assert_array_equal(spmd.local_rows(rows, mesh), rows)

    @pytest.mark.parametrize("process, parts", [(0, [0, 2]), (1, [1, 3])])
    def test_rows_of_a_process_follow_its_devices(self, monkeypatch, process, parts):
        owners = [types.SimpleNamespace(process_index=p) for p in (0, 1, 0, 1)]
        mesh = types.SimpleNamespace(devices=np.array(owners))
        monkeypatch.setattr(jax, "process_index", lambda: process)
        rows = spmd.batch_rows(32, 4, 4)
        expected = np.concatenate([np.split(rows, 4)[i] for i in parts])
        np.testing.assert_array_equal(spmd.local_rows(rows, mesh), expected)

    def test_to_devices_keeps_order_and_splits(self):
        mesh = spmd.make_mesh(jax.devices()[:4])
        image = np.arange(24).reshape(8, 3)
        out = spmd.to_devices(mesh, {"image": image})["image"]
        np.testing.assert_array_equal(out, image)
        shards = sorted(out.addressable_shards, key=lambda s: s.device.id)
        np.testing.assert_array_equal(shards[1].data, image[2:4])


def step(state, batch, key):
    """A step as the trainers write them: local loss, averaged gradient."""

    def loss(w):
        return jnp.mean(jnp.square(batch["x"] * w))

    gradient = spmd.mean(jax.grad(loss)(spmd.varying(state)))
    return state - gradient, {"size": spmd.mean(jnp.float32(batch["x"].shape[0]))}


class TestDataParallel:
    @pytest.mark.parametrize("devices", [1, 4])
    def test_averages_and_donates(self, devices):
        mesh = spmd.make_mesh(jax.devices()[:devices])
        x = np.arange(8.0, dtype=np.float32)
        state = jax.device_put(jnp.float32(0.5), NamedSharding(mesh, spmd.REPLICATED))
        batch = spmd.to_devices(mesh, {"x": x})
        run = spmd.data_parallel(step, mesh)
        after, metrics = run(state, batch, jax.random.key(0))
        # d/dw mean((x w)^2) = 2 w mean(x^2)
        np.testing.assert_allclose(after, 0.5 - np.mean(x**2), rtol=1e-6)
        assert metrics["size"] == 8 / devices
        assert after.is_fully_replicated
        assert state.is_deleted() and not batch["x"].is_deleted()


class TestJoinProcesses:
    NAMES = ("COORDINATOR", "NUM_PROCESSES", "PROCESS_ID")

    @pytest.fixture
    def join(self, monkeypatch):
        """Joins with these variables; returns what jax was told."""

        def run(*values):
            for name, value in zip(self.NAMES, values, strict=True):
                name = f"STYLEGAN_JAX_{name}"
                if value is None:
                    monkeypatch.delenv(name, raising=False)
                else:
                    monkeypatch.setenv(name, value)
            told = []
            monkeypatch.setattr(
                jax.distributed, "initialize", lambda *words: told.append(words)
            )
            spmd.join_processes()
            return told

        return run

    def test_a_single_process(self, join):
        assert join(None, None, None) == []
        assert join("", "", "") == []

    def test_several(self, join):
        assert join("localhost:1234", "2", "1") == [("localhost:1234", 2, 1)]

    @pytest.mark.parametrize(
        "values",
        [
            ("localhost:1234", None, None),
            (None, "2", "0"),
            ("localhost:1234", "2", None),
            ("localhost:1234", "two", "0"),
            ("localhost:1234", "2", "-1"),
            ("", "2", "0"),
        ],
    )
    def test_half_an_environment_is_refused(self, join, values):
        with pytest.raises(UsageError) as caught:
            join(*values)
        assert str(caught.value) == (
            "STYLEGAN_JAX_COORDINATOR (host:port), STYLEGAN_JAX_NUM_PROCESSES and "
            "STYLEGAN_JAX_PROCESS_ID (numbers) must be set together: start the run "
            "through launch/local.sh, or set all three."
        )

    def test_nothing_to_wait_for_in_one_process(self):
        spmd.wait_for_all("here")
