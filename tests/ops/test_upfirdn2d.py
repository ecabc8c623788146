"""The operator against its four steps written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from stylegan_jax.ops import downsample2d, filter2d, make_filter, upfirdn2d, upsample2d

BINOMIAL = make_filter([1, 3, 3, 1])


def reference(x, f, up=1, down=1, padding=(0, 0, 0, 0), gain=1.0):
    """Zero-insert, pad or crop, convolve with the outer product of f, stride."""
    x = np.asarray(x, np.float64)
    n, h, w, c = x.shape
    y = np.zeros((n, h * up, w * up, c))
    y[:, ::up, ::up] = x
    top, bottom, left, right = (max(p, 0) for p in padding)
    y = np.pad(y, ((0, 0), (top, bottom), (left, right), (0, 0)))
    top, bottom, left, right = (max(-p, 0) for p in padding)
    y = y[:, top : y.shape[1] - bottom, left : y.shape[2] - right]
    kernel = np.outer(f, f) * gain
    size = len(f)
    out = np.zeros((n, y.shape[1] - size + 1, y.shape[2] - size + 1, c))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            window = y[:, i : i + size, j : j + size]
            out[:, i, j] = np.einsum("nklc,kl->nc", window, kernel[::-1, ::-1])
    return out[:, ::down, ::down]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


CASES = [
    # taps, up, down, padding, gain
    ([1.0], 1, 1, (0, 0, 0, 0), 1.0),
    ([0.2, 0.5, -0.3], 1, 1, (1, 1, 1, 1), 2.0),
    ([0.1, 0.7, 0.2, 0.4], 2, 1, (2, 1, 2, 1), 4.0),
    ([0.1, 0.7, 0.2, 0.4], 1, 2, (1, 1, 1, 1), 1.0),
    ([0.5, 0.1, 0.2], 2, 3, (3, -1, -2, 4), -1.5),
    ([0.5, 0.0, 0.2], 3, 2, (-2, -1, 0, 3), 9.0),
    ([0.3, 0.9], 2, 2, (0, 1, -1, 2), 1.0),
    ([0.3, 0.9, 0.4, 0.1, 0.6], 4, 3, (5, 2, 1, 7), 1.0),
    ([0.3, 0.9], 1, 3, (4, 3, 6, 0), 0.5),  # more padding than image
]


@pytest.mark.parametrize("f, up, down, padding, gain", CASES)
def test_values(f, up, down, padding, gain):
    x = noise(2, 7, 5, 3)
    options = {"up": up, "down": down, "padding": padding, "gain": gain}
    y = jax.jit(lambda x: upfirdn2d(x, tuple(f), **options))(x)
    expected = reference(x, f, **options)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, atol=1e-5)


pads = st.integers(-2, 4)


@settings(max_examples=20, deadline=None)
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    taps=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=5),
    up=st.integers(1, 3),
    down=st.integers(1, 3),
    padding=st.tuples(pads, pads, pads, pads),
)
def test_any_shape_and_its_transpose(size, taps, up, down, padding):
    x = jnp.asarray(noise(1, *size, 2))

    def op(x):
        return upfirdn2d(x, tuple(taps), up=up, down=down, padding=padding)

    lengths = [
        size[axis] * up + padding[2 * axis] + padding[2 * axis + 1] - len(taps)
        for axis in (0, 1)
    ]
    if min(lengths) // down + 1 < 1:
        with pytest.raises(ValueError, match="too short for a filter of"):
            op(x)
        return
    out = tuple(length // down + 1 for length in lengths)
    g = jnp.asarray(noise(1, *out, 2, seed=1))

    @jax.jit
    def both(x, g):
        y, transpose = jax.vjp(op, x)
        return y, transpose(g)[0]

    y, x_bar = both(x, g)
    np.testing.assert_allclose(
        y, reference(x, taps, up, down, padding), atol=1e-4, rtol=1e-4
    )
    # <A x, g> = <x, A' g>
    np.testing.assert_allclose(np.vdot(y, g), np.vdot(x, x_bar), atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    length=st.integers(1, 9),
    factor=st.integers(1, 4),
)
def test_sizes_of_the_resamplers(size, length, factor):
    x = jax.ShapeDtypeStruct((2, *size, 3), jnp.bfloat16)
    f = (1.0 / length,) * length

    def out(op, **options):
        return jax.eval_shape(lambda x: op(x, f, **options), x)

    assert out(filter2d).shape == x.shape
    height, width = size
    y = out(filter2d, padding=2)
    assert y.shape == (2, height + 4, width + 4, 3)
    y = out(upsample2d, up=factor)
    assert y.shape == (2, height * factor, width * factor, 3)
    assert y.dtype == jnp.bfloat16
    if min(size) >= factor:
        y = out(downsample2d, down=factor)
        assert y.shape == (2, height // factor, width // factor, 3)


@pytest.mark.parametrize(
    "taps", [[1, 1], [1, 3, 3, 1], [1, 2, 1], [1, 5, 10, 10, 5, 1]]
)
def test_resampling_keeps_the_brightness(taps):
    f = make_filter(taps)
    x = jnp.full((1, 12, 14, 1), 0.7)

    @jax.jit
    def all_three(x):
        return upsample2d(x, f), downsample2d(x, f), filter2d(x, f)

    for y in all_three(x):  # the border mixes with the zeros around the image
        np.testing.assert_allclose(y[:, 3:-3, 3:-3], 0.7, rtol=1e-5)


def test_resampling_does_not_shift_the_image():
    """The centre of mass of a dot stays at its place, in units of the image."""
    x = np.zeros((1, 16, 16, 1), np.float32)
    x[0, 6, 9] = 1.0

    @jax.jit
    def resampled(x):
        return upsample2d(x, BINOMIAL), downsample2d(upsample2d(x, BINOMIAL), BINOMIAL)

    for y in resampled(x):
        size = y.shape[1]
        mass = np.asarray(y[0, :, :, 0]) / np.sum(y)
        centres = (np.arange(size) + 0.5) / size
        assert np.sum(mass.sum(1) * centres) == pytest.approx(6.5 / 16, abs=1e-6)
        assert np.sum(mass.sum(0) * centres) == pytest.approx(9.5 / 16, abs=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_keeps_the_dtype(dtype):
    x = jnp.asarray(noise(1, 6, 6, 2), dtype)

    @jax.jit
    def there_and_back(x):
        y, transpose = jax.vjp(lambda x: upsample2d(x, BINOMIAL), x)
        return y, transpose(y)[0]

    y, x_bar = there_and_back(x)
    assert y.dtype == x_bar.dtype == dtype
    eps = float(jnp.finfo(dtype).eps)
    expected = reference(x, BINOMIAL, up=2, padding=(2, 1, 2, 1), gain=4.0)
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=8 * eps)


@pytest.mark.parametrize("f, up, down, padding, gain", [CASES[2], CASES[4]])
def test_gradients_of_order_two(f, up, down, padding, gain):
    op = jax.jit(
        lambda x: jnp.square(
            upfirdn2d(x, tuple(f), up=up, down=down, padding=padding, gain=gain)
        )
    )
    x = jnp.asarray(noise(1, 4, 3, 1))
    check_grads(op, (x,), order=2, modes=["rev"], atol=2e-2, rtol=2e-2)


def test_refuses_impossible_factors_and_sizes():
    x = jnp.zeros((1, 2, 2, 1))
    with pytest.raises(ValueError, match="at least 1, got 0 and 1"):
        upfirdn2d(x, BINOMIAL, up=0)
    with pytest.raises(ValueError, match="at least 1, got 1 and -2"):
        upfirdn2d(x, BINOMIAL, down=-2)
    with pytest.raises(ValueError, match="2 samples is too short for a filter of 4"):
        upfirdn2d(x, BINOMIAL)
    with pytest.raises(ValueError, match="needs at least one tap"):
        upfirdn2d(x, ())
