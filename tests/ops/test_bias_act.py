import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from stylegan_jax.ops import bias_act
from stylegan_jax.ops.bias_act import activation_gain

FORMULAS = {
    "linear": lambda x: x,
    "lrelu": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu": lambda x: np.where(x > 0, x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
}
GAINS = dict.fromkeys(FORMULAS, 1.0) | dict.fromkeys(["lrelu", "relu", "swish"], 2**0.5)

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3, 5, 4))
B = rng.standard_normal(4)


@pytest.mark.parametrize("act", FORMULAS)
def test_values(act):
    x, b = jnp.asarray(X, jnp.float32), jnp.asarray(B, jnp.float32)
    plain = FORMULAS[act](X + B)
    assert activation_gain(act) == pytest.approx(GAINS[act])
    default = bias_act(x, b, act=act)
    np.testing.assert_allclose(default, plain * GAINS[act], atol=2e-6)
    scaled = bias_act(x, b, act=act, gain=-0.3, clamp=0.25)
    np.testing.assert_allclose(scaled, np.clip(plain * -0.3, -0.25, 0.25), atol=2e-6)


def test_without_bias_and_for_matrices():
    x = jnp.asarray(X[:, 0, 0], jnp.float32)
    np.testing.assert_allclose(
        bias_act(x, act="relu", gain=1.0), np.maximum(x, 0), atol=1e-7
    )
    assert bias_act(x) is x


@pytest.mark.parametrize("act", ["relu", "lrelu"])
def test_gain_keeps_the_second_moment(act):
    x = jnp.asarray(rng.standard_normal(200_000), jnp.float32)
    y = np.asarray(bias_act(x, act=act), np.float64)
    # 1 for relu; lrelu adds 0.2^2 for the negative half.
    assert np.mean(y * y) == pytest.approx(1.04 if act == "lrelu" else 1.0, rel=0.02)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("act", ["lrelu", "swish"])
def test_keeps_the_dtype(act, dtype):
    y = bias_act(jnp.asarray(X, dtype), jnp.asarray(B, jnp.float32), act=act, clamp=2.0)
    assert y.dtype == dtype
    expected = np.clip(FORMULAS[act](X + B) * GAINS[act], -2, 2)
    np.testing.assert_allclose(
        np.asarray(y, np.float64), expected, atol=8 * float(jnp.finfo(dtype).eps)
    )


@pytest.mark.parametrize("act", ["lrelu", "tanh", "swish"])
def test_gradients_of_order_two(act):
    # Away from the corners of the piecewise linear ones.
    x = jnp.asarray([[-1.3, 0.7, 2.1], [0.4, -0.6, -2.2]])
    b = jnp.asarray([0.05, -0.02, 0.03])
    f = jax.jit(lambda x, b: jnp.square(bias_act(x, b, act=act, clamp=1.5)))
    check_grads(f, (x, b), order=2, modes=["rev"], atol=2e-2, rtol=2e-2)


def test_clamped_values_have_no_gradient():
    gradient = jax.grad(lambda x: jnp.sum(bias_act(x, clamp=1.0)))
    np.testing.assert_array_equal(
        gradient(jnp.asarray([-2.0, 0.5, 2.0])), [0.0, 1.0, 0.0]
    )


def test_refuses_an_unknown_activation():
    with pytest.raises(ValueError, match="Unknown activation 'gelu', choose from lin"):
        bias_act(jnp.zeros((1, 2)), act="gelu")
    with pytest.raises(ValueError, match="Unknown activation 'gelu'"):
        activation_gain("gelu")
