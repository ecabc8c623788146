"""A pSp small enough for any test."""

import functools

import jax
import numpy as np

from stylegan_jax.models.psp import PSP

FIELDS = {
    "num_layers": 18,
    "width": 4,
    "input_size": 32,
    "w_dim": 8,
    "decoder_num_blocks": 3,
    "decoder_z_dim": 8,
    "decoder_mapping_layers": 2,
    "decoder_channel_base": 64,
    "decoder_channel_max": 8,
}


@functools.cache
def tiny_psp(**fields):
    """The module and its variables, with a mean latent and noise that show."""
    module = PSP(**{**FIELDS, **fields})
    return module, draw(module, module.input_shape)


def draw(module, *inputs):
    """Variables of the module's shapes, without compiling its initialiser."""
    examples = [jax.ShapeDtypeStruct((1, *shape), np.float32) for shape in inputs]
    shapes = jax.eval_shape(module.init, jax.random.key(0), *examples)
    rng = np.random.default_rng(0)

    def leaf(path, shape):
        values = rng.standard_normal(shape.shape).astype(np.float32)
        if path[-1].key == "var":
            return np.abs(values) + np.float32(0.5)
        return values if path[-1].key == "weight" else values * np.float32(0.3)

    return jax.tree_util.tree_map_with_path(leaf, shapes)
