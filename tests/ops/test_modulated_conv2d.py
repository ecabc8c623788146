"""Modulated convolution against its definition: one kernel for each image."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from stylegan_jax.ops import make_filter, modulated_conv2d

F = make_filter([1, 3, 3, 1])
UP = {"up": 2, "resample_filter": F}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def correlate(x, w):
    """One image [H, W, I] and its kernel [k, k, I, O], without padding."""
    k = w.shape[0]
    y = np.zeros((x.shape[0] - k + 1, x.shape[1] - k + 1, w.shape[3]))
    for i, j in itertools.product(range(y.shape[0]), range(y.shape[1])):
        y[i, j] = np.einsum("klc,klco->o", x[i : i + k, j : j + k], w)
    return y


def enlarge(x, pad):
    """One image with zeros between its pixels, through the low-pass filter."""
    y = np.zeros((2 * x.shape[0], 2 * x.shape[1], x.shape[2]))
    y[::2, ::2] = 4 * x
    y = np.pad(y, ((2 + pad, 1 + pad), (2 + pad, 1 + pad), (0, 0)))
    for axis in (0, 1):
        y = np.apply_along_axis(np.convolve, axis, y, F, "valid")
    return y


def reference(
    x, w, styles, *, demodulate=True, up=1, resample_filter=F, noise=None, bias=None
):
    """Karras et al. 2020, Eq. 1 and 3, image by image in float64."""
    images = []
    pad = w.shape[0] // 2
    for image, style in zip(np.float64(x), np.float64(styles), strict=True):
        kernel = np.float64(w) * style[:, None]
        if demodulate:
            kernel /= np.sqrt(np.sum(kernel**2, (0, 1, 2)) + 1e-8)
        if up == 2:
            # A transposed convolution turns the kernel.
            images.append(correlate(enlarge(image, pad), kernel[::-1, ::-1]))
        else:
            padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
            images.append(correlate(padded, kernel))
    y = np.stack(images)
    y = y if noise is None else y + np.float64(noise)
    return y if bias is None else y + np.float64(bias)


def arguments(size, inputs=5, outputs=4, n=2, height=4, width=6):
    x = noise(n, height, width, inputs)
    w = noise(size, size, inputs, outputs, seed=1)
    return x, w, noise(n, inputs, seed=2) + 1


def relative(y, expected):
    error = np.linalg.norm(np.asarray(y, np.float64) - expected)
    return error / np.linalg.norm(expected)


@pytest.mark.parametrize("options", [{}, UP], ids=["same", "up"])
@pytest.mark.parametrize("size", [1, 3])
def test_values(size, options):
    args = arguments(size)
    scale = options.get("up", 1)
    per_image = noise(2, 4 * scale, 6 * scale, 1, seed=3)
    shared = noise(1, 4 * scale, 6 * scale, 1, seed=4)
    extras = [
        {},
        {"demodulate": False},
        {"noise": per_image, "bias": noise(4, seed=5)},
        {"noise": shared, "demodulate": False},
    ]

    @jax.jit
    def outputs(*args):
        return [modulated_conv2d(*args, **options, **extra) for extra in extras]

    for y, extra in zip(outputs(*args), extras, strict=True):
        expected = reference(*args, **options, **extra)
        assert y.shape == expected.shape
        assert y.dtype == jnp.float32
        np.testing.assert_allclose(y, expected, atol=2e-5 * np.abs(expected).max())


def test_epilogue():
    """Noise and bias, then the activation, the gain, and the clamp last."""
    args = arguments(3)
    inside = {"noise": noise(2, 4, 6, 1, seed=3), "bias": noise(4, seed=5)}
    after = {"act": "lrelu", "gain": 3.0, "clamp": 1.5}
    y = jax.jit(lambda *args: modulated_conv2d(*args, **inside, **after))(*args)
    plain = reference(*args, **inside)
    expected = np.clip(np.where(plain > 0, plain, 0.2 * plain) * 3.0, -1.5, 1.5)
    assert np.abs(expected).max() == 1.5 and np.abs(expected).min() < 1.0
    np.testing.assert_allclose(y, expected, atol=2e-5)


def test_demodulated_output_has_unit_variance_whatever_the_styles():
    x = noise(2, 16, 16, 32)
    w, styles = noise(3, 3, 32, 8, seed=1), 100.0 * (noise(2, 32, seed=2) + 1)
    y = jax.jit(modulated_conv2d)(x, w, styles)
    assert np.std(y[:, 1:-1, 1:-1]) == pytest.approx(1.0, rel=0.1)
    again = jax.jit(modulated_conv2d)(x, w, styles * 1e-2)
    np.testing.assert_allclose(y, again, atol=1e-4)


@pytest.mark.parametrize(
    "dtype, tolerance", [(jnp.bfloat16, 2e-2), (jnp.float16, 2e-3)], ids=["bf16", "f16"]
)
def test_low_precision(dtype, tolerance):
    """Close to float64: a few roundings of relative size eps (2^-8 and 2^-11)."""
    x, w, styles = arguments(3, inputs=16)
    x = jnp.asarray(x, dtype)
    extra = {"noise": noise(1, 8, 12, 1, seed=3), "bias": noise(4, seed=5)}
    modes = [UP | extra, UP | {"demodulate": False}]
    outputs = jax.jit(lambda *args: [modulated_conv2d(*args, **m) for m in modes])
    for y, mode in zip(outputs(x, w, styles), modes, strict=True):
        assert y.dtype == dtype
        expected = reference(np.asarray(x, np.float32), w, styles, **mode)
        assert relative(y, expected) < tolerance


def test_float16_does_not_overflow():
    """With activations at the networks' clamp and styles and weights far above 1."""
    x, w, styles = arguments(3, inputs=64)
    x = jnp.asarray(np.sign(x) * 256, jnp.float16)
    w, styles = w * 100, np.abs(styles) * 3000

    @jax.jit
    def value_and_gradients(x, w, styles):
        y, vjp = jax.vjp(modulated_conv2d, x, w, styles)
        return y, vjp(jnp.ones_like(y))

    y, gradients = value_and_gradients(x, w, styles)
    expected = reference(np.asarray(x, np.float32), w, styles)
    # The products alone are far beyond float16's 65504.
    assert 256 * np.abs(w).max() * styles.max() > 1e6
    assert relative(y, expected) < 5e-3
    assert all(np.all(np.isfinite(g)) for g in gradients)


@pytest.mark.parametrize("options", [{}, UP], ids=["same", "up"])
def test_float16_scaling_leaves_gradients_alone(options):
    """What tames float16 cancels: gradients are those of float32."""
    x, w, styles = arguments(3)
    g = jnp.asarray(noise(2, 4, 6, 4, seed=7))
    g = jnp.repeat(jnp.repeat(g, 2, 1), 2, 2) if options else g

    @jax.jit
    def gradients(x, w, styles):
        def loss(w, styles):
            y = modulated_conv2d(x, w, styles, **options)
            return jnp.sum(y.astype(jnp.float32) * g)

        return jax.grad(loss, (0, 1))(w, styles)

    for half, full in zip(
        gradients(x.astype(np.float16), w, styles), gradients(x, w, styles), strict=True
    ):
        assert half.dtype == jnp.float32
        assert relative(half, np.float64(full)) < 5e-3


@pytest.mark.parametrize("options", [UP, {"demodulate": False}], ids=["up", "plain"])
def test_gradients_of_order_two(options):
    x, w, styles = arguments(3, inputs=2, outputs=1, n=1, height=2, width=2)
    b = noise(1, seed=5)

    @jax.jit
    def f(x, w, styles, b):
        y = modulated_conv2d(x, w, styles, bias=b, **options)
        return jnp.sum(jnp.tanh(y))

    check_grads(f, (x, w, styles, b), order=2, modes=["rev"], atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    "dtype, tolerance", [(jnp.bfloat16, 5e-2), (jnp.float16, 5e-3)], ids=["bf16", "f16"]
)
def test_second_derivatives_in_low_precision(dtype, tolerance):
    """The gradient of a gradient's norm, as in path length regularisation."""
    x, w, styles = arguments(3)
    g = noise(2, 8, 12, 4, seed=7)

    @jax.jit
    def penalty_gradients(x, w, styles):
        def response(styles, w):
            y = modulated_conv2d(x, w, styles, act="swish", **UP)
            return jnp.sum(y.astype(jnp.float32) * g)

        def penalty(w, styles):
            return jnp.sum(jnp.square(jax.grad(response)(styles, w)))

        return jax.grad(penalty, (0, 1))(w, styles)

    full = penalty_gradients(x, w, styles)
    low = penalty_gradients(jnp.asarray(x, dtype), w, styles)
    for ours, expected in zip(low, full, strict=True):
        assert relative(ours, np.float64(expected)) < tolerance


def test_refuses_an_unknown_implementation():
    with pytest.raises(ValueError) as error:
        modulated_conv2d(*arguments(3), implementation="cuda")
    assert str(error.value).startswith(
        "modulated_conv2d has no implementation 'cuda', choose from xla"
    )
    y = modulated_conv2d(*arguments(1), implementation="xla")
    np.testing.assert_allclose(y, reference(*arguments(1)), atol=1e-4)


def test_refuses_shapes_that_do_not_fit():
    x, w, styles = arguments(3)
    cases = [
        (x[0], w, styles, {}, r"x in modulated_conv2d has shape \(4, 6, 5\)"),
        (x, w[:, :, :3], styles, {}, r"w in .* \(any, any, 5, any\)"),
        (x, w, styles[:1], {}, r"styles in .* has shape \(1, 5\), expected \(2, 5\)"),
        (x, w, styles[:, :4], {}, r"styles in .* has shape \(2, 4\)"),
        (x, w, styles, {"bias": noise(1)}, r"bias in .* \(1,\), expected \(4\)"),
        (x, w[:2, :2], styles, {}, "takes 1x1 and 3x3 kernels"),
        (x, w, styles, {"up": 2}, "needs a resample_filter"),
        (x, w, styles, {"act": "gelu"}, "Unknown activation 'gelu'"),
    ]
    for *args, options, message in cases:
        with pytest.raises(ValueError, match=message):
            modulated_conv2d(*args, **options)
