"""Wide kernels from and to pictures equal the library's convolution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from stylegan_jax.ops.thin_convs import correlate

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
