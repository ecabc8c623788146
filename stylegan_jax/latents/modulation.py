"""The affine weights from w to styles, by the latent that each layer takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.errors import UserError

# StyleGAN2's dense layers hold ``weight``; MobileStyleGAN's are Flax's own (``kernel``)
# and have a modulation more in each block, ``up``, but only one in the first.
_STYLEGAN2 = re.compile(r"synthesis/b([0-9]+)/(conv0|conv1)/affine/weight")
_MOBILE = re.compile(
    r"synthesis/b([0-9]+)/(?:(up|conv0|conv1)/)?(?:style/)?affine/kernel"
)
_PLACES = {"up": 0, "conv0": 1, "conv1": 2}


def modulation_weights(variables: Mapping[str, Any]) -> dict[int, np.ndarray]:
    """The affine weights of a generator's convolutions.

    Layers that only turn features into colours (``torgb``, ``to_wavelets``) are left
    out: they have no styles of the picture's structure.

    Args:
        variables: collections of StyleGAN2 or MobileStyleGAN.

    Returns:
        [w_dim, channels] float32 by the index of the latent among the num_ws, in order.

    Raises:
        UserError: there are none, so it is another network.
    """
    found: dict[int, np.ndarray] = {}
    for path, leaf in flatten(variables["params"]).items():
        if match := _STYLEGAN2.fullmatch(path):
            block = _block(match[1])
            found[2 * block - (match[2] == "conv0")] = np.asarray(leaf)
        elif match := _MOBILE.fullmatch(path):
            block = _block(match[1])
            place = _PLACES[match[2]] - 2 if match[2] else 0
            found[3 * block + place] = np.asarray(leaf)
    if not found:
        raise UserError(
            "this model has no affine layers of w: SeFa needs a StyleGAN2 or a "
            "MobileStyleGAN."
        )
    return dict(sorted(found.items()))


def chosen_weights(
    variables: Mapping[str, Any], layers: Sequence[int] | None
) -> list[np.ndarray]:
    """Those of some layers; None means all.

    Raises:
        UserError: none of the layers has any.
    """
    weights = modulation_weights(variables)
    chosen = [w for layer, w in weights.items() if layers is None or layer in layers]
    if not chosen:
        raise UserError(
            f"no convolution takes the layers {', '.join(map(str, layers or ()))}: "
            f"choose from {', '.join(map(str, weights))}."
        )
    return chosen


def _block(resolution: str) -> int:
    """0 for 4, 1 for 8, …"""
    return int(resolution).bit_length() - 3
