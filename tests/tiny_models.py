"""StyleGAN2 models small enough for any test, and files of them."""

from __future__ import annotations

import functools

import jax
import numpy as np

from stylegan_jax.checkpoints.model_file import flatten, save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.models.stylegan2 import Discriminator, Generator


@functools.cache
def tiny_generator(**fields):
    """A generator of 16×16 pictures and its variables, with noise that shows."""
    fields = {
        "num_blocks": 3,
        "z_dim": 8,
        "w_dim": 8,
        "mapping_layers": 2,
        "channel_base": 64,
        "channel_max": 8,
        **fields,
    }
    module = Generator(**fields)
    return module, _draw(module, (module.z_dim,), (module.c_dim,))


@functools.cache
def tiny_discriminator(**fields):
    """A discriminator of 16×16 pictures and its variables."""
    fields = {"num_blocks": 3, "channel_base": 64, "channel_max": 8, **fields}
    module = Discriminator(**fields)
    return module, _draw(module, module.image_shape, (module.c_dim,))


def _draw(module, *inputs):
    """Variables of the module's shapes; its own initialiser takes seconds to compile.

    Noise strengths are not 0 as at the start of training, where all noise modes would
    give one picture.
    """
    inputs = [jax.ShapeDtypeStruct((1, *shape), np.float32) for shape in inputs]
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32) + 0.1, shapes
    )


def save_tiny(path, module, variables, **overrides):
    """Writes a model file of a module and returns its path."""
    kind = "generator" if isinstance(module, Generator) else "discriminator"
    arguments = {
        "family": f"stylegan2.{kind}",
        "config": config_of(module),
        "provenance": {"kimg": 1},
        "licence": "Apache-2.0",
        **overrides,
    }
    save_model(path, variables, **arguments)
    return path


def leaves(variables):
    """All tensors by name, as NumPy arrays."""
    return {name: np.asarray(leaf) for name, leaf in flatten(variables).items()}
