"""Winograd's convolution computes what a plain sum does, in every order."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from stylegan_jax.ops import bilinear_convs, winograd

SHAPES = [(2, 8, 8, 3, 5), (1, 4, 4, 2, 2), (3, 5, 7, 4, 3), (1, 1, 9, 2, 6)]


def plain(x, w):
    """The same sum in float64."""
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(
        x[:, a : a + height, b : b + width] @ w[a, b]
        for a in range(3)
        for b in range(3)
    )


def arrays(n, height, width, inputs, outputs):
    rng = np.random.default_rng(0)
    shapes = (n, height, width, inputs), (3, 3, inputs, outputs)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    g = rng.standard_normal((n, height, width, outputs)).astype(np.float32)
    return x, w, g


def halving(x, w):
    """The plain sum at stride 2 without padding, in float64."""
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    rows, columns = x.shape[1] - 2, x.shape[2] - 2
    return sum(
        x[:, a : a + rows : 2, b : b + columns : 2] @ w[a, b]
        for a in range(3)
        for b in range(3)
    )


def off(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("shape", SHAPES)
def test_is_a_convolution(shape):
    x, w, _ = arrays(*shape)
    assert off(winograd.correlate(x, w, *x.shape[1:3]), plain(x, w)) < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_weight_gradient(shape):
    x, w, g = arrays(*shape)
    # <correlate(x, w), g> is linear in w, so that its gradient is its values at units.
    units = np.eye(w.size, dtype=np.float64).reshape(-1, *w.shape)
    wanted = [np.sum(plain(x, unit) * g) for unit in units]
    found = winograd.weight_gradient(x, g)
    assert off(found, np.reshape(wanted, w.shape)) < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_halving_its_adjoint_and_its_weight_gradient(shape):
    n, height, width, inputs, outputs = shape
    _, w, g = arrays(*shape)
    size = (n, 2 * height + 1, 2 * width + 1, inputs)
    x = np.random.default_rng(1).standard_normal(size).astype(np.float32)
    found = winograd.correlate(x, w, height, width, winograd.HALF)
    assert off(found, halving(x, w)) < 1e-5
    # <halving(x, w), g> is linear in x and in w: its gradients are values at units.
    for argument, gradient in (
        (x, winograd.double(g, w.swapaxes(2, 3))),
        (w, winograd.weight_gradient(x, g, winograd.HALF)),
    ):
        at = np.random.default_rng(2).choice(argument.size, 20, replace=False)
        units = np.eye(argument.size)[at].reshape(-1, *argument.shape)
        wanted = [
            np.sum((halving(x, unit) if argument is w else halving(unit, w)) * g)
            for unit in units
        ]
        assert off(np.ravel(gradient)[at], wanted) < 1e-5


def test_many_channels_lose_nothing():
    x, w, g = arrays(1, 12, 12, 200, 150)
    assert off(winograd.correlate(x, w, *x.shape[1:3]), plain(x, w)) < 1e-5
    wanted = jax.vjp(lambda w: bilinear_convs.same(jnp.asarray(x), w), w)[1](g)[0]
    assert off(winograd.weight_gradient(x, g), np.asarray(wanted)) < 1e-5


@pytest.fixture
def always(monkeypatch):
    """Small pictures and few channels take it too."""
    monkeypatch.setattr(bilinear_convs, "_takes_winograd", lambda *_: True)


@pytest.mark.parametrize("name", ["same", "down", "up"])
def test_derivatives_of_both_orders(always, name):
    x, w, _ = arrays(1, 5, 7, 2, 2)
    operator = getattr(bilinear_convs, name)

    def function(x, w):
        return jnp.sum(jnp.tanh(operator(x, w)))

    check_grads(function, (x, w), order=2, modes=["rev"], rtol=2e-2, atol=2e-2)


def convolutions(function, *args):
    """How many convolutions a CPU program has."""
    return jax.jit(function).lower(*args).compile().as_text().count(" convolution(")


@pytest.mark.parametrize(
    ("shape", "dtype", "taken"),
    [
        ((8, 32, 32, 128, 256), "float32", True),
        ((8, 64, 64, 512, 127), "float32", False),  # few channels
        ((8, 8, 8, 512, 1024), "float32", False),  # few tiles
        ((8, 16, 16, 128, 128), "float32", False),  # little to do
        ((8, 32, 32, 128, 256), "bfloat16", False),  # too coarse
    ],
)
def test_is_taken_where_it_pays(shape, dtype, taken):
    n, height, width, inputs, outputs = shape
    x = jax.ShapeDtypeStruct((n, height, width, inputs), dtype)
    w = jax.ShapeDtypeStruct((3, 3, inputs, outputs), dtype)
    assert (convolutions(bilinear_convs.same, x, w) == 0) is taken


@pytest.mark.parametrize(
    ("side", "inputs", "outputs", "taken"),
    [(32, 128, 256, True), (16, 512, 512, True), (8, 512, 512, False)]
    + [(64, 64, 128, False), (16, 128, 128, False)],
)
def test_strides_take_it_where_it_pays(side, inputs, outputs, taken):
    x = jax.ShapeDtypeStruct((8, 2 * side + 1, 2 * side + 1, inputs), "float32")
    g = jax.ShapeDtypeStruct((8, side, side, outputs), "float32")
    w = jax.ShapeDtypeStruct((3, 3, inputs, outputs), "float32")
    back = jax.ShapeDtypeStruct((3, 3, outputs, inputs), "float32")
    for operator, arguments in (
        (bilinear_convs.down, (x, w)),
        (bilinear_convs.up, (g, back)),
        (bilinear_convs.down_wgrad, (x, g)),
    ):
        text = jax.jit(operator).lower(*arguments).as_text()
        assert (text.count("dot_general") >= 81) is taken, operator
