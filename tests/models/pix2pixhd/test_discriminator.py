import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.pix2pixhd import MultiscaleDiscriminator
from stylegan_jax.models.pix2pixhd.layers import halve


def test_features_of_every_layer_at_every_scale():
    network = MultiscaleDiscriminator(width=8, layers=2, scales=3)
    x = jax.random.normal(jax.random.key(1), (2, 32, 24, 6))
    results, _ = jax.jit(network.init_with_output)(jax.random.key(0), x)
    assert [len(scale) for scale in results] == [4, 4, 4]
    assert [y.shape for y in results[0]] == [
        (2, 17, 13, 8),
        (2, 9, 7, 16),
        (2, 10, 8, 32),
        (2, 11, 9, 1),
    ]
    assert results[1][0].shape == (2, 9, 7, 8)


def test_the_second_scale_is_the_first_of_a_smaller_picture():
    network = MultiscaleDiscriminator(width=4, layers=1, scales=2)
    x = jax.random.normal(jax.random.key(1), (1, 16, 16, 6))
    results, variables = jax.jit(network.init_with_output)(jax.random.key(0), x)
    single = MultiscaleDiscriminator(width=4, layers=1, scales=1)
    params = {"scale0": variables["params"]["scale1"]}
    (alone,) = single.apply({"params": params}, halve(x))
    np.testing.assert_allclose(alone[-1], results[1][-1], atol=1e-5)


def test_layers_stop_widening():
    network = MultiscaleDiscriminator(width=200, layers=3, scales=1)
    x = jax.ShapeDtypeStruct((1, 32, 32, 6), jnp.float32)
    ((*features, _),), _ = jax.eval_shape(
        network.init_with_output, jax.random.key(0), x
    )
    assert [y.shape[3] for y in features] == [200, 400, 512, 512]


def test_a_sigmoid_makes_probabilities_of_the_scores_alone():
    network = MultiscaleDiscriminator(width=4, layers=1, scales=1)
    x = jax.random.normal(jax.random.key(1), (1, 16, 16, 6))
    ((*features, scores),), variables = jax.jit(network.init_with_output)(
        jax.random.key(0), x
    )
    ((*same, chances),) = network.clone(use_sigmoid=True).apply(variables, x)
    np.testing.assert_allclose(chances, jax.nn.sigmoid(scores), rtol=1e-5)
    np.testing.assert_allclose(same[-1], features[-1], rtol=1e-5)


@pytest.mark.parametrize("field", ["layers", "scales"])
def test_networks_that_would_trace_for_ever_are_refused(field):
    network = MultiscaleDiscriminator(**{field: 2**20})
    x = jax.ShapeDtypeStruct((1, 32, 32, 6), jnp.float32)
    with pytest.raises(ValueError, match=f"{field} must be from 1 to 8, got 1048576"):
        jax.eval_shape(network.init, jax.random.key(0), x)
