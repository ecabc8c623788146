import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.losses import adversarial

LOGITS = np.asarray([-3.0, -0.5, 0.0, 0.2, 4.0])


def log_sigmoid(x):
    return np.log(1 / (1 + np.exp(-x)))


# Sign of the logit inside -log(sigmoid(.)).
LOSSES = [
    (adversarial.generator_nonsaturating, 1),
    (adversarial.discriminator_fake, -1),
    (adversarial.discriminator_real, 1),
]


@pytest.mark.parametrize("loss, sign", LOSSES)
def test_values_and_gradients(loss, sign):
    x = jnp.asarray(LOGITS, jnp.float32)
    np.testing.assert_allclose(loss(x), -log_sigmoid(sign * LOGITS), rtol=1e-5)
    gradient = jax.grad(lambda x: jnp.sum(loss(x)))(x)
    expected = -sign / (1 + np.exp(sign * LOGITS))
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_the_discriminator_s_second_term():
    """-log(1 - sigmoid(x)), as it is written in the paper."""
    expected = -np.log(1 - 1 / (1 + np.exp(-LOGITS)))
    np.testing.assert_allclose(
        adversarial.discriminator_fake(jnp.asarray(LOGITS)), expected, rtol=1e-5
    )


@pytest.mark.parametrize("loss, sign", LOSSES)
def test_extreme_logits_stay_finite(loss, sign):
    x = jnp.asarray([-1e4, 1e4])
    np.testing.assert_allclose(loss(x), [1e4, 0.0][::sign], atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(loss(x)))(x)
    np.testing.assert_allclose(gradient, [-sign, 0.0][::sign], atol=1e-6)


@pytest.mark.parametrize("loss, sign", LOSSES)
def test_computed_in_float32_per_example(loss, sign):
    y = loss(jnp.asarray(LOGITS, jnp.float16))
    assert y.dtype == jnp.float32
    assert y.shape == (5,)
    expected = -log_sigmoid(sign * np.float64(np.float16(LOGITS)))
    np.testing.assert_allclose(y, expected, rtol=1e-5)
