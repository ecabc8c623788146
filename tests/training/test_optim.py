"""Adam with the lazy correction and Ranger, each against itself written out.

Also non-finite gradients.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stylegan_jax.training.optim import (
    centralise,
    lazy_adam,
    ranger,
    replace_nonfinite,
)


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


def ranger_path(weights, gradient, steps, rate, b1, b2, eps, alpha, k):
    """Yong et al. 2020, Liu et al. 2020 and Zhang et al. 2019, in float64."""
    first, second, slow = np.zeros_like(weights), np.zeros_like(weights), weights
    longest, path = 2 / (1 - b2) - 1, []
    for t in range(1, steps + 1):
        g = gradient(weights)
        if g.ndim > 1:
            g = g - g.mean(tuple(range(g.ndim - 1)), keepdims=True)
        first = b1 * first + (1 - b1) * g
        second = b2 * second + (1 - b2) * g**2
        length = longest - 2 * t * b2**t / (1 - b2**t)
        step = first / (1 - b1**t)
        if length >= 5:
            up = (length - 4) * (length - 2) * longest
            down = (longest - 4) * (longest - 2) * length
            step = step * np.sqrt(up / down)
            step = step / (np.sqrt(second / (1 - b2**t)) + eps)
        weights = weights - rate * step
        if t % k == 0:
            slow = slow + alpha * (weights - slow)
            weights = slow
        path.append(weights)
    return path


# Of b2 = 0.999 float32 knows the first lengths to 0.5 % only.
@pytest.mark.parametrize("b2, tolerance", [(0.9, 1e-5), (0.999, 1e-3)])
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 2, 3, 4)])
def test_ranger_is_the_papers(shape, b2, tolerance):
    rng = np.random.default_rng(len(shape))
    weights, scale = rng.normal(size=shape), rng.uniform(0.5, 2, size=shape)
    target = rng.normal(size=shape)
    optimiser = ranger(0.05, b2=b2, eps=1e-3)
    params = {"kernel": jnp.float32(weights)}
    state = optimiser.init(params)

    @jax.jit
    def step(params, state):
        gradients = {"kernel": jnp.float32(scale) * (params["kernel"] - target)}
        updates, state = optimiser.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    path = ranger_path(
        weights, lambda w: scale * (w - target), 20, 0.05, 0.95, b2, 1e-3, 0.5, 6
    )
    for t, wanted in enumerate(path, 1):
        params, state = step(params, state)
        error = np.linalg.norm(params["kernel"] - wanted) / np.linalg.norm(wanted)
        assert error < tolerance, t
        if t % 6 == 0:
            np.testing.assert_allclose(
                params["kernel"], state.slow["kernel"], atol=1e-6
            )
    assert not np.allclose(params["kernel"], state.slow["kernel"], rtol=1e-4)


def test_ranger_s_state_can_be_donated():
    optimiser, params = ranger(0.1), {"a": jnp.ones(3)}
    state = optimiser.init(params)

    def step(params, state):
        updates, state = optimiser.update({"a": jnp.ones(3)}, state, params)
        return optax.apply_updates(params, updates), state

    params, _ = jax.jit(step, donate_argnums=(0, 1))(params, state)
    # Before the moments count, a step is the rate times the gradient.
    np.testing.assert_allclose(params["a"], 0.9, rtol=1e-6)


def test_ranger_needs_the_parameters():
    optimiser, params = ranger(0.1), jnp.ones(3)
    with pytest.raises(ValueError, match="needs the parameters"):
        optimiser.update(params, optimiser.init(params))


def test_centralises_each_output_channel():
    rng = np.random.default_rng(0)
    tree = {"kernel": rng.normal(size=(3, 3, 2, 4)), "bias": rng.normal(size=4)}
    result = centralise(jax.tree.map(jnp.float32, tree))
    np.testing.assert_allclose(result["kernel"].sum((0, 1, 2)), 0, atol=1e-5)
    moved = tree["kernel"] - result["kernel"]
    np.testing.assert_allclose(moved, moved[:1, :1, :1] + 0 * moved, atol=1e-6)
    np.testing.assert_array_equal(result["bias"], np.float32(tree["bias"]))
