"""pSp once more, in PyTorch: its encoders, and the whole with StyleGAN2's twin.

Written from Richardson et al. 2021 (figure 2); tensors are the file's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.twins import stylegan2
from stylegan_jax.convert_torch.twins.irse import backbone
from stylegan_jax.convert_torch.twins.layers import Tensors, nchw, pictures


def encoder(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Latents of ours and the twin's, without a mean latent.

    Args:
        network: a `PSPEncoder` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has; there is one.

    Returns:
        ``codes`` → (ours, twin's), [N, num_ws, w_dim].
    """
    del layout
    x, config = _inputs(network.config), network.config
    codes = _encode(Tensors(tensors), nchw(x), config["w_dim"])
    return {"codes": (np.asarray(network.encode(x)), codes.numpy())}


def whole(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Latents with their mean, and the decoder by itself; see `encoder`.

    What the decoder draws from the latents is not compared a second time: it is the
    generator whose pictures are.
    """
    config = network.config
    x = _inputs(config)
    codes = _encode(Tensors(_inside(tensors, "encoder/")), nchw(x), config["w_dim"])
    if config["start_from_latent_avg"]:
        codes = codes + Tensors(tensors).get("moving_stats/latent_avg")
    codes = codes.expand(-1, network.num_ws, -1)
    # The decoder has rosinality's names and arithmetic.
    decoder = stylegan2.generator(
        network.decoder,
        _inside(tensors, "decoder/"),
        "rosinality" if layout == "psp" else layout,
    )
    return {
        "w_plus": (np.asarray(network.encode(x)), codes.numpy()),
        **{f"decoder {name}": pair for name, pair in decoder.items()},
    }


def _inputs(config: Mapping[str, Any]) -> np.ndarray:
    return pictures(1, config["input_size"], config["input_size"], config["input_nc"])


def _inside(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The tensors of one of the two networks: the prefix follows the collection."""
    found = {}
    for path, tensor in tensors.items():
        collection, name = path.split("/", 1)
        if name.startswith(prefix):
            found[f"{collection}/{name.removeprefix(prefix)}"] = tensor
    return found


def _encode(t: Tensors, x: Any, w_dim: int) -> Any:
    """Pictures [N, C, H, W] to latents [N, num_ws, w_dim]; the head tells itself."""
    from torch.nn import functional

    _, fine, middle, coarse = backbone(t, x)
    if t.has("params/style0/linear/weight"):
        return _pyramid(t, fine, middle, coarse)
    if t.has("params/dense/kernel"):  # a latent for every layer
        y = functional.adaptive_avg_pool2d(t.batch_norm(coarse, "bn"), 7)
        y = t.dense(y.flatten(1), "dense")
    else:  # one for all
        y = coarse.mean((2, 3))
    return _equalised(t, y, "linear").reshape(len(x), -1, w_dim)


def _pyramid(t: Tensors, fine: Any, middle: Any, coarse: Any) -> Any:
    """Latents from three levels, the coarser ones added to the finer."""
    import torch
    from torch.nn import functional

    def added(above: Any, below: Any, name: str) -> Any:
        large = functional.interpolate(
            above, below.shape[2:], mode="bilinear", align_corners=True
        )
        return large + t.conv(below, name)

    middle = added(coarse, middle, "lateral0")
    fine = added(middle, fine, "lateral1")
    latents: list[Any] = []
    while t.has(f"params/style{len(latents)}/linear/weight"):
        i = len(latents)
        y = coarse if i < 3 else middle if i < 7 else fine
        k = 0
        while t.has(f"params/style{i}/conv{k}/kernel"):
            y = functional.leaky_relu(t.conv(y, f"style{i}/conv{k}", 2, 1), 0.01)
            k += 1
        latents.append(_equalised(t, y.flatten(1), f"style{i}/linear"))
    return torch.stack(latents, 1)


def _equalised(t: Tensors, x: Any, path: str) -> Any:
    """Dense layer with equalised learning rate (Karras et al. 2018, section 4.1)."""
    weight = t.matrix(f"params/{path}/weight")
    return x @ weight.T / weight.shape[1] ** 0.5 + t.get(f"params/{path}/bias")
