"""The loss of every attribute by its formula, weights of classes, and the rate."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.attributes import AttributeNet
from stylegan_jax.training.attributes.steps import (
    AttributeHyper,
    balanced,
    losses,
    rate,
    total_of,
)

NET = AttributeNet(("age", "hat"), ("number", "binary"), (30.0, 0.0), (10.0, 1.0))
OUTPUTS = np.asarray([[0.5, 2.0], [3.0, -1.0]], np.float32)
VALUES = np.asarray([[40.0, 1.0], [10.0, 0.0]], np.float32)


def hyper(**options):
    balance = options.pop("balance", ((1.0, 1.0), (0.5, 3.0)))
    return AttributeHyper(batch=10, total=1000, balance=balance, **options)


def test_losses():
    found = losses(NET, hyper(), OUTPUTS, VALUES)
    # Off by half a deviation, and by five.
    np.testing.assert_allclose(found["age"], [0.125, 4.5], rtol=1e-6)
    entropy = [3.0 * np.log1p(np.exp(-2.0)), 0.5 * np.log1p(np.exp(-1.0))]
    np.testing.assert_allclose(found["hat"], entropy, rtol=1e-5)
    squared = losses(NET, hyper(number_loss="mse"), OUTPUTS, VALUES)
    np.testing.assert_allclose(squared["age"], [0.125, 12.5], rtol=1e-6)
    expected = (np.mean([0.125, 4.5]) + np.mean(entropy)) / 2
    assert float(total_of(found)) == pytest.approx(expected, rel=1e-5)


def test_rare_classes_weigh_more_but_not_without_bound():
    values = np.zeros((100, 3))
    values[:25, 0], values[:1, 1] = 1, 1
    kinds = ("binary", "binary", "number")
    common, rare, number = balanced(values, kinds, True)
    np.testing.assert_allclose(common, (0.5 / 0.75, 0.5 / 0.25))
    assert rare[1] == 10.0 and number == (1.0, 1.0)
    assert balanced(values, kinds, False) == ((1.0, 1.0),) * 3


def test_the_rate_follows_the_pictures_seen():
    def at(nimg, **options):
        numbers = hyper(learning_rate=0.1, **options)
        return float(rate(numbers, jnp.asarray(nimg)))

    assert at(0) == pytest.approx(0.1) and at(500) == pytest.approx(0.05)
    assert at(1000) == pytest.approx(0, abs=1e-8) == at(5000)
    assert at(900, schedule="constant") == pytest.approx(0.1)
    assert at(0, warmup=100) == pytest.approx(0.01)
    assert at(90, warmup=100, schedule="constant") == pytest.approx(0.1)
