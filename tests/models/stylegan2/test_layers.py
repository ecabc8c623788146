import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.stylegan2.layers import (
    Conv,
    Dense,
    block_dtype,
    channels_at,
    normalize_second_moment,
)

F = (0.125, 0.375, 0.375, 0.125)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def initialised(module, x):
    """Output of the freshly initialised module, and its variables."""
    return jax.jit(module.init_with_output)(jax.random.key(0), x)


def test_channels_at():
    widths = [channels_at(4 << i, 32768, 512) for i in range(9)]
    assert widths == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert channels_at(1024, 64, 8) == 1


@pytest.mark.parametrize(
    "num_blocks, low_blocks, low",
    # 256 px with NVIDIA's four: 32 px and up.
    [(7, 4, [3, 4, 5, 6]), (3, 4, [1, 2]), (4, 0, []), (1, 1, []), (3, 1, [2])],
)
def test_block_dtype(num_blocks, low_blocks, low):
    for name in ("bfloat16", "float16", "float32"):
        dtypes = [block_dtype(i, num_blocks, name, low_blocks) for i in range(99)]
        for i in range(num_blocks):
            assert dtypes[i] == jnp.dtype(name if i in low else "float32")


def test_block_dtype_refuses_an_unknown_name():
    with pytest.raises(ValueError) as error:
        block_dtype(0, 3, "half", 4)
    assert str(error.value) == (
        "Unknown dtype 'half', choose from float32, bfloat16, float16."
    )


def test_normalize_second_moment():
    x = noise(4, 64) * 7 + 3
    y = normalize_second_moment(jnp.asarray(x, jnp.float16))
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(np.mean(np.square(y), 1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(
        y, x / np.sqrt(np.mean(np.square(x), 1, keepdims=True)), atol=1e-2
    )
    assert np.all(normalize_second_moment(jnp.zeros((2, 8))) == 0)


def test_dense_is_its_formula():
    x, weight, bias = noise(3, 6), noise(6, 5, seed=1), noise(5, seed=2)
    module = Dense(5, "lrelu", lr_multiplier=0.02)
    variables = {"params": {"weight": weight, "bias": bias}}
    y = module.apply(variables, jnp.asarray(x, jnp.bfloat16))
    assert y.dtype == jnp.float32  # whatever comes in
    y = module.apply(variables, x)
    plain = np.float64(x) @ weight * 0.02 / 6**0.5 + bias * 0.02
    expected = np.where(plain > 0, plain, 0.2 * plain) * 2**0.5
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("lr_multiplier", [1.0, 0.01])
def test_dense_keeps_the_variance(lr_multiplier):
    """Whatever the learning rate; a larger weight is what it multiplies."""
    y, variables = initialised(Dense(200, lr_multiplier=lr_multiplier), noise(100, 300))
    assert np.var(y) == pytest.approx(1.0, rel=0.05)
    weight = variables["params"]["weight"]
    assert weight.dtype == jnp.float32
    assert np.std(weight) == pytest.approx(1 / lr_multiplier, rel=0.05)


def test_dense_bias_starts_at_its_value():
    y, _ = initialised(Dense(3, bias_init=1.0), np.zeros((2, 4), np.float32))
    np.testing.assert_array_equal(y, 1.0)


@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_keeps_the_second_moment(kernel):
    x = noise(2, 18, 18, 64)
    linear, variables = initialised(Conv(64, kernel, "linear"), x)
    assert np.var(linear[:, 1:-1, 1:-1]) == pytest.approx(1.0, rel=0.1)
    y = Conv(64, kernel, "lrelu").apply(variables, x)
    assert np.mean(np.square(y[:, 1:-1, 1:-1])) == pytest.approx(1.04, rel=0.1)


def test_conv_is_its_formula():
    x, weight, bias = noise(2, 4, 6, 5), noise(1, 1, 5, 3, seed=1), noise(3, seed=2)
    module = Conv(3, 1, "lrelu", conv_clamp=0.8)
    variables = {"params": {"weight": weight, "bias": bias}}
    y = module.apply(variables, x, gain=0.5)
    plain = np.float64(x) @ weight[0, 0] / 5**0.5 + bias
    expected = np.where(plain > 0, plain, 0.2 * plain) * 2**0.5 * 0.5
    assert np.abs(expected).max() > 0.4  # the clamp shrinks with the gain
    np.testing.assert_allclose(y, np.clip(expected, -0.4, 0.4), atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_conv_resamples_in_the_dtype_of_its_input(kernel, dtype):
    x = jax.ShapeDtypeStruct((2, 6, 10, 4), dtype)
    for options, size in [
        ({}, (6, 10)),
        ({"up": 2}, (12, 20)),
        ({"down": 2}, (3, 5)),
    ]:
        module = Conv(7, kernel, use_bias=False, resample_filter=F, **options)
        out, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
        assert (out.shape, out.dtype) == ((2, *size, 7), dtype)
        assert set(variables["params"]) == {"weight"}
        assert variables["params"]["weight"].dtype == jnp.float32
