"""One step is the same on any layout of devices and accumulation, and under pmap."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from stylegan_jax.models.stylegan2 import Discriminator, Generator
from stylegan_jax.training import spmd
from stylegan_jax.training.stylegan2 import steps as gan_steps
from stylegan_jax.training.stylegan2.state import init_state
from stylegan_jax.training.stylegan2.steps import (
    GanHyper,
    end_step,
    make_phases,
    optimisers,
)

BATCH, GROUP, SHRINK = 128, 4, 2
CLASSES = 3
# Float32 sums in another order. Adam's first steps are lr * g / |g|: where a gradient
# is as small as its rounding error, a weight may move differently by some of the 0.002.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


def networks():
    shared = {"num_blocks": 2, "c_dim": CLASSES, "channel_base": 32, "channel_max": 8}
    g = Generator(z_dim=8, w_dim=8, mapping_layers=2, **shared)
    d = Discriminator(mapping_layers=2, mbstd_group_size=GROUP, **shared)
    return g, d


def global_batch():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (BATCH, 8, 8, 3)).astype(np.uint8)
    label = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, BATCH)]
    return image, label


def arrange(shards):
    image, label = global_batch()
    rows = spmd.batch_rows(BATCH, shards, spmd.layout_unit(GROUP, SHRINK))
    index = rows.astype(np.int32)
    return {"image": image[rows], "label": label[rows], "index": index}


def fresh_state(g, d, hyper):
    state = jax.jit(
        lambda key: init_state(
            g, d, *optimisers(hyper), key, augmentation=hyper.augmentation
        )
    )(jax.random.key(0))

    # Untrained noise strengths are 0: the layers' noise would not be seen.
    def loud(path, x):
        return x + 0.3 if "noise_strength" in jax.tree_util.keystr(path) else x

    params = jax.tree_util.tree_map_with_path(loud, state.g_params)
    return state.replace(g_params=params, pl_mean=jnp.float32(0.1))


def one_step(devices, accumulate, wrap):
    """State and metrics after all four phases of a step."""
    g, d = networks()
    hyper = GanHyper(batch=BATCH, accumulate=accumulate)
    mesh = spmd.make_mesh(jax.devices()[:devices])
    state, metrics = fresh_state(g, d, hyper), {}
    batch = arrange(devices * accumulate)
    put, run, take = wrap(mesh)
    state, batch = put(state, batch)
    for phase in make_phases(g, d, hyper):
        state, found = run(phase.step)(state, batch, jax.random.key(1))
        metrics |= found
    state, metrics = take(state), take(metrics)
    return jax.device_get((end_step(state, hyper), metrics))


def with_shard_map(mesh):
    def put(state, batch):
        replicated = NamedSharding(mesh, spmd.REPLICATED)
        return jax.device_put(state, replicated), spmd.to_devices(mesh, batch)

    return put, lambda step: spmd.data_parallel(step, mesh), lambda tree: tree


def with_pmap(mesh):
    count = mesh.size

    def put(state, batch):
        state = jax.tree.map(lambda x: jnp.stack([x] * count), state)
        split = {
            k: v.reshape(count, len(v) // count, *v.shape[1:]) for k, v in batch.items()
        }
        return state, split

    def run(step):
        return jax.pmap(step, axis_name=spmd.AXIS, in_axes=(0, 0, None))

    return put, run, lambda tree: jax.tree.map(lambda x: x[0], tree)


@pytest.fixture(scope="module")
def on_one_device():
    return one_step(1, 1, with_shard_map)


@pytest.mark.parametrize(
    "devices, accumulate",
    [
        pytest.param(1, 4, marks=pytest.mark.slow),
        pytest.param(8, 1, marks=pytest.mark.slow),
        (8, 4),
    ],
)
def test_layout_does_not_matter(on_one_device, devices, accumulate):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **TOLERANCE),
        on_one_device,
        one_step(devices, accumulate, with_shard_map),
    )


@pytest.mark.filterwarnings("ignore:.*pmap.*:DeprecationWarning")
@pytest.mark.slow  # compiles all programs once more
def test_pmap_agrees(on_one_device):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **TOLERANCE),
        on_one_device,
        one_step(8, 1, with_pmap),
    )


def test_every_part_of_the_state_moves(on_one_device):
    state, metrics = on_one_device
    g, d = networks()
    before = jax.device_get(fresh_state(g, d, GanHyper(batch=BATCH)))
    assert (state.step, state.nimg) == (1, BATCH)
    assert state.pl_mean != before.pl_mean
    assert np.any(state.moving_stats["mapping"]["w_avg"] != 0)
    for name in ("g_params", "d_params"):
        leaves = zip(
            jax.tree_util.tree_leaves_with_path(getattr(state, name)),
            jax.tree.leaves(getattr(before, name)),
            strict=True,
        )
        still = [
            jax.tree_util.keystr(p) for (p, new), old in leaves if np.all(new == old)
        ]
        assert not still, f"{name}: {still}"
    assert {"loss/g_main", "loss/d_main", "reg/r1", "reg/pl"} <= set(metrics)


@pytest.mark.slow  # compiles a program for this alone
def test_a_wrong_layout_is_seen(on_one_device):
    """The test above can fail: another order of the batch gives another state."""
    original = arrange

    def unarranged(shards):
        batch = original(shards)
        order = np.roll(np.arange(BATCH), 1)
        return batch | {"image": batch["image"][order]}

    globals()["arrange"] = unarranged
    try:
        other = one_step(8, 1, with_shard_map)
    finally:
        globals()["arrange"] = original
    assert not np.allclose(
        other[1]["reg/r1"], on_one_device[1]["reg/r1"], rtol=1e-6
    ) or not np.allclose(other[1]["loss/d_main"], on_one_device[1]["loss/d_main"])


def test_phases_with_weight_zero_are_left_out():
    g, d = networks()
    hyper = GanHyper(batch=BATCH, pl_weight=0.0, r1_gamma=0.0)
    assert [p.name for p in make_phases(g, d, hyper)] == ["g_main", "d_main"]
    names = [p.name for p in make_phases(g, d, GanHyper(batch=BATCH))]
    assert names == ["g_main", "g_reg", "d_main", "d_reg"]


def test_nonfinite_gradients_are_replaced_and_counted():
    g, d = networks()
    hyper = GanHyper(batch=BATCH)
    state = fresh_state(g, d, hyper)
    broken = jax.tree.map(lambda x: x, state.d_params)
    broken["b4"]["out"]["bias"] = jnp.full((8,), jnp.nan)
    mesh = spmd.make_mesh(jax.devices()[:1])
    put, run, _ = with_shard_map(mesh)
    state, batch = put(state.replace(d_params=broken), arrange(1))
    (g_main,) = [p for p in make_phases(g, d, hyper) if p.name == "g_main"]
    before = jax.device_get(state.g_params)
    after, metrics = run(g_main.step)(state, batch, jax.random.key(0))
    assert metrics["nonfinite/g"] > 0
    # NaN became 0: Adam with an empty first moment does not move.
    jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(after.g_params))


class TestEndStep:
    def states(self, nimg):
        g, d = networks()
        hyper = GanHyper(batch=32, ema_kimg=10.0, ema_rampup=0.05)
        state = fresh_state(g, d, hyper)
        state = state.replace(
            nimg=jnp.int32(nimg),
            g_params=jax.tree.map(jnp.ones_like, state.g_params),
            ema_params=jax.tree.map(jnp.zeros_like, state.g_params),
        )
        return state, hyper

    def ema(self, nimg, **changes):
        state, hyper = self.states(nimg)
        hyper = dataclasses.replace(hyper, **changes)
        return float(jax.tree.leaves(end_step(state, hyper).ema_params)[0].ravel()[0])

    def test_follows_at_once_in_the_beginning(self):
        assert self.ema(0) == 1.0

    def test_half_life_is_a_share_of_the_images_seen(self):
        np.testing.assert_allclose(self.ema(64_000), 1 - 0.5 ** (32 / 3200), rtol=1e-4)

    def test_half_life_is_bounded_by_ema_kimg(self):
        beta = 0.5 ** (32 / 10_000)
        np.testing.assert_allclose(self.ema(10**7), 1 - beta, rtol=1e-3)
        np.testing.assert_allclose(self.ema(0, ema_rampup=None), 1 - beta, rtol=1e-3)

    def test_counts(self):
        state, hyper = self.states(64)
        after = end_step(state, hyper)
        assert (int(after.step), int(after.nimg)) == (1, 96)


def test_model_range():
    x = gan_steps.to_model_range(jnp.asarray([0, 255], jnp.uint8))
    np.testing.assert_allclose(x, [-1, 1])
