"""What fills the blanks of every StyleGAN2 table, and channels from shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Scopes
from stylegan_jax.errors import UserError
from stylegan_jax.models.stylegan2.layers import channels_at

# The two bases of the papers: 32768 is config-f, 16384 config-e.
KNOWN_BASES = (32768, 16384)


def fir(values: Mapping[str, Any]) -> np.ndarray:
    """The low-pass filter as a matrix [k,k] with sum 1, float32."""
    taps = np.asarray(values["taps"], np.float32)
    return np.outer(taps, taps)


def fir_up(values: Mapping[str, Any]) -> np.ndarray:
    """The filter with sum 4, as upsampling by zero insertion needs it."""
    return 4 * fir(values)


def generator_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of a generator's table.

    ``r`` is a block's nominal resolution, ``k`` its number (0 is 4x4), ``conv`` the
    name of a layer in our files, ``n`` the layer's number (0 at 4x4), ``m`` one less.
    """
    blocks = [{"r": 4 << k, "k": k, "up": k - 1} for k in range(config["num_blocks"])]
    ups = [_layer(b, "conv0", 2 * b["k"] - 1) for b in blocks[1:]]
    base = [_layer(blocks[0], "conv1", 0)]
    seconds = [_layer(b, "conv1", 2 * b["k"]) for b in blocks[1:]]
    layers = [*ups, *base, *seconds]
    noisy = config["use_noise"]
    skip = config["architecture"] == "skip"
    height, width = config["base_grid"]
    return {
        "": [{"taps": config["resample_filter"], "H": height, "W": width}],
        "embed": [{}] if config["c_dim"] else [],
        "fc": [{"i": i, "j": i + 1} for i in range(config["mapping_layers"])],
        "block": blocks,
        "upblock": blocks[1:],
        "layer": layers,
        "base": base,
        "uplayer": ups,
        "secondlayer": seconds,
        "upperlayer": [*ups, *seconds],
        "noise": layers if noisy else [],
        "basenoise": base if noisy else [],
        "upnoise": ups if noisy else [],
        "secondnoise": seconds if noisy else [],
        "uppernoise": [*ups, *seconds] if noisy else [],
        "torgb": blocks if skip else blocks[-1:],
        "uptorgb": blocks[1:] if skip else [],
        "skip": blocks[1:] if config["architecture"] == "resnet" else [],
    }


def _layer(block: Mapping[str, int], conv: str, number: int) -> dict[str, Any]:
    return {**block, "conv": conv, "n": number, "m": number - 1}


def discriminator_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of a discriminator's table; ``i`` counts blocks downward."""
    top = config["num_blocks"] - 1
    blocks = [
        {"r": 4 << k, "half": 2 << k, "i": top - k + 1} for k in range(top, 0, -1)
    ]
    height, width = config["base_grid"]
    skip = config["architecture"] == "skip"
    return {
        "": [
            {
                "taps": config["resample_filter"],
                "H": height,
                "W": width,
                "R": 4 << top,
            }
        ],
        "block": blocks,
        "fromrgb": [*blocks, {"r": 4}] if skip else blocks[:1],
        "skip": blocks if config["architecture"] == "resnet" else [],
        "embed": [{}] if config["c_dim"] else [],
        "fc": (
            [{"i": i} for i in range(config["mapping_layers"])]
            if config["c_dim"]
            else []
        ),
    }


def channel_law(widths: Sequence[int], *, where: object) -> dict[str, int]:
    """``channel_base`` and ``channel_max`` from the blocks' widths, lowest first.

    Raises:
        UserError: no pair gives these widths.
    """
    largest = max(widths)
    narrow = [(4 << k, n) for k, n in enumerate(widths) if n < largest]
    least = largest * max([4 << k for k, n in enumerate(widths) if n == largest])
    bases = [*(b for b in KNOWN_BASES), *(r * n for r, n in narrow), least]
    for base in bases:
        made = [channels_at(4 << k, base, largest) for k in range(len(widths))]
        if made == list(widths):
            return {"channel_base": base, "channel_max": largest}
    raise UserError(
        f"the blocks of {where} have {list(widths)} channels, which no channel_base "
        "gives: this program cannot build that network."
    )


def taps_of(kernel: np.ndarray, *, where: object) -> tuple[float, ...]:
    """The taps [k], sum 1, of a separable low-pass filter [k,k] of any sum.

    Raises:
        UserError: it is not separable and symmetric, so no filter of this program.
    """
    kernel = np.asarray(kernel, np.float64)
    square = kernel.ndim == 1 or (kernel.ndim == 2 and len(set(kernel.shape)) == 1)
    if not square or not kernel.size or not np.isfinite(kernel).all():
        raise UserError(
            f"the resampling filter of {where} is {list(kernel.shape)} or not finite, "
            "which is no filter: the file is damaged. Nothing was written."
        )
    if not kernel.sum():
        raise UserError(
            f"the resampling filter of {where} sums to zero, which is no filter: the "
            "file is damaged. Nothing was written."
        )
    taps = kernel.sum(0) / kernel.sum() if kernel.ndim == 2 else kernel / kernel.sum()
    matrix = np.outer(taps, taps)
    flat = kernel / kernel.sum()
    if kernel.ndim == 2 and not np.allclose(matrix, flat, atol=1e-5):
        raise UserError(
            f"the resampling filter of {where} is not separable: this program cannot "
            "build that network."
        )
    # Small fractions such as 1/8 come back exactly from float32.
    return tuple(float(t) for t in np.round(taps, 6))
