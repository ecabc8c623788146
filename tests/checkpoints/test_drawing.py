"""What the drawing functions ask of a device."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from tiny_models import tiny_generator

from stylegan_jax.checkpoints.drawing import map_latents, synthesise


@pytest.fixture(scope="module")
def lowered():
    """The programs' text under jax's setting of the precision."""
    module, variables = tiny_generator()
    w_plus = np.zeros((1, module.num_ws, module.w_dim), np.float32)

    def text(asked):
        with jax.default_matmul_precision(asked):
            drawn = jax.jit(lambda v, w: synthesise(module, "none", v, w, None))
            return drawn.lower(variables, w_plus).as_text()

    return text


def test_products_are_float32_on_any_device(lowered):
    text = lowered(None)
    assert "HIGHEST" in text and "DEFAULT" not in text


def test_what_jax_was_told_counts(lowered):
    assert "HIGHEST" not in lowered("bfloat16")


def test_the_mapping_too():
    module, variables = tiny_generator()
    z = np.zeros((1, module.z_dim), np.float32)

    def mapped(variables, z):
        return map_latents(module, None, variables, z, None, np.float32(1))

    text = jax.jit(mapped).lower(variables, z).as_text()
    assert "HIGHEST" in text and "DEFAULT" not in text
