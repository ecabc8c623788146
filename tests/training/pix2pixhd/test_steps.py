"""What the networks are shown, what they are measured by, and the pool."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.data.augment.wild import Wild
from stylegan_jax.losses.translation import VGG_WEIGHTS
from stylegan_jax.models.pix2pixhd import MultiscaleDiscriminator
from stylegan_jax.training.networks import Networks
from stylegan_jax.training.pix2pixhd import pool
from stylegan_jax.training.pix2pixhd.inputs import Inputs, Seen
from stylegan_jax.training.pix2pixhd.state import Modules, from_groups, groups
from stylegan_jax.training.pix2pixhd.steps import Losses, TranslatorHyper

RNG = np.random.default_rng(0)


def jitted(inputs):
    """The same as one program, which is quicker than operation by operation."""
    program = jax.jit(lambda given, keys: vars(inputs(given, keys)))
    return lambda given, keys: Seen(**program(given, keys))


def batch(channels=3, top=256, **more):
    found = {
        "source": RNG.integers(0, top, (2, 16, 16, channels), np.uint8),
        "target": RNG.integers(0, 256, (2, 16, 16, 3), np.uint8),
    }
    return {**found, **more}


def test_pictures_are_scaled():
    given = batch()
    seen = Inputs()(given, None)
    np.testing.assert_allclose(seen.x, given["source"] / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(seen.target, given["target"] / 127.5 - 1, atol=1e-6)
    assert Inputs().channels == 3 and seen.instances is None


def test_a_second_person_stands_behind_the_first():
    second = RNG.integers(0, 256, (2, 16, 16, 3), np.uint8)
    inputs = Inputs(second=True)
    seen = inputs(batch(second=second), None)
    assert seen.x.shape[-1] == inputs.channels == 6
    np.testing.assert_allclose(seen.x[..., 3:], second / 127.5 - 1, atol=1e-6)


def test_label_maps_become_planes_and_edges():
    numbers = RNG.integers(0, 3, (2, 16, 16, 1), np.uint8)
    inputs = Inputs(labels=4, instances=True)
    given = batch(1, 4, instances=numbers)
    seen = inputs(given, None)
    assert seen.x.shape[-1] == inputs.channels == 5
    np.testing.assert_array_equal(
        np.argmax(seen.x[..., :4], -1), given["source"][..., 0]
    )
    assert set(np.unique(seen.x[..., 4])) == {0.0, 1.0}
    np.testing.assert_array_equal(seen.instances, numbers[..., 0])


def test_both_halves_are_mirrored_and_moved_alike():
    inputs = Inputs(
        labels=256, instances=True, mirror=True, distortion=Wild(translate=0.2)
    )
    given = batch(1, 256)
    given["target"] = np.tile(given["source"], (1, 1, 1, 3))
    given["instances"] = given["source"]
    seen = jitted(inputs)(given, jax.random.split(jax.random.key(1), 2))
    classes = np.argmax(seen.x[..., :256], -1)
    np.testing.assert_array_equal(classes, seen.instances)
    assert np.any(classes != given["source"][..., 0])
    # The target is interpolated, the classes are not: alike, not equal.
    target = (np.asarray(seen.target[..., 0]) + 1) * 127.5
    assert np.corrcoef(classes.ravel(), target.ravel())[0, 1] > 0.6


def test_draws_belong_to_the_sample():
    inputs = Inputs(mirror=True, distortion=Wild(rotate=10, light=1, noise=0.1))
    given, keys = batch(), jax.random.split(jax.random.key(1), 2)
    keys = keys.at[1].set(keys[0])
    given = {k: np.stack([v[0], v[0]]) for k, v in given.items()}
    both = jitted(inputs)(given, keys)
    # The same picture with the same key, wherever it stands in the batch.
    for value in (both.x, both.target):
        np.testing.assert_allclose(value[0], value[1], atol=1e-5)
        assert np.std(value) > 0


class Stand:
    """A frozen network whose features are its pictures."""

    variables = {"scale": np.float32(2.0)}

    @property
    def module(self):
        return self

    def apply(self, variables, x, other):
        if isinstance(other, tuple):  # VGG: the names of features
            return {tap: variables["scale"] * x for tap in other}
        return variables["scale"] * jnp.abs(x - other).mean((1, 2, 3))


@pytest.mark.parametrize("normalise", [True, False])
def test_distances_by_their_formulas(normalise):
    weights = {"gan": 1.0, "l1": 1.0, "vgg": 1.0, "lpips": 1.0}
    hyper = TranslatorHyper(batch=2, weights=weights, vgg_normalise=normalise)
    networks = Networks({"vgg": Stand(), "lpips": Stand()})
    modules = Modules(g=None, d=MultiscaleDiscriminator())
    losses = Losses(modules, Inputs(), hyper, networks)
    a, b = (RNG.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32) for _ in "ab")
    found = losses.distances(a, b, networks.variables())
    assert list(found) == ["l1", "vgg", "lpips"]
    l1 = np.abs(a - b).mean((1, 2, 3))
    np.testing.assert_allclose(found["l1"], l1, rtol=1e-5)
    np.testing.assert_allclose(found["lpips"], 2 * l1, rtol=1e-5)
    # What VGG is shown differs by half of ImageNet's deviations.
    scale = 1 / (2 * np.array([0.229, 0.224, 0.225])) if normalise else 1.0
    expected = 2 * (np.abs(a - b) * scale).mean((1, 2, 3)) * sum(VGG_WEIGHTS)
    np.testing.assert_allclose(found["vgg"], expected, rtol=1e-5)


def test_the_rate_is_constant_and_then_falls_to_nothing():
    hyper = TranslatorHyper(batch=1, weights={}, learning_rate=2.0, total=100, decay=50)
    rates = [float(hyper.rate(jnp.int32(n))) for n in (0, 49, 50, 75, 100, 120)]
    np.testing.assert_allclose(rates, [2, 2, 2, 1, 0, 0], atol=1e-6)
    flat = TranslatorHyper(batch=1, weights={}, learning_rate=2.0, total=100)
    assert float(flat.rate(jnp.int32(99))) == 2.0


def test_groups_are_parted_and_joined():
    params = {"g": {"trunk": {"a": 1}, "picture": {"b": 2}}, "d": {"c": 3}}
    found = groups(params)
    assert found == {"g": {"picture": {"b": 2}}, "trunk": {"a": 1}, "d": {"c": 3}}
    assert from_groups(found) == params


class TestPool:
    @staticmethod
    def step(images, number, made, size=9, batch=4):
        """One step on one device: what is shown, and the pool behind it."""
        key = jax.random.fold_in(jax.random.key(3), number)
        index = jnp.arange(batch)
        chosen, full = pool.places(key, jnp.int32(number * batch), index, size, batch)
        keys = jax.random.split(jax.random.key(number), batch)
        shown, sums = pool.show(images, made, keys, chosen, full)
        return np.asarray(shown), pool.store(images, sums, 1), np.asarray(chosen)

    def test_fills_first_and_then_shows_earlier_pictures(self):
        images = jnp.zeros((9, 1, 1, 1))
        earlier: set[float] = set()
        swapped = 0
        for number in range(30):
            made = jnp.arange(4.0).reshape(4, 1, 1, 1) + 10 * number + 1
            shown, images, chosen = self.step(images, number, made)
            assert len(set(chosen.tolist())) == 4
            for value, own in zip(shown.ravel(), np.ravel(made), strict=True):
                if value != own:
                    swapped += 1
                    assert value in earlier and number > 1
            earlier |= set(np.ravel(made).tolist())
        assert 0.3 < swapped / (28 * 4) < 0.7
        assert np.all(np.asarray(images)[:8] > 0)  # whole batches alone

    def test_does_not_depend_on_how_a_batch_is_split(self):
        images = RNG.standard_normal((6, 2, 2, 3)).astype(np.float32)
        made = RNG.standard_normal((4, 2, 2, 3)).astype(np.float32)
        keys = jax.random.split(jax.random.key(1), 4)
        chosen, full = pool.places(
            jax.random.key(0), jnp.int32(40), jnp.arange(4), 6, 4
        )
        assert bool(full.all())
        whole, sums = pool.show(images, made, keys, chosen, full)
        parts = [
            pool.show(images, made[i : i + 2], keys[i : i + 2], chosen[i : i + 2],
                      full[i : i + 2])
            for i in (0, 2)
        ]  # fmt: skip
        np.testing.assert_array_equal(whole, np.concatenate([p[0] for p in parts]))
        mean = jax.tree.map(lambda a, b: (a + b) / 2, parts[0][1], parts[1][1])
        np.testing.assert_allclose(
            pool.store(images, sums, 1), pool.store(images, mean, 2), atol=1e-6
        )
