"""What the PyTorch twins share: the file's tensors by our paths, and plain layers.

torch is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Tensors:
    """The tensors of one network as PyTorch's, float32.

    Args:
        tensors: the file's, by our paths (collection first).
        as_ours: whether the file itself keeps kernels HWIO and dense layers [in, out],
            as JAX's and TensorFlow's programs do; else OIHW and [out, in].
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], *, as_ours: bool = False):
        self._tensors = tensors
        self._as_ours = as_ours

    def has(self, path: str) -> bool:
        """Whether there is a tensor of that path."""
        return path in self._tensors

    def get(self, path: str) -> Any:
        """A tensor by its path."""
        import torch

        return torch.from_numpy(np.array(self._tensors[path], np.float32, order="C"))

    def find(self, path: str) -> Any:
        """A tensor by its path; None where the network has none."""
        return self.get(path) if self.has(path) else None

    def kernel(self, path: str) -> Any:
        """A convolution's kernel [O, I, H, W]."""
        weight = self.get(path)
        return weight.permute(3, 2, 0, 1) if self._as_ours else weight

    def matrix(self, path: str) -> Any:
        """A dense layer's weight [out, in]; flattened maps are in C, H, W order."""
        weight = self.get(path)
        if weight.dim() > 2:  # taken apart, and so put in order, by the rule already
            return weight.flatten(1)
        return weight.T if self._as_ours else weight

    def conv(self, x: Any, path: str, stride: int = 1, padding: Any = 0) -> Any:
        """Convolution of [N, C, H, W], with a bias where there is one."""
        from torch.nn import functional

        weight = self.kernel(f"params/{path}/kernel")
        bias = self.find(f"params/{path}/bias")
        return functional.conv2d(x, weight, bias, stride, padding)

    def dense(self, x: Any, path: str) -> Any:
        """Fully connected layer of [N, in], with a bias where there is one."""
        from torch.nn import functional

        weight = self.matrix(f"params/{path}/kernel")
        return functional.linear(x, weight, self.find(f"params/{path}/bias"))

    def batch_norm(self, x: Any, path: str, eps: float = 1e-5) -> Any:
        """Batch normalisation by its running statistics, factor and offset if any."""
        from torch.nn import functional

        return functional.batch_norm(
            x,
            self.get(f"batch_stats/{path}/mean"),
            self.get(f"batch_stats/{path}/var"),
            self.find(f"params/{path}/scale"),
            self.find(f"params/{path}/bias"),
            eps=eps,
        )


def pictures(count: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Noise [count, height, width, channels], float32 in [-1, 1], always the same."""
    noise = np.random.RandomState(0).rand(count, height, width, channels)
    return (2 * noise - 1).astype(np.float32)


def nchw(x: np.ndarray) -> Any:
    """Pictures [N, H, W, C] as PyTorch takes them."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def nhwc(x: Any) -> np.ndarray:
    """What PyTorch gives, [N, C, H, W] or [N, C], with channels last."""
    array: np.ndarray = x.numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
