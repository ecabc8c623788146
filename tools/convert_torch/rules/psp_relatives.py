"""The programs that came after pSp, whose encoders have its names and another sense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules.layout import State
from stylegan_jax.models.psp.encoder import ENCODER_TYPES

# What the programs after pSp wrote into `opts`, and which program it was. e4e's own
# encoder has the very names of GradualStyleEncoder, so only these tell them apart.
OTHER_TYPES = {
    "Encoder4Editing": "e4e",
    "SingleStyleCodeEncoder": "e4e",
    "BackboneEncoder": "ReStyle",
    "ResNetBackboneEncoder": "ReStyle",
    "ProgressiveBackboneEncoder": "ReStyle",
    "ResNetProgressiveBackboneEncoder": "ReStyle",
}
OTHER_OPTIONS = {
    "progressive_steps": "e4e",
    "delta_norm_lambda": "e4e",
    "w_discriminator_lambda": "e4e",
    "n_iters_per_batch": "ReStyle",
}


def other_encoder(encoder: State, opts: Mapping[str, Any]) -> str | None:
    """Whose encoder it is, where it is not pSp's.

    Args:
        encoder: the encoder's tensors, their names without a prefix.
        opts: the options beside the state dict.

    Returns:
        ``e4e`` or ``ReStyle``; None for pSp's own.
    """
    stated = str(opts.get("encoder_type"))
    if stated in ENCODER_TYPES:
        return None
    if stated in OTHER_TYPES:
        return OTHER_TYPES[stated]
    for option, program in OTHER_OPTIONS.items():
        if option in opts:
            return program
    if "conv1.weight" in encoder:
        return "ReStyle"
    if "styles.0.linear.weight" in encoder and not any(
        name.startswith("latlayer") for name in encoder
    ):
        return "ReStyle"
    return None
