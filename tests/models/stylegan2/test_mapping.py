import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.stylegan2.mapping import MappingNetwork


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def normalise(x):
    return x / np.sqrt(np.mean(np.square(x), 1, keepdims=True) + 1e-8)


def dense(params, x, lr=1.0):
    weight, bias = np.float64(params["weight"]), np.float64(params["bias"])
    return x @ weight * lr / x.shape[1] ** 0.5 + bias * lr


def initialised(module, *inputs):
    w, variables = jax.jit(module.init_with_output)(jax.random.key(0), *inputs)
    # Biases start at 0; a formula that forgets them must not pass.
    params = {
        name: {"weight": p["weight"], "bias": noise(*p["bias"].shape) * 10}
        for name, p in variables["params"].items()
    }
    return w, variables | {"params": params}


def reference(params, parts, layers, lr):
    x = np.concatenate(parts, 1)
    for i in range(layers):
        x = dense(params[f"fc{i}"], x, lr)
        x = np.where(x > 0, x, 0.2 * x) * 2**0.5
    return x


@pytest.mark.parametrize("layers", [1, 3])
def test_without_labels(layers):
    module = MappingNetwork(
        z_dim=6, c_dim=0, w_dim=5, num_layers=layers, lr_multiplier=0.02
    )
    z = noise(4, 6)
    _, variables = initialised(module, z)
    assert set(variables["params"]) == {f"fc{i}" for i in range(layers)}
    w = module.apply(variables, z)
    expected = reference(variables["params"], [normalise(z)], layers, 0.02)
    np.testing.assert_allclose(w, expected, atol=1e-5)


def test_with_labels():
    module = MappingNetwork(z_dim=6, c_dim=3, w_dim=5, num_layers=2)
    z, c = noise(4, 6), noise(4, 3, seed=1)
    _, variables = initialised(module, z, c)
    params = variables["params"]
    assert params["embed"]["weight"].shape == (3, 5)  # as wide as w
    assert params["fc0"]["weight"].shape == (6 + 5, 5)
    label = normalise(dense(params["embed"], c))
    expected = reference(params, [normalise(z), label], 2, 0.01)
    np.testing.assert_allclose(module.apply(variables, z, c), expected, atol=1e-5)
    assert not np.allclose(module.apply(variables, z, -c), expected, atol=1e-2)


def test_labels_alone_as_in_a_discriminator():
    module = MappingNetwork(z_dim=0, c_dim=3, w_dim=5, num_layers=1, track_w_avg=False)
    c = noise(4, 3)
    _, variables = initialised(module, None, c)
    assert set(variables) == {"params"}
    params = variables["params"]
    label = normalise(dense(params["embed"], c))
    np.testing.assert_allclose(
        module.apply(variables, None, c), reference(params, [label], 1, 0.01), atol=1e-5
    )


def test_only_the_direction_of_z_matters():
    module = MappingNetwork(z_dim=16, c_dim=0, w_dim=8, num_layers=2)
    z = noise(4, 16)
    w, variables = jax.jit(module.init_with_output)(jax.random.key(0), z)
    np.testing.assert_allclose(module.apply(variables, 30 * z), w, atol=1e-5)


def test_output_has_unit_variance_at_the_start_whatever_the_learning_rate():
    z = noise(128, 128)
    for lr in (0.01, 1.0):
        module = MappingNetwork(
            z_dim=128, c_dim=0, w_dim=128, num_layers=4, lr_multiplier=lr
        )
        w, variables = jax.jit(module.init_with_output)(jax.random.key(0), z)
        assert w.dtype == jnp.float32
        assert np.mean(np.square(w)) == pytest.approx(1.0, rel=0.35)
        w_avg = variables["moving_stats"]["w_avg"]
        assert w_avg.shape == (128,) and not np.any(w_avg)


def test_refuses_missing_inputs():
    conditional = MappingNetwork(z_dim=6, c_dim=3, w_dim=5, num_layers=1)
    with pytest.raises(ValueError, match=r"is conditional: it needs c of shape \[N, 3"):
        conditional.init(jax.random.key(0), jnp.zeros((2, 6)))
    with pytest.raises(ValueError, match=r"needs z of shape \[N, 6\]"):
        conditional.init(jax.random.key(0), None, jnp.zeros((2, 3)))
