"""What a file of pSp's holds beside its tensors: the mean latent and the options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules import rosinality
from stylegan_jax.convert_torch.rules.layout import State, as_array
from stylegan_jax.convert_torch.rules.psp import (
    DECODER_PREFIX,
    ENCODER_PREFIX,
    INPUT_SIZE,
    LATENT_AVG,
    decoder_of,
    options,
    part,
)
from stylegan_jax.errors import UserError
from stylegan_jax.models.psp.encoder import GRADUAL

# How the original program calls what the encoder takes, by the channels.
DATASET_TYPES = {1: "celebs_sketch_to_face", 19: "celebs_seg_to_face"}


def with_mean(
    state: State, latent_avg: Any, config: Mapping[str, Any], *, where: object
) -> dict[str, Any]:
    """The tensors with the mean latent in both of its places.

    The whole model needs it as ``latent_avg`` and its decoder, which is a generator of
    its own, as ``decoder.latent_avg``.

    Args:
        state: tensors named ``encoder.*`` and ``decoder.*``.
        latent_avg: [w_dim], [1, w_dim] or [num_ws, w_dim], of the file or estimated.
        config: what `whole_config` returned.
        where: what to name in errors.

    Returns:
        A new mapping for `to_jax`.

    Raises:
        UserError: the mean has another shape.
    """
    rows = 1 if config["learn_in_w"] else 2 * config["decoder_num_blocks"]
    mean, width = as_array(latent_avg), config["w_dim"]
    if mean.shape not in {(width,), (1, width), (rows, width)}:
        raise UserError(
            f"the mean latent latent_avg of {where} is {list(mean.shape)} instead of "
            f"[{rows}, {width}]: it does not belong to these tensors."
        )
    if mean.shape != (rows, width):
        mean = np.repeat(mean.reshape(1, width), rows, axis=0)
    # Equal rows are kept as they are: a sum would round.
    one = mean[0] if (mean == mean[:1]).all() else mean.mean(0, dtype=np.float64)
    decoder_mean = np.asarray(one, mean.dtype)
    return {
        **state,
        LATENT_AVG: mean,
        DECODER_PREFIX + LATENT_AVG: decoder_mean,
    }


def without_mean(
    state: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What `to_torch` gives, parted as a file of pSp's has it.

    Returns:
        The state dict, and the mean latent that lies beside it.
    """
    means = (LATENT_AVG, DECODER_PREFIX + LATENT_AVG)
    return {k: v for k, v in state.items() if k not in means}, state[LATENT_AVG]


def remarks(state: State, hints: Mapping[str, Any]) -> list[str]:
    """What nothing in the file tells and was taken for granted, in sentences.

    Args:
        state: the tensors of the whole model or of an encoder alone.
        hints: as the config takes them.
    """
    encoder = part(state, ENCODER_PREFIX) or state
    stated = options(hints).get("encoder_type")
    if stated is None and any(name.startswith("styles.") for name in encoder):
        return [
            f"nothing in the file names its encoder; it was read as {GRADUAL}, and "
            "e4e's encoder has tensors of the same names."
        ]
    return []


def opts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options beside the state dict that pSp's program builds the model from."""
    channels = config["input_nc"]
    return {
        "encoder_type": config["encoder_type"],
        "output_size": rosinality.size_of(decoder_of(config)),
        "n_styles": 2 * config["decoder_num_blocks"],
        "input_nc": channels,
        # pSp's inputs are label maps unless they are photographs.
        "label_nc": 0 if channels == 3 else channels,
        "dataset_type": DATASET_TYPES.get(channels, "ffhq_encode"),
        "learn_in_w": config["learn_in_w"],
        "start_from_latent_avg": config["start_from_latent_avg"],
        "device": "cuda:0",
        "checkpoint_path": None,
    }


def fits_psp(config: Mapping[str, Any]) -> list[str]:
    """Why pSp's program has no such model; empty where it has."""
    decoder = decoder_of(config)
    reasons = rosinality.fits_rosinality(decoder, "stylegan2.generator")
    if rosinality.multiplier_of(decoder) != 2:
        reasons.append("a decoder of other widths than config-f")
    if decoder["mapping_layers"] != 8 or decoder["z_dim"] != 512:
        reasons.append("another mapping network than 8 layers of 512")
    if decoder["mapping_lr_multiplier"] != rosinality.DEFAULT_MULTIPLIER:
        reasons.append(
            f"a decoder with the multiplier {decoder['mapping_lr_multiplier']:g}"
        )
    published = {
        "num_layers": 50,
        "mode": "ir_se",
        "width": 64,
        "input_size": INPUT_SIZE,
        "w_dim": 512,
    }
    reasons += [f"{k} {config[k]}" for k, v in published.items() if config[k] != v]
    if config.get("iterations", 1) != 1:
        reasons.append(f"iterations {config['iterations']}, as ReStyle's program has")
    return reasons
