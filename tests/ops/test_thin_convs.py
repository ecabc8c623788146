"""Wide kernels from and to pictures equal the library's convolution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.test_util import check_grads

from stylegan_jax.ops.thin_convs import correlate, is_thin, pointwise

RNG = np.random.default_rng(0)


def library(x, w):
    return lax.conv_general_dilated(
        x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("size", "inputs", "outputs"),
    [(7, 3, 12), (7, 12, 3), (4, 10, 1), (5, 3, 3), (3, 12, 3)],
)
def test_values_and_both_derivatives(size, inputs, outputs):
    x = RNG.standard_normal((2, 9, 11, inputs)).astype(np.float32)
    w = RNG.standard_normal((size, size, inputs, outputs)).astype(np.float32)

    def loss(convolve):
        return lambda x, w: jnp.sum(jnp.sin(convolve(x, w)))

    @jax.jit
    def both(x, w):
        found = []
        for convolve in (correlate, library):
            gradients = jax.grad(loss(convolve), (0, 1))(x, w)
            found.append((convolve(x, w), gradients))
        return found

    ours, theirs = both(x, w)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 12), (12, 3), (12, 9), (1, 9)])
def test_pointwise_and_both_orders_of_derivatives(inputs, outputs):
    x = RNG.standard_normal((2, 3, 5, inputs)).astype(np.float32)
    w = RNG.standard_normal((2, inputs, outputs)).astype(np.float32)
    want = np.einsum("nhwi,nio->nhwo", x, w)
    np.testing.assert_allclose(jax.jit(pointwise)(x, w), want, rtol=1e-5, atol=1e-5)
    check_grads(jax.jit(pointwise), (x, w), 2, ["rev"], rtol=2e-2, atol=2e-2)


def test_pointwise_keeps_the_dtype():
    x, w = jnp.ones((1, 2, 2, 3), jnp.bfloat16), jnp.ones((1, 3, 9), jnp.bfloat16)
    y, backward = jax.vjp(pointwise, x, w)
    assert y.dtype == jnp.bfloat16 and float(y[0, 0, 0, 0]) == 3
    assert [g.dtype for g in backward(y)] == [jnp.bfloat16] * 2
    y, backward = jax.vjp(pointwise, x, w.astype(jnp.float32))
    assert [g.dtype for g in backward(y)] == [jnp.bfloat16, jnp.float32]


def test_thin_has_few_channels_on_one_side():
    assert is_thin(jnp.zeros((1, 1, 3, 9))) and is_thin(jnp.zeros((1, 1, 64, 8)))
    assert not is_thin(jnp.zeros((1, 1, 3, 6))) and not is_thin(jnp.zeros((1, 9, 9)))
