"""Small generators whose pictures depend on their seeds, as real ones' do."""

from __future__ import annotations

import functools

import numpy as np
from tiny_models import tiny_generator


@functools.cache
def lively_generator(**fields):
    """A `tiny_generator` with mapping weights, biases and noise as training begins.

    `tiny_generator` draws all alike, which the mapping network's learning rate
    multiplier then makes so small that nearly one picture remains.
    """
    module, variables = tiny_generator(**fields)

    def walk(tree, path=()):
        if isinstance(tree, dict):
            return {name: walk(value, (*path, name)) for name, value in tree.items()}
        scale = 1.0
        if "mapping" in path and path[-1] == "weight":
            scale = 1 / module.mapping_lr_multiplier
        elif path[-1] in ("bias", "noise_strength", "w_avg") and "affine" not in path:
            scale = 0.1
        return (np.asarray(tree) * scale).astype(np.float32)

    return module, walk(variables)
