"""Resampling convolutions, and the programs that XLA makes of their derivatives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads
from slow_convs import compiled, convolutions, slow

from stylegan_jax.ops import conv2d, make_filter

F = make_filter([1, 3, 3, 1])
FILTERS = [F, make_filter([1, 2, 1]), make_filter([0.2, 0.5, 0.1]), (0.7, 0.3), (1.0,)]
MODES = [{}, {"up": 2, "resample_filter": F}, {"down": 2, "resample_filter": F}]
IDS = ["same", "up", "down"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def valid(x, w):
    """Correlation without padding, by loops."""
    k = w.shape[0]
    n, height, width, _ = x.shape
    y = np.zeros((n, height - k + 1, width - k + 1, w.shape[3]))
    for i, j in itertools.product(range(y.shape[1]), range(y.shape[2])):
        y[:, i, j] = np.einsum("nklc,klco->no", x[:, i : i + k, j : j + k], w)
    return y


def filtered(x, f, before, after):
    """Pads rows and columns with zeros (or crops) and convolves both with f."""
    pads = (max(before, 0), max(after, 0))
    x = np.pad(x, ((0, 0), pads, pads, (0, 0)))
    if after < 0:
        x = x[:, :after, :after]
    for axis in (1, 2):
        x = np.apply_along_axis(np.convolve, axis, x, f, "valid")
    return x


def reference(x, w, up=1, down=1, resample_filter=()):
    """Filter the image, then correlate without padding, then drop.

    With ``up`` that is the other order than the operator's, whose transposed
    convolution comes first and turns the kernel by 180 degrees.
    """
    x, w = np.float64(x), np.float64(w)
    pad = w.shape[0] // 2
    length = len(resample_filter)
    if up == 2:
        n, height, width, channels = x.shape
        zeros = np.zeros((n, 2 * height, 2 * width, channels))
        zeros[:, ::2, ::2] = 4 * x
        before, after = (length + 1) // 2 + pad, (length - 2) // 2 + pad
        return valid(filtered(zeros, resample_filter, before, after), w[::-1, ::-1])
    if down == 2:
        before, after = (length - 1) // 2 + pad, (length - 2) // 2 + pad
        return valid(filtered(x, resample_filter, before, after), w)[:, ::2, ::2]
    return valid(np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))), w)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("f", FILTERS, ids=["binomial", "odd", "skewed", "even", "one"])
def test_values(f, size):
    x, w = noise(2, 6, 4, 3), noise(size, size, 3, 2, seed=1)
    modes = [{}, {"up": 2, "resample_filter": f}, {"down": 2, "resample_filter": f}]
    outputs = jax.jit(lambda x, w: [conv2d(x, w, **mode) for mode in modes])(x, w)
    for y, mode in zip(outputs, modes, strict=True):
        expected = reference(x, w, **mode)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, atol=1e-4)


@pytest.mark.parametrize(
    "mode, size",
    [(MODES[0], 3), (MODES[1], 3), (MODES[2], 3), (MODES[2], 1)],
    ids=[*IDS, "down-1x1"],
)
def test_gradients_of_order_two(mode, size):
    f = jax.jit(lambda x, w: conv2d(x, w, **mode))
    args = noise(1, 4, 2, 1), noise(size, size, 1, 2, seed=1)
    check_grads(f, args, order=2, modes=["rev"], atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_keeps_the_dtype(dtype):
    x, w = jnp.asarray(noise(1, 4, 6, 8), dtype), jnp.asarray(noise(3, 3, 8, 2), dtype)
    outputs = jax.jit(lambda x, w: [conv2d(x, w, **mode) for mode in MODES])(x, w)
    for y, mode in zip(outputs, MODES, strict=True):
        assert y.dtype == dtype
        expected = reference(x, w, **mode)
        error = np.linalg.norm(np.asarray(y, np.float64) - expected)
        assert error < 2 * float(jnp.finfo(dtype).eps) * np.linalg.norm(expected)


def test_refuses_what_it_does_not_do():
    x = jnp.zeros((1, 4, 4, 2))

    def kernel(*size):
        return jnp.zeros((*size, 2, 3))

    for w, options in [
        (kernel(5, 5), {}),
        (kernel(1, 3), {}),
        (kernel(2, 2), {}),
        (kernel(3, 3), {"up": 3}),
        (kernel(3, 3), {"up": 2, "down": 2}),
    ]:
        with pytest.raises(ValueError, match="conv2d takes 1x1 and 3x3 kernels at"):
            conv2d(x, w, resample_filter=F, **options)
    with pytest.raises(ValueError, match="needs a resample_filter"):
        conv2d(x, kernel(3, 3), up=2)
    with pytest.raises(ValueError, match=r"x in conv2d has shape \(1, 4, 4, 2\), exp"):
        conv2d(x, jnp.zeros((3, 3, 5, 3)))
    for size in (1, 3):
        with pytest.raises(ValueError, match=r"down=2 needs even sizes, got \(4, 3\)"):
            conv2d(x[:, :, :3], kernel(size, size), down=2, resample_filter=F)


# Height, order of the derivative, kernel; the heights are on both sides of the size
# where the weight gradients change their form.
@pytest.mark.parametrize(
    "height, order, size", [(10, 1, 3), (10, 2, 3), (4, 2, 3), (10, 2, 1)]
)
@pytest.mark.parametrize("mode", MODES, ids=IDS)
def test_no_derivative_runs_through_a_loop(mode, height, order, size):
    x, w = noise(2, height, height, 4), noise(size, size, 4, 5)
    text = compiled(lambda x, w: conv2d(x, w, **mode), order, x, w)
    assert "ENTRY" in text
    assert not slow(text), "\n".join(slow(text))
    if not mode and size == 3:
        assert len(convolutions(text)) >= 2 * order  # the parser sees them


def test_low_precision_does_not_run_through_a_loop():
    x, w = (
        jnp.asarray(noise(*s), jnp.bfloat16) for s in [(2, 10, 10, 4), (3, 3, 4, 5)]
    )
    text = compiled(conv2d, 2, x, w)
    assert convolutions(text) and not slow(text), "\n".join(slow(text))


def direct(**options):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lambda x, w: lax.conv_general_dilated(
        x, w, **{"window_strides": (1, 1), "dimension_numbers": numbers} | options
    )


@pytest.mark.parametrize(
    "f, order, reason",
    [
        (direct(padding=((2, 2),) * 2, lhs_dilation=(2, 2)), 0, "lhs_dilate=2x2"),
        (direct(padding=((2, 2),) * 2, lhs_dilation=(2, 2)), 1, "rhs_dilate=2x2"),
        (direct(padding="VALID", window_strides=(2, 2)), 0, "stride=2x2"),
        (direct(padding="VALID", window_strides=(2, 2)), 2, "dilate=2x2"),
        (direct(padding=((0, 1), (1, 0))), 0, "pad=0_1x1_0"),
        # Even plain convolutions, in the second derivative that XLA takes of them.
        (direct(padding="SAME"), 2, "rhs_reversal=1x1"),
    ],
    ids=["transposed", "transposed-d1", "strided", "strided-d2", "padded", "same-d2"],
)
def test_the_obvious_forms_do(f, order, reason):
    """The check above can fail."""
    text = compiled(f, order, noise(2, 10, 10, 4), noise(3, 3, 4, 5))
    assert any(reason in line for line in slow(text))
