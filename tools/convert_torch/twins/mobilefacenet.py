"""MobileFaceNet once more, in PyTorch, from the file's own tensors.

Written from Chen et al. 2018 (table 1) and Sandler et al. 2018 (figure 3d); groups are
told from the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.twins.layers import Tensors, nchw, pictures


def mobilefacenet(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Embeddings of ours and the twin's.

    Args:
        network: a `MobileFaceNetFeatures` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has; there is one.

    Returns:
        ``embedding`` → (ours, twin's).
    """
    from torch.nn import functional

    del layout
    t = Tensors(tensors)
    side = network.config["input_size"]
    picture = pictures(2, side, side)
    x = _conv(t, nchw(picture), "stem0", 2)
    x = _conv(t, x, "stem1")
    stage = block = 0
    while t.has(f"params/stage{stage}_{block}/depth/kernel"):
        path = f"stage{stage}_{block}"
        y = _conv(t, x, f"{path}/expand")
        y = _conv(t, y, f"{path}/depth", 1 if block else 2)
        y = t.conv(y, f"{path}/project")
        x = x + y if block else y
        block += 1
        if not t.has(f"params/stage{stage}_{block}/depth/kernel"):
            stage, block = stage + 1, 0
    x = _conv(t, _conv(t, x, "last0"), "last1")
    x = t.batch_norm(t.dense(x.flatten(1), "dense"), "bn")
    embedding = functional.normalize(x).numpy()
    return {"embedding": (np.asarray(network(picture)["embedding"]), embedding)}


def _conv(t: Tensors, x: Any, path: str, stride: int = 1) -> Any:
    """A convolution of any groups that keeps or halves the size, and its PReLU."""
    from torch.nn import functional

    kernel, bias = t.kernel(f"params/{path}/kernel"), t.get(f"params/{path}/bias")
    groups, padding = x.shape[1] // kernel.shape[1], kernel.shape[2] // 2
    x = functional.conv2d(x, kernel, bias, stride, padding, groups=groups)
    return functional.prelu(x, t.get(f"params/{path}_prelu/slope").flatten())
