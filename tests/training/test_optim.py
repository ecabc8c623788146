"""Adam with the lazy correction, against Adam written out; non-finite gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stylegan_jax.training.optim import lazy_adam, replace_nonfinite


def adam(weights, gradients, rate, b1, b2, eps):
    """Kingma and Ba 2015, algorithm 1, in float64."""
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for t, g in enumerate(gradients, 1):
        first = b1 * first + (1 - b1) * g
        second = b2 * second + (1 - b2) * g**2
        mean, square = first / (1 - b1**t), second / (1 - b2**t)
        weights = weights - rate * mean / (np.sqrt(square) + eps)
    return weights


@pytest.mark.parametrize("b1", [0.0, 0.5])
@pytest.mark.parametrize("interval, c", [(16, 16 / 17), (4, 4 / 5), (1, 1 / 2), (0, 1)])
def test_rate_and_decays_are_corrected(interval, c, b1):
    rng = np.random.default_rng(interval)
    weights, gradients = rng.normal(size=5), rng.normal(size=(7, 5))
    optimiser = lazy_adam(0.01, interval, b1=b1, b2=0.9, eps=1e-3)
    params = jnp.asarray(weights, jnp.float32)
    state = optimiser.init(params)
    for gradient in gradients:
        updates, state = optimiser.update(jnp.float32(gradient), state, params)
        params = optax.apply_updates(params, updates)
    expected = adam(weights, gradients, 0.01 * c, b1**c, 0.9**c, 1e-3)
    np.testing.assert_allclose(params, expected, rtol=1e-5)


def test_defaults_are_the_paper_s():
    gradient = jnp.asarray([3.0, -1e-4])
    optimiser = lazy_adam(0.002, 16)
    updates, _ = optimiser.update(gradient, optimiser.init(gradient))
    # Without a first moment the first step is the rate itself.
    np.testing.assert_allclose(updates, 0.002 * 16 / 17 * np.array([-1, 1]), rtol=1e-3)


def test_replaces_and_counts():
    tree = {
        "a": jnp.asarray([1.0, jnp.nan, jnp.inf, -jnp.inf]),
        "b": {"c": jnp.asarray([[jnp.nan, 1e30]])},
    }
    mended, count = jax.jit(replace_nonfinite)(tree)
    np.testing.assert_array_equal(mended["a"], [1, 0, 1e5, -1e5])
    np.testing.assert_array_equal(mended["b"]["c"], np.float32([[0, 1e30]]))
    assert count == 4 and count.dtype == jnp.float32


def test_finite_gradients_stay():
    tree = {"a": jnp.asarray([1.0, -2.0])}
    mended, count = replace_nonfinite(tree)
    np.testing.assert_array_equal(mended["a"], tree["a"])
    assert count == 0
