"""MobileStyleGAN once more, in PyTorch, from the file's own tensors.

Written from Belousov 2021; the Haar transform is done as transposed convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.twins.layers import Tensors, nhwc

# Pictures larger than this are compared one at a time.
LARGE = 256


def generator(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Latents and pictures of ours and the twin's on the same z.

    Args:
        network: a `MobileStyleGANGenerator` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has; there is one.

    Returns:
        Name → (ours, twin's), NHWC.
    """
    import torch

    del layout
    config = network.config
    count = 1 if network.image_shape[0] > LARGE else 2
    rng = np.random.RandomState(0)
    z = rng.randn(count, config["z_dim"]).astype(np.float32)
    t = Tensors(tensors)
    with torch.no_grad():
        w = _mapping(t, torch.from_numpy(z), config["mapping_layers"])
        image, silent = (
            nhwc(_synthesis(t, w, config["num_blocks"], noise))
            for noise in (True, False)
        )
    w_plus = network.mapping(z)
    return {
        "w": (np.asarray(w_plus)[:, 0], w.numpy()),
        "image": (np.asarray(network.synthesis(w_plus)), image),
        "image without noise": (np.asarray(network.synthesis(w_plus, "none")), silent),
    }


def _mapping(t: Tensors, z: Any, layers: int) -> Any:
    from torch.nn import functional

    x = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for i in range(layers):
        path = f"params/mapping/fc{i}"
        weight = t.matrix(f"{path}/weight") * (0.01 / x.shape[1] ** 0.5)
        x = functional.linear(x, weight, t.get(f"{path}/bias") * 0.01)
        x = functional.leaky_relu(x, 0.2) * 2**0.5
    return x


def _synthesis(t: Tensors, w: Any, num_blocks: int, noise: bool) -> Any:
    """W [N, w_dim] to pictures [N, C, H, W]."""
    from torch.nn import functional

    x = t.get("params/synthesis/const")[None].expand(len(w), -1, -1, -1)
    x = _styled(t, x, w, "b4", 9)
    kernel = t.get("params/synthesis/b4/kernel")
    x = _finish(t, functional.conv2d(x, kernel, padding=1), "b4", noise)
    for k in range(1, num_blocks - 1):
        x = _haar(_styled(t, x, w, f"b{4 << k}", None, "up"))
        for i in range(2):
            path = f"b{4 << k}/conv{i}"
            each = t.get(f"params/synthesis/{path}/depthwise")[:, None]
            y = _styled(t, x, w, path, 9)
            y = functional.conv2d(y, each, padding=1, groups=len(each))
            full = t.get(f"params/synthesis/{path}/pointwise")[:, :, None, None]
            x = _finish(t, functional.conv2d(y, full), path, noise)
    x = _styled(t, x, w, "to_wavelets", 1)
    kernel = t.get("params/synthesis/to_wavelets/kernel")[:, :, None, None]
    bias = t.get("params/synthesis/to_wavelets/bias")
    return _haar(functional.conv2d(x, kernel, bias))


def _styled(
    t: Tensors, x: Any, w: Any, path: str, taps: int | None, name: str = "style"
) -> Any:
    """A map times its style, divided by the root of its inputs where it has taps."""
    style = t.dense(w, f"synthesis/{path}/{name}/affine")
    if taps is not None:
        style = style / (taps * x.shape[1]) ** 0.5
    return x * style[:, :, None, None]


def _finish(t: Tensors, x: Any, path: str, noise: bool) -> Any:
    from torch.nn import functional

    if noise:
        x = x + t.get(f"noise/synthesis/{path}/finish/noise_const")
    bias = t.get(f"params/synthesis/{path}/finish/bias")
    return functional.leaky_relu(x + bias[:, None, None], 0.2)


def _haar(x: Any) -> Any:
    """Each sub-band spread over blocks of 2x2 pixels with its own signs, and summed."""
    import torch
    from torch.nn import functional

    n, channels, height, width = x.shape
    number = channels // 4
    signs = torch.tensor(
        [
            [[1.0, 1.0], [1.0, 1.0]],
            [[1.0, 1.0], [-1.0, -1.0]],
            [[1.0, -1.0], [1.0, -1.0]],
            [[1.0, -1.0], [-1.0, 1.0]],
        ]
    )
    low = x[:, :number, None]
    high = x[:, number:].reshape(n, number, 3, height, width)
    bands = torch.cat([low, high], 2).reshape(n * number, 4, height, width)
    y = functional.conv_transpose2d(bands, signs[:, None] / 2, stride=2)
    return y.reshape(n, number, 2 * height, 2 * width)
