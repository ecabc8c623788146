import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.pix2pixhd import GlobalGenerator, LocalEnhancer

TINY = {"width": 4, "downsamplings": 2, "residual_blocks": 1}


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize(
    "network",
    [
        GlobalGenerator(input_channels=5, img_channels=2, **TINY),
        LocalEnhancer(input_channels=5, img_channels=2, enhancers=2, **TINY),
    ],
    ids=["global", "local"],
)
def test_a_picture_has_the_size_of_the_input(network, norm):
    network = network.clone(norm=norm)
    x = jnp.zeros((2, 3 * network.multiple, 2 * network.multiple, 5))
    y, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), x)
    assert y.shape == (*x.shape[:3], 2)
    assert ("batch_stats" in variables) == (norm == "batch")


def test_pictures_stay_within_their_range_and_do_not_depend_on_each_other():
    network = GlobalGenerator(**TINY)
    x = 9 * jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    y, variables = jax.jit(network.init_with_output)(jax.random.key(0), x)
    assert jnp.abs(y).max() <= 1 and y.std() > 0
    np.testing.assert_allclose(network.apply(variables, x[:1]), y[:1], atol=1e-5)


def test_training_reaches_every_parameter_and_the_statistics():
    network = LocalEnhancer(
        norm="batch", enhancer_blocks=1, width=2, downsamplings=1, residual_blocks=1
    )
    x = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
    variables = network.init(jax.random.key(0), x)

    @jax.jit
    def loss(params):
        y, changed = network.apply(
            {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        return jnp.mean(jnp.square(y - 0.5)), changed

    gradients, changed = jax.grad(loss, has_aux=True)(variables["params"])
    flat = jax.tree_util.tree_leaves_with_path(gradients)
    # A bias ahead of a normalisation changes nothing, so kernels are looked at.
    kernels = [gradient for path, gradient in flat if "kernel" in str(path[-1])]
    assert kernels and all(jnp.any(gradient != 0) for gradient in kernels)
    before, after = variables["batch_stats"], dict(changed)["batch_stats"]
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), before, after)
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (GlobalGenerator(downsamplings=2**20), "downsamplings must be from 0 to 8"),
        (GlobalGenerator(residual_blocks=2**20), "residual_blocks must be from 0 to"),
        (GlobalGenerator(width=0), "width must be from 1"),
        (LocalEnhancer(enhancers=2**20), "enhancers must be from 1 to 4"),
        (LocalEnhancer(enhancer_blocks=2**20), "residual_blocks must be from 0"),
    ],
)
def test_networks_that_would_trace_for_ever_are_refused(network, sentence):
    x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(network.init, jax.random.key(0), x)
