"""A step in the middle of a fade: the same on any layout; what its losses are."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from stylegan_jax.models.stylegan1 import Discriminator, Generator
from stylegan_jax.training import spmd
from stylegan_jax.training.stylegan1.schedule import Stage
from stylegan_jax.training.stylegan1.steps import (
    GrowHyper,
    GrowLosses,
    end_step,
    make_phases,
)
from stylegan_jax.training.stylegan2.state import init_state
from stylegan_jax.training.stylegan2.steps import optimisers

BATCH, GROUP = 32, 4
# A third of the fade is over.
NIMG = 1400
STAGE = Stage(2, 3, BATCH, 0.002, 1000, 1200, 5000)
# See tests/training/stylegan2/test_steps.py.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


def hyper(**changes):
    numbers = {"style_mixing_prob": 0.9, "ema_rampup": None, **changes}
    return GrowHyper(
        batch=BATCH, stage=STAGE, g_reg_interval=0, d_reg_interval=0, **numbers
    )


def networks():
    shared = {
        "num_blocks": 3,
        "channel_base": 32,
        "channel_max": 8,
        "progressive": True,
        "lod": 1.0,
    }
    g = Generator(z_dim=8, w_dim=8, mapping_layers=1, mapping_features=8, **shared)
    return g, Discriminator(mbstd_group_size=GROUP, **shared)


def fresh_state(numbers):
    g, d = networks()

    def make(key):
        augmentation = numbers.augmentation
        return init_state(
            g, d, *optimisers(numbers), key, augmentation=augmentation, nimg=NIMG
        )

    state = jax.jit(make)(jax.random.key(0))

    # Untrained noise strengths are 0: the layers' noise would not be seen. A constant
    # of ones is positive everywhere, so the normalisation takes its bias out again.
    def loud(path, x):
        name = path[-1].key
        if name == "const":
            return jax.random.normal(jax.random.key(2), x.shape)
        return x + 0.3 if name == "noise_strength" else x

    return state.replace(
        g_params=jax.tree_util.tree_map_with_path(loud, state.g_params)
    )


def batch_for(shards):
    rows = spmd.batch_rows(BATCH, shards, GROUP)
    image = np.random.default_rng(0).integers(0, 256, (BATCH, 8, 8, 3), np.uint8)
    return {
        "image": image[rows],
        "label": np.zeros((BATCH, 0), np.float32),
        "index": rows.astype(np.int32),
    }


def one_step(devices, accumulate, **changes):
    numbers = hyper(accumulate=accumulate, **changes)
    mesh = spmd.make_mesh(jax.devices()[:devices])
    replicated = NamedSharding(mesh, spmd.REPLICATED)
    state = jax.device_put(fresh_state(numbers), replicated)
    batch = spmd.to_devices(mesh, batch_for(devices * accumulate))
    metrics = {}
    for phase in make_phases(*networks(), numbers):
        step = spmd.data_parallel(phase.step, mesh)
        state, found = step(state, batch, jax.random.key(1))
        metrics |= found
    return jax.device_get((end_step(state, numbers), metrics))


@pytest.fixture(scope="module")
def on_one_device():
    return one_step(1, 1)


def assert_same(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **TOLERANCE), one, other)


def test_eight_devices_agree_with_one_in_a_fade(on_one_device):
    assert_same(on_one_device, one_step(8, 1))


@pytest.mark.slow  # compiles all programs twice more
def test_eight_devices_agree_with_one_with_wgan_gp():
    assert_same(
        one_step(1, 1, objective="wgan-gp"), one_step(8, 1, objective="wgan-gp")
    )


def test_only_what_is_reached_moves(on_one_device):
    state, metrics = on_one_device
    before = jax.device_get(fresh_state(hyper()))
    for name, still in (
        # Neither the block above, nor what reads and writes its pictures, nor the
        # pictures two resolutions below.
        ("g_params", {"synthesis/b16", "synthesis/torgb"}),
        ("d_params", {"b16"}),
    ):
        after = jax.tree_util.tree_leaves_with_path(getattr(state, name))
        old = jax.tree.leaves(getattr(before, name))
        for (path, new), was in zip(after, old, strict=True):
            keys = "/".join(step.key for step in path)
            stands = any(keys.startswith(s) for s in still)
            assert np.all(new == was) == stands, keys
    assert metrics["grow/lod"] == pytest.approx(1 + 1 - 400 / 1200, abs=1e-6)
    assert metrics["grow/resolution"] == 8
    assert metrics["reg/r1"] > 0
    assert (state.step, state.nimg) == (1, NIMG + BATCH)


def losses(**changes):
    g, d = networks()
    return GrowLosses(g, d, hyper(**changes))


def test_reals_are_faded_as_the_generated_are():
    made = losses()
    image = batch_for(1)["image"][:2]
    state = fresh_state(hyper())
    x = image.astype(np.float32) / 127.5 - 1
    low = x.reshape(2, 4, 2, 4, 2, 3).mean((2, 4)).repeat(2, 1).repeat(2, 2)
    share = 1 - 400 / 1200
    want = share * low + (1 - share) * x
    np.testing.assert_allclose(made._reals(state, {"image": image}), want, atol=1e-5)


class TestLosses:
    """The discriminator as x -> sum(x * weight): gradients are known."""

    real = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
    fake = jax.random.normal(jax.random.key(2), (4, 8, 8, 3))
    weight = jax.random.normal(jax.random.key(3), (8, 8, 3)) / 10

    def found(self, objective):
        keys = jax.random.split(jax.random.key(4), 4)

        def score(x, draw):
            return jnp.sum(x * self.weight, (1, 2, 3))

        made = losses(objective=objective, r1_gamma=5.0, gp_target=2.0)
        return made._d_loss(score, self.real, self.fake, keys)

    def logits(self, x):
        return np.sum(np.asarray(x) * np.asarray(self.weight), (1, 2, 3))

    def test_logistic(self):
        loss, real_logits, penalty, metrics = self.found("logistic")
        real, fake = self.logits(self.real), self.logits(self.fake)
        want = np.mean(np.log1p(np.exp(fake)) + np.log1p(np.exp(-real)))
        np.testing.assert_allclose(loss, want, rtol=1e-4)
        np.testing.assert_allclose(real_logits, real, rtol=1e-3)
        square = float(np.sum(np.square(self.weight)))
        np.testing.assert_allclose(metrics["reg/r1"], square, rtol=1e-4)
        np.testing.assert_allclose(penalty, 2.5 * square, rtol=1e-4)

    def test_wasserstein(self):
        loss, _, penalty, metrics = self.found("wgan-gp")
        real, fake = self.logits(self.real), self.logits(self.fake)
        want = np.mean(fake - real + 0.001 * real**2)
        np.testing.assert_allclose(loss, want, rtol=1e-3)
        norm = float(np.sqrt(np.sum(np.square(self.weight))))
        np.testing.assert_allclose(metrics["reg/gp"], ((norm - 2) / 2) ** 2, rtol=1e-3)
        np.testing.assert_allclose(penalty, 10 * ((norm - 2) / 2) ** 2, rtol=1e-3)
        made = losses(objective="wgan-gp")
        np.testing.assert_array_equal(made._g_loss(jnp.asarray([2.0])), [-2.0])


@pytest.fixture(scope="module")
def fresh():
    return fresh_state(hyper())


@pytest.fixture(scope="module")
def end():
    return jax.jit(end_step, static_argnums=1)


class TestEndStep:
    @pytest.mark.parametrize("turn", [2200, 5000])
    def test_adam_forgets_where_a_fade_ends_and_where_the_next_begins(
        self, fresh, end, turn
    ):
        ones = jax.tree.map(np.ones_like, jax.device_get((fresh.g_opt, fresh.d_opt)))

        def left(nimg, **changes):
            state = fresh.replace(nimg=jnp.int32(nimg), g_opt=ones[0], d_opt=ones[1])
            after = jax.device_get(end(state, hyper(**changes)))
            leaves = jax.tree.leaves((after.g_opt, after.d_opt))
            return {float(x) for leaf in leaves for x in np.unique(leaf)}

        assert left(turn - BATCH - 1) == {1.0}
        assert left(turn - BATCH) == {0.0}
        assert left(turn - 1) == {0.0}
        assert left(turn) == {1.0}
        assert left(turn - 1, reset_optimisers=False) == {1.0}

    def test_the_average_keeps_its_half_life(self, fresh, end):
        state = fresh.replace(
            g_params=jax.tree.map(np.ones_like, jax.device_get(fresh.g_params)),
            ema_params=jax.tree.map(np.zeros_like, jax.device_get(fresh.g_params)),
        )
        want = 1 - 0.5 ** (BATCH / 1000)
        for leaf in jax.tree.leaves(end(state, hyper(ema_kimg=1.0)).ema_params):
            np.testing.assert_allclose(leaf, want, rtol=1e-4)


def test_crossovers_are_among_the_layers_that_are_reached():
    made = losses(style_mixing_prob=1.0)
    cuts = jax.vmap(made._cutoff)(jax.random.split(jax.random.key(0), 200))
    assert set(np.unique(cuts)) == {1, 2, 3}
    numbers = dataclasses.replace(made.hyper, style_mixing_prob=0.0)
    assert numbers.stage.blocks * 2 == 4
