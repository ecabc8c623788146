import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models.facespace import Encoder


def test_ratios_alone_count():
    module = Encoder(input_dim=4, features=(4, 8), num_ws=3, w_dim=5)
    v = jnp.array([[1.0, 0.0, 2.0, 0.5]])
    w_plus, variables = module.init_with_output(jax.random.key(0), v)
    assert w_plus.shape == (1, 3, 5) and w_plus.dtype == jnp.float32
    np.testing.assert_allclose(module.apply(variables, 7 * v), w_plus, rtol=1e-5)
    assert not np.allclose(module.apply(variables, v + 1), w_plus)


def test_the_last_layer_has_no_activation():
    module = Encoder(input_dim=2, features=(), num_ws=1, w_dim=64)
    v = jax.random.normal(jax.random.key(1), (4, 2))
    variables = module.init(jax.random.key(0), v)
    got = module.apply(variables, v)
    # Odd in its input: any rectifier would break the symmetry.
    np.testing.assert_allclose(module.apply(variables, -v), -got, atol=1e-6)
