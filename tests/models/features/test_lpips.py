import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.features import LPIPS, VGG, AlexNet, inputs
from stylegan_jax.models.features.lpips import TAPS, unit_length

WIDTH = 4


@pytest.fixture(scope="module", params=["alex", "vgg"])
def network(request):
    module = LPIPS(request.param, WIDTH)
    x, y = jax.random.uniform(jax.random.key(1), (2, 2, 48, 40, 3), minval=-1)
    variables = jax.jit(module.init)(jax.random.key(0), x, y)
    rng = np.random.default_rng(0)
    for i in range(5):
        shape = variables["params"][f"lin{i}"].shape
        variables["params"][f"lin{i}"] = jnp.asarray(rng.random(shape), jnp.float32)
    return module, variables, x, y, jax.jit(module.apply)


def test_equal_pictures_are_at_zero_and_the_order_does_not_matter(network):
    _, variables, x, y, apply = network
    assert np.asarray(apply(variables, x, x)).tolist() == [0, 0]
    there, back = apply(variables, x, y), apply(variables, y, x)
    assert (np.asarray(there) > 0).all()
    np.testing.assert_allclose(there, back, rtol=1e-6)


def test_the_distance_is_the_weighted_sum_of_the_paper(network):
    module, variables, x, y, apply = network
    trunk = AlexNet(WIDTH) if module.trunk == "alex" else VGG(16, WIDTH)
    params = variables["params"]

    @jax.jit
    def features(p):
        return trunk.apply({"params": params["trunk"]}, p, TAPS[module.trunk])

    fx, fy = features(inputs.lpips(x)), features(inputs.lpips(y))
    want = np.zeros(2)
    for i, tap in enumerate(TAPS[module.trunk]):
        a, b = np.asarray(fx[tap], np.float64), np.asarray(fy[tap], np.float64)
        a = a / (np.sqrt((a**2).sum(-1, keepdims=True)) + 1e-10)
        b = b / (np.sqrt((b**2).sum(-1, keepdims=True)) + 1e-10)
        weight = np.asarray(params[f"lin{i}"], np.float64)
        want += (((a - b) ** 2) * weight).sum(-1).mean((1, 2))
    np.testing.assert_allclose(apply(variables, x, y), want, rtol=1e-5)


def test_the_gradient_is_finite_where_no_channel_is_active():
    x = jnp.array([[[0.0, 0.0], [3.0, 4.0]]])
    np.testing.assert_allclose(unit_length(x), [[[0, 0], [0.6, 0.8]]], rtol=1e-6)
    gradient = jax.grad(lambda x: unit_length(x).sum())(x)
    assert np.isfinite(gradient).all()


def test_refusals():
    x = jnp.zeros((1, 40, 40, 3))
    with pytest.raises(ValueError, match="trunk 'squeeze', choose from alex, vgg"):
        LPIPS("squeeze").init(jax.random.key(0), x, x)
    with pytest.raises(ValueError, match="alex compares .* at least 31 pixels.*30x40"):
        LPIPS("alex").init(jax.random.key(0), x[:, :30], x[:, :30])
    with pytest.raises(ValueError, match="vgg compares .* at least 16 pixels.*40x15"):
        LPIPS("vgg").init(jax.random.key(0), x[:, :, :15], x[:, :, :15])
    with pytest.raises(ValueError, match="equal shapes"):
        LPIPS("alex").init(jax.random.key(0), x, x[:, :39])
