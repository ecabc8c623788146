"""The level of detail of networks that grow (Karras et al. 2018, section 2).

A level of detail (lod) of 0 is the full resolution, 1 half of it, and so on. Between
two whole numbers the picture is mixed from those of both resolutions: at 1.25 it is
3/4 of the picture at half the size and 1/4 of that at a quarter of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

# The collection that may hold ``fade``, which then takes the place of lod's fraction:
# a number that changes without another program.
GROWTH = "growth"


def growth_variables(
    fade: jax.Array | float,
) -> dict[str, dict[str, jax.Array | float]]:
    """Variables that give a network another share of the lower resolution.

    Args:
        fade: scalar from 0 to 1.
    """
    return {GROWTH: {"fade": fade}}


def reached(module: Any) -> tuple[int, jax.Array | float | None]:
    """How far a bound generator or discriminator has grown.

    Args:
        module: with the fields ``num_blocks``, ``progressive`` and ``lod``.

    Returns:
        Blocks that are computed, and the share of the lower resolution in the picture;
        None where there is none.

    Raises:
        ValueError: for a level of detail that the network does not have.
    """
    lod, most = module.lod, module.num_blocks - 1
    if not module.progressive and lod:
        raise ValueError(f"lod={lod} needs a network with progressive=True.")
    if not 0 <= lod <= most:
        raise ValueError(f"lod={lod} must be from 0 to {most} in this network.")
    blocks = module.num_blocks - math.floor(lod)
    if not module.progressive or blocks < 2:
        return blocks, None
    if module.has_variable(GROWTH, "fade"):
        return blocks, module.get_variable(GROWTH, "fade")
    return blocks, (lod - math.floor(lod)) or None


def mixed(high: jax.Array, low: jax.Array, fade: jax.Array | float) -> jax.Array:
    """``fade`` of ``low`` and the rest of ``high``, arrays of one shape."""
    return high + fade * (low - high)


def without_growth(
    module: Any, variables: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """A grown network in the form of one that never grew, which draws the same.

    Args:
        module: generator or discriminator at lod 0.
        variables: its variables.

    Returns:
        The module with ``progressive=False``, and the variables without the layers that
        read and write pictures of lower resolutions.

    Raises:
        ValueError: the network is not grown.
    """
    if module.lod:
        raise ValueError(f"a network of lod={module.lod} has not grown to its end.")
    top = f"b{4 << (module.num_blocks - 1)}"

    def kept(tree: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {
                layer: value
                for layer, value in block.items()
                if name == top or layer not in ("torgb", "fromrgb")
            }
            if name.startswith("b")
            else block
            for name, block in tree.items()
        }

    params = dict(variables["params"])
    if "synthesis" in params:
        params["synthesis"] = kept(params["synthesis"])
    else:
        params = kept(params)
    return module.clone(progressive=False), {**variables, "params": params}
