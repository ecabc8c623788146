"""The mean latent, where a file has none, as rosinality's training states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.convert_torch.rules.psp import decoder_of
from stylegan_jax.errors import UserError

SAMPLES = 10_000
SEED = 0
# Latents mapped at a time.
BATCH = 1000
# Beyond any network's; an expanded tensor of a few bytes can claim any width.
MAX_WIDTH = 2**16


def estimate_mean(
    family: str, config: Mapping[str, Any], variables: Mapping[str, Any]
) -> np.ndarray:
    """The mean of w over z from a fixed seed, so that everyone gets the same.

    Args:
        family: a generator's, or ``psp``, whose decoder is one.
        config: of the network.
        variables: its arrays; those of the mean itself may hold anything.

    Returns:
        [w_dim] float32; the sum runs in float64.

    Raises:
        UserError: z is wider than any network's.
    """
    if family == "psp":
        family, config = "stylegan2.generator", decoder_of(config)
        variables = {
            name: tree["decoder"]
            for name, tree in variables.items()
            if "decoder" in tree
        }
    if config["z_dim"] > MAX_WIDTH:
        raise UserError(
            f"the network takes z of width {config['z_dim']}, wider than any: the file "
            "is damaged. Nothing was written."
        )
    generator: Any = FAMILIES[family].with_variables(config, variables)
    rng = np.random.RandomState(SEED)
    total = np.zeros(config["w_dim"], np.float64)
    for _ in range(SAMPLES // BATCH):
        # In batches the same numbers come as at once, and memory stays small.
        z = rng.randn(BATCH, config["z_dim"]).astype(np.float32)
        w_plus = generator.mapping(z)
        total += np.asarray(w_plus[:, 0]).sum(0, dtype=np.float64)
    return (total / SAMPLES).astype(np.float32)
