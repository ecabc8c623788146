"""FaceSpace's encoders once more, in PyTorch; tensors are the file's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.twins.layers import Tensors
from stylegan_jax.convert_torch.twins.stylegan1 import dense, pixel_norm


def encoder(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Latents of ours and the twin's.

    Args:
        network: a `FaceSpaceEncoder` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has; there is one.

    Returns:
        ``w_plus`` → (ours, twin's), [N, num_ws, w_dim].
    """
    import torch
    from torch.nn import functional

    del layout
    t, config = Tensors(tensors), network.config
    v = np.random.RandomState(0).randn(2, config["input_dim"]).astype(np.float32)
    x = pixel_norm(torch.from_numpy(v))
    for i in range(len(config["features"])):
        x = functional.leaky_relu(dense(t, x, f"fc{i}"), 0.2)
    last = dense(t, x, f"fc{len(config['features'])}")
    w_plus = last.reshape(len(v), -1, config["w_dim"])
    return {"w_plus": (np.asarray(network(v)), w_plus.numpy())}
