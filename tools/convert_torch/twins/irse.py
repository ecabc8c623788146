"""Identity networks once more, in PyTorch; pSp's encoders have the same backbone.

Written from Deng et al. 2019 (section 3.1) and Hu et al. 2018; tensors are the file's
own, and what strides is told from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.twins.layers import Tensors, nchw, pictures


def irse(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Embeddings of ours and the twin's.

    Args:
        network: an `IRSEFeatures` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has; there is one.

    Returns:
        ``embedding`` → (ours, twin's).
    """
    from torch.nn import functional

    del layout
    t = Tensors(tensors)
    side = network.config["input_size"]
    x = pictures(2, side, side)
    y = t.batch_norm(backbone(t, nchw(x))[-1], "bn0")
    y = t.batch_norm(t.dense(y.flatten(1), "dense"), "bn1")
    embedding = functional.normalize(y).numpy()
    return {"embedding": (np.asarray(network(x)["embedding"]), embedding)}


def backbone(t: Tensors, x: Any) -> list[Any]:
    """The ends of the four stages.

    Args:
        t: tensors with paths ``<collection>/backbone/…``.
        x: [N, C, H, W] in [-1, 1].

    Returns:
        Four maps, each half as large as the one before.
    """
    x = t.batch_norm(t.conv(x, "backbone/input_conv", 1, 1), "backbone/input_bn")
    x = _prelu(t, x, "backbone/input_prelu")
    ends, i = [], 0
    while t.has(f"params/backbone/unit{i}/conv0/kernel"):
        # A stage begins where the channels change; the first stage halves, too.
        widens = t.has(f"params/backbone/unit{i}/shortcut_conv/kernel")
        if widens:
            ends.append(x)
        x = _unit(t, x, f"backbone/unit{i}", 2 if widens or i == 0 else 1)
        i += 1
    return [*ends, x]


def _unit(t: Tensors, x: Any, path: str, stride: int) -> Any:
    """A residual unit: norm, convolution, PReLU, convolution, norm, gate."""
    y = t.conv(t.batch_norm(x, f"{path}/bn0"), f"{path}/conv0", 1, 1)
    y = t.conv(_prelu(t, y, f"{path}/prelu"), f"{path}/conv1", stride, 1)
    y = t.batch_norm(y, f"{path}/bn1")
    if t.has(f"params/{path}/se/reduce/kernel"):
        gate = t.dense(y.mean((2, 3)), f"{path}/se/reduce").relu()
        gate = t.dense(gate, f"{path}/se/expand").sigmoid()
        y = y * gate[:, :, None, None]
    if t.has(f"params/{path}/shortcut_conv/kernel"):
        x = t.conv(x, f"{path}/shortcut_conv", stride)
        return t.batch_norm(x, f"{path}/shortcut_bn") + y
    return x[:, :, ::stride, ::stride] + y


def _prelu(t: Tensors, x: Any, path: str) -> Any:
    from torch.nn import functional

    return functional.prelu(x, t.get(f"params/{path}/slope"))
