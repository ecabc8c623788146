import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.models.pix2pixhd import InstanceEncoder, instance_mean


def _by_hand(x, instances):
    out = np.array(x)
    for n in range(len(x)):
        for number in np.unique(instances[n]):
            mask = instances[n] == number
            out[n][mask] = x[n][mask].mean(0)
    return out


pool = jax.jit(instance_mean)


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=5),
    seed=st.integers(0, 2**16),
)
def test_every_instance_gets_its_mean(numbers, seed):
    rng = np.random.default_rng(seed)
    instances = rng.choice(np.array(numbers, np.int32), (2, 4, 6))
    x = rng.standard_normal((2, 4, 6, 3), dtype=np.float32)
    np.testing.assert_allclose(pool(x, instances), _by_hand(x, instances), atol=1e-5)


def test_the_same_number_in_two_pictures_is_two_instances():
    x = jnp.stack([jnp.zeros((2, 2, 1)), jnp.ones((2, 2, 1))])
    instances = jnp.full((2, 2, 2), 7)
    np.testing.assert_array_equal(instance_mean(x, instances), x)


def test_features_are_constant_within_an_instance():
    network = InstanceEncoder(width=4, downsamplings=1, feature_channels=2)
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 3))
    instances = jnp.arange(8)[None, :, None] // 4 + jnp.zeros((1, 8, 8), jnp.int32)
    y, _ = jax.jit(network.init_with_output)(jax.random.key(0), x, instances)
    assert y.shape == (1, 8, 8, 2)
    np.testing.assert_allclose(y[0, :4], jnp.broadcast_to(y[0, 0, 0], (4, 8, 2)))
    assert not np.allclose(y[0, 0, 0], y[0, 4, 0])
