import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.pix2pixhd.layers import (
    ConvNorm,
    Norm,
    UpNorm,
    halve,
    pad_reflect,
)


def test_padding_mirrors_without_the_edge():
    x = jnp.arange(4.0).reshape(1, 4, 1, 1) + jnp.zeros((1, 4, 4, 1))
    assert pad_reflect(x, 2)[0, :, 2, 0].tolist() == [2, 1, 0, 1, 2, 3, 2, 1]


def test_halving_means_the_pixels_that_there_are():
    x = jnp.arange(5.0).reshape(1, 1, 5, 1) * jnp.ones((1, 5, 1, 1))
    row = halve(x)[0, 1, :, 0]
    np.testing.assert_allclose(row, [0.5, 2.0, 3.5], rtol=1e-6)


def test_instance_norm_looks_at_each_picture_alone():
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3)) * 3 + 5
    y = Norm("instance").apply({}, x)
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), 1, atol=1e-4)
    np.testing.assert_allclose(Norm("instance").apply({}, x[:1]), y[:1], atol=1e-6)


def test_batch_norm_reads_its_statistics_and_training_updates_them():
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 3)) * 3 + 5
    norm = Norm("batch")
    variables = norm.init(jax.random.key(1), x)
    np.testing.assert_allclose(
        norm.apply(variables, x) / variables["params"]["bn"]["scale"], x, rtol=1e-4
    )
    y, changed = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    y = (y - variables["params"]["bn"]["bias"]) / variables["params"]["bn"]["scale"]
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-5)
    mean = changed["batch_stats"]["bn"]["mean"]
    np.testing.assert_allclose(mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (9, 6)])
def test_a_stride_of_two_rounds_up(size):
    layer = ConvNorm(5, 3, "instance", stride=2)
    y, _ = layer.init_with_output(jax.random.key(0), jnp.zeros((1, *size, 3)))
    assert y.shape == (1, (size[0] + 1) // 2, (size[1] + 1) // 2, 5)


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_upsampling_doubles(upsampling):
    layer = UpNorm(5, "instance", upsampling)
    y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 4, 6, 3)))
    assert y.shape == (2, 8, 12, 5)
    assert variables["params"]["conv"]["kernel"].shape == (3, 3, 3, 5)


def test_resizing_leaves_no_checkerboard():
    x = jnp.ones((1, 8, 8, 3))
    layer = UpNorm(2, "batch", "resize")
    y, _ = layer.init_with_output(jax.random.key(0), x)
    np.testing.assert_allclose(y, jnp.broadcast_to(y[:, :1, :1], y.shape), atol=1e-6)


def test_unknown_options_are_refused():
    x = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(ValueError, match="Unknown norm 'layer', choose from instance"):
        Norm("layer").init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="Unknown upsampling 'shuffle'"):
        UpNorm(2, "batch", "shuffle").init(jax.random.key(0), x)


def test_instance_norm_with_scale_and_bias():
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3)) * 4 + 2
    layer = Norm("instance_affine")
    variables = layer.init(jax.random.key(1), x)
    assert set(variables["params"]) == {"scale", "bias"}
    params = {"scale": jnp.array([1.0, 2.0, 3.0]), "bias": jnp.array([0.0, 1.0, -1.0])}
    y = layer.apply({"params": params}, x)
    plain = Norm("instance").apply({}, x)
    np.testing.assert_allclose(y, plain * params["scale"] + params["bias"], atol=1e-5)


def test_batch_norm_looks_at_all_devices():
    x = jax.random.normal(jax.random.key(0), (4, 3, 3, 2)) * 2 + 1
    layer = Norm("batch")
    variables = layer.init(jax.random.key(1), x)

    def apply(part):
        return layer.apply(
            variables, part, train=True, axis_name="data", mutable=["batch_stats"]
        )

    whole, moved = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    parts, stats = jax.vmap(apply, axis_name="data")(x.reshape(2, 2, 3, 3, 2))
    np.testing.assert_allclose(parts.reshape(x.shape), whole, atol=1e-5)
    for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a[0], b, atol=1e-6)
