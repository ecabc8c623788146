"""pix2pixHD generators small enough for any test, and files of them."""

from __future__ import annotations

import functools

import jax
import numpy as np

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.models.pix2pixhd import GlobalGenerator


@functools.cache
def tiny_student(**fields):
    """A generator of two sizes and one block, and its variables."""
    sizes = {"width": 4, "downsamplings": 1, "residual_blocks": 1}
    module = GlobalGenerator(**{**sizes, **fields})
    x = jax.ShapeDtypeStruct((1, 16, 16, module.input_channels), np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    rng = np.random.default_rng(0)
    return module, jax.tree.map(
        lambda leaf: 0.2 * rng.standard_normal(leaf.shape).astype(np.float32), shapes
    )


def save_student(path, provenance=(("resolution", 16),), **fields):
    """Writes a model file of a tiny student and returns its path."""
    module, variables = tiny_student(**fields)
    save_model(
        path,
        variables,
        family="pix2pixhd.global",
        config=config_of(module),
        provenance=dict(provenance),
        licence="MIT",
    )
    return path
