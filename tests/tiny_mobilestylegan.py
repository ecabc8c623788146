"""A MobileStyleGAN small enough for any test, and files of it."""

import functools

import jax
import numpy as np

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.models.mobilestylegan import Generator

# Pictures of 32 px; maps of 16, 16 and 12 channels.
TINY = {
    "num_blocks": 4,
    "z_dim": 6,
    "w_dim": 5,
    "base_grid": (4, 4),
    "img_channels": 3,
    "mapping_layers": 2,
    "mapping_lr_multiplier": 0.01,
    "channel_base": 192,
    "channel_max": 16,
}


@functools.cache
def tiny_mobilestylegan():
    """A generator of 32×32 pictures and its variables, with noise that shows."""
    module = Generator(**TINY)
    z = jax.ShapeDtypeStruct((1, TINY["z_dim"]), np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), z)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        x = rng.standard_normal(leaf.shape).astype(np.float32)
        names = [entry.key for entry in path]
        if "affine" in names:
            x = 0.3 * x + np.float32(names[-1] == "bias")
        if "mapping" in names:  # learns, and multiplies, by a hundredth
            x *= 100 if names[-1] == "weight" else 10
        return np.float32(0.2) * x if names[-1] == "w_avg" else x

    return module, jax.tree_util.tree_map_with_path(draw, shapes)


def save_tiny_mobilestylegan(path):
    """Writes its model file and returns the path."""
    module, variables = tiny_mobilestylegan()
    save_model(
        path,
        variables,
        family="mobilestylegan",
        config=config_of(module),
        provenance={},
        licence="a licence",
    )
    return path
