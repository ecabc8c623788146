"""Each operator in its two forms against explicit loops, and its derivatives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from stylegan_jax.ops import bilinear_convs as bc


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def taps():
    return itertools.product(range(3), range(3))


def loop_same(x, w):
    n, height, width, _ = x.shape
    padded = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.zeros((n, height, width, w.shape[3]))
    for i, j in itertools.product(range(height), range(width)):
        for a, b in taps():
            y[:, i, j] += padded[:, i + a, j + b] @ w[a, b]
    return y


def loop_same_wgrad(x, g):
    padded = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    w = np.zeros((3, 3, x.shape[3], g.shape[3]))
    for i, j in itertools.product(range(g.shape[1]), range(g.shape[2])):
        for a, b in taps():
            w[a, b] += padded[:, i + a, j + b].T @ g[:, i, j]
    return w


def loop_down(x, w):
    height, width = (x.shape[1] - 1) // 2, (x.shape[2] - 1) // 2
    y = np.zeros((x.shape[0], height, width, w.shape[3]))
    for i, j in itertools.product(range(height), range(width)):
        for a, b in taps():
            y[:, i, j] += np.float64(x)[:, 2 * i + a, 2 * j + b] @ w[a, b]
    return y


def loop_down_wgrad(x, g):
    w = np.zeros((3, 3, x.shape[3], g.shape[3]))
    for i, j in itertools.product(range(g.shape[1]), range(g.shape[2])):
        for a, b in taps():
            w[a, b] += np.float64(x)[:, 2 * i + a, 2 * j + b].T @ g[:, i, j]
    return w


def loop_up(x, w):
    n, height, width, _ = x.shape
    y = np.zeros((n, 2 * height + 1, 2 * width + 1, w.shape[3]))
    for i, j in itertools.product(range(height), range(width)):
        for a, b in taps():
            y[:, 2 * i + a, 2 * j + b] += np.float64(x)[:, i, j] @ w[a, b]
    return y


KERNEL = (3, 3, 3, 2)
# operator, loop, form for a CPU, form for accelerators, shapes of the arguments. The
# weight gradients change their form with the size.
CASES = {
    "same": (bc.same, loop_same, None, None, (2, 5, 4, 3), KERNEL),
    "same-one-pixel": (bc.same, loop_same, None, None, (1, 1, 1, 3), KERNEL),
    "down": (bc.down, loop_down, bc._down_taps, bc._down_conv, (2, 9, 7, 3), KERNEL),
    "up": (bc.up, loop_up, bc._up_gemm, bc._up_conv, (2, 4, 3, 3), KERNEL),
    "up-one-pixel": (bc.up, loop_up, bc._up_gemm, bc._up_conv, (1, 1, 1, 3), KERNEL),
} | {
    f"{name}-{size}": (*functions, *shapes)
    for name, functions, sizes in [
        (
            "same_wgrad",
            (bc.same_wgrad, loop_same_wgrad, bc._same_wgrad_cpu, bc._same_wgrad_conv),
            {
                "small": ((2, 5, 4, 3), (2, 5, 4, 2)),
                "large": ((2, 9, 11, 3), (2, 9, 11, 2)),
                "large-deep": ((1, 128, 1, 128), (1, 128, 1, 2)),
            },
        ),
        (
            "down_wgrad",
            (bc.down_wgrad, loop_down_wgrad, bc._down_wgrad_cpu, bc._down_wgrad_conv),
            {
                "small": ((2, 9, 7, 3), (2, 4, 3, 2)),
                "large": ((1, 19, 17, 3), (1, 9, 8, 2)),
            },
        ),
    ]
    for size, shapes in sizes.items()
}
SMALL = ["same", "same_wgrad-small", "down", "down_wgrad-small", "up"]


@pytest.mark.parametrize("name", CASES)
def test_both_forms_equal_the_loop(name):
    operator, loop, cpu, accelerator, *shapes = CASES[name]
    a, b = noise(*shapes[0]), noise(*shapes[1], seed=1)
    expected = loop(a, b)
    forms = [f for f in (operator, cpu, accelerator) if f is not None]
    for y in jax.jit(lambda a, b: [f(a, b) for f in forms])(a, b):
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_low_precision_keeps_dtype_and_sums_in_float32(name):
    dtype = jnp.bfloat16
    operator, loop, _, _, *shapes = CASES[name]
    a, b = jnp.asarray(noise(*shapes[0]), dtype), jnp.asarray(noise(*shapes[1]), dtype)

    @jax.jit
    def value_and_gradients(a, b):
        y, vjp = jax.vjp(operator, a, b)
        return y, *vjp(y)

    y, *gradients = value_and_gradients(a, b)
    assert {g.dtype for g in (y, *gradients)} == {jnp.dtype(dtype)}
    expected = loop(np.asarray(a, np.float32), np.asarray(b, np.float32))
    # Nothing but the rounding of the result, which is half a unit in the last place.
    error = np.abs(np.asarray(y, np.float64) - expected)
    eps = float(jnp.finfo(dtype).eps)
    assert np.all(error <= eps * np.abs(expected) + 1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_of_order_two(name):
    operator, *_, left, right = CASES[name]
    a, b = noise(1, *left[1:]) / 2, noise(*right, seed=1) / 2
    if "wgrad" in name:
        b = b[:1]
    check_grads(jax.jit(operator), (a, b), order=2, modes=["rev"], atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_the_adjoints(name):
    """<f(a, b), g> = <a, df/da' g> = <b, df/db' g>, as f is linear in both."""
    operator, *_, left, right = CASES[name]
    a, b = noise(*left), noise(*right, seed=1)

    @jax.jit
    def adjoints(a, b):
        y, vjp = jax.vjp(operator, a, b)
        g = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        return jnp.vdot(y, g), *map(jnp.vdot, (a, b), vjp(g))

    value, *others = adjoints(a, b)
    np.testing.assert_allclose(others, [value] * 2, rtol=1e-4, atol=1e-4)


class Differentiated(Exception):
    """Autodiff entered a form instead of an operator's rule."""


def opaque(form):
    """The form as a function of two arrays that must not be differentiated."""

    def refuse(*_):
        raise Differentiated

    def call(a, b, *args, **kwargs):
        function = jax.custom_vjp(lambda a, b: form(a, b, *args, **kwargs))
        function.defvjp(refuse, refuse)
        return function(a, b)

    return call


def derivative(f):
    """The gradient of the sum of sin(f): nonlinear, so that every order is there."""

    def total(args):
        return sum(jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(f(*args)))

    return lambda *args: jax.grad(total)(args)


@pytest.mark.parametrize("name", SMALL)
def test_closed_under_differentiation(name, monkeypatch):
    """Derivatives of order three are traced without differentiating any form."""
    for form in vars(bc).copy():
        if form.endswith(("_cpu", "_conv", "_taps", "_gemm")) and form != "_wgrad_taps":
            monkeypatch.setattr(bc, form, opaque(getattr(bc, form)))
    convolve = opaque(jax.lax.conv_general_dilated)
    monkeypatch.setattr(jax.lax, "conv_general_dilated", convolve)
    operator, _, cpu, _, *shapes = CASES[name]
    args = [noise(*shape) for shape in shapes]

    third = derivative(derivative(derivative(operator)))
    out = jax.eval_shape(third, *args)
    assert [x.shape for x in out] == shapes
    form = getattr(bc, cpu.__name__) if cpu else bc._same_wgrad_conv
    args = args if cpu else [args[0], args[0]]
    with pytest.raises(Differentiated):  # the trap does close
        jax.eval_shape(derivative(form), *args)
