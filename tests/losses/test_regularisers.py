"""Penalties of functions whose gradients are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.losses.regularisers import path_lengths, r1_penalty


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_r1_of_a_linear_discriminator():
    """D(x) = <w, x> + b has |w|^2 everywhere, whose gradient is 2 w."""
    w, x = noise(4, 6, 3), noise(5, 4, 6, 3, seed=1)

    def penalties(w, x):
        return r1_penalty(lambda x: jnp.einsum("nhwc,hwc->n", x, w) + 0.3, x)

    values, logits = jax.jit(penalties)(w, x)
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, np.full(5, np.sum(np.square(w))), rtol=1e-5)
    np.testing.assert_allclose(
        logits, np.tensordot(x, w, 3) + 0.3, rtol=1e-4, atol=1e-5
    )
    gradient = jax.jit(jax.grad(lambda w: jnp.mean(penalties(w, x)[0])))(w)
    np.testing.assert_allclose(gradient, 2 * w, rtol=1e-4)


def test_r1_of_a_quadratic_discriminator_differs_per_image():
    """D(x) = a |x|^2 / 2 has a^2 |x|^2, and no factor of the batch or of gamma."""
    x = noise(3, 2, 2, 1) * np.asarray([1.0, 2.0, 3.0], np.float32).reshape(3, 1, 1, 1)
    squares = np.sum(np.square(x), (1, 2, 3))

    @jax.jit
    def penalties(a, x):
        return r1_penalty(lambda x: a * jnp.sum(jnp.square(x), (1, 2, 3)) / 2, x)[0]

    np.testing.assert_allclose(penalties(0.7, x), 0.49 * squares, rtol=1e-5)
    slopes = jax.jit(jax.jacobian(penalties))(0.7, x)
    np.testing.assert_allclose(slopes, 1.4 * squares, rtol=1e-5)


def test_r1_of_low_precision_gradients_is_summed_in_float32():
    w = jnp.full((8, 8, 1), 200.0, jnp.float16)  # squares overflow float16

    def logits(x):
        return jnp.sum(x.astype(jnp.float16) * w, (1, 2, 3)).astype(jnp.float32)

    penalties, _ = jax.jit(lambda x: r1_penalty(logits, x))(jnp.zeros((2, 8, 8, 1)))
    np.testing.assert_allclose(penalties, np.full(2, 64 * 200.0**2), rtol=1e-5)


def linear_synthesis(weights, w_plus):
    """The image is a matrix for each layer, applied to that layer's latent."""
    return jnp.einsum("nld,ldhwc->nhwc", w_plus, weights)


def test_path_lengths_of_a_linear_synthesis():
    """J^T y is the matrix's transpose times y / sqrt(H W), whatever w is."""
    weights, w_plus = noise(3, 4, 5, 2, 3), noise(6, 3, 4, seed=1)
    y = noise(6, 5, 2, 3, seed=2)

    @jax.jit
    def lengths(weights, w_plus):
        def synthesis(w):
            return linear_synthesis(weights, w) + 1.0

        return path_lengths(synthesis, w_plus, y)

    steps = np.einsum("nhwc,ldhwc->nld", y, weights) / (5 * 2) ** 0.5
    # Root of the mean over the 3 layers of the squared norms.
    expected = np.sqrt(np.sum(np.square(steps), (1, 2)) / 3)
    values = lengths(weights, w_plus)
    assert values.shape == (6,) and values.dtype == jnp.float32
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(lengths(weights, 5 * w_plus), expected, rtol=1e-5)
    # Lengths are proportional to the weights: Euler's theorem gives their gradient.
    gradient = jax.jit(jax.grad(lambda a: jnp.sum(lengths(a, w_plus))))(weights)
    assert np.vdot(gradient, weights) == pytest.approx(np.sum(expected), rel=1e-4)


def test_path_lengths_use_the_local_slope():
    """A square's: J = 2 diag(w), for each image its own."""
    w_plus = noise(2, 1, 6)

    def synthesis(w):
        return jnp.square(w).reshape(2, 3, 2, 1)

    y = noise(2, 3, 2, 1, seed=1)
    expected = np.linalg.norm(2 * w_plus[:, 0] * y.reshape(2, 6), axis=1) / 6**0.5
    lengths = jax.jit(lambda w, y: path_lengths(synthesis, w, y))(w_plus, y)
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)


def test_expected_path_length_does_not_depend_on_the_resolution():
    """The purpose of dividing by sqrt(H W): repeated pixels are as long on average."""
    weights = noise(1, 4, 4, 4, 3)
    w_plus = np.zeros((4000, 1, 4), np.float32)
    means = []
    for repeat in (1, 2):
        larger = np.repeat(np.repeat(weights, repeat, 2), repeat, 3)
        y = noise(4000, 4 * repeat, 4 * repeat, 3, seed=repeat)
        lengths = jax.jit(
            lambda w, a=larger, y=y: path_lengths(
                lambda w: linear_synthesis(a, w), w, y
            )
        )(w_plus)
        means.append(np.mean(np.square(lengths)))
    assert means[0] == pytest.approx(means[1], rel=0.1)


def test_path_lengths_are_float32_for_low_precision_images():
    w_plus = noise(2, 1, 6)

    def synthesis(w):
        return w.reshape(2, 3, 2, 1).astype(jnp.bfloat16)

    lengths = path_lengths(synthesis, w_plus, noise(2, 3, 2, 1, seed=1))
    assert lengths.dtype == jnp.float32
