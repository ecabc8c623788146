"""pix2pixHD once more, in PyTorch: generators, discriminator, instance encoder.

Written from Wang et al. 2018 (sections 3.1, 3.2 and 3.4 and the appendix); tensors are
the file's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.twins.layers import Tensors, nchw, nhwc, pictures

Outputs = dict[str, tuple[Any, Any]]


def translator(network: Any, tensors: Mapping[str, np.ndarray], layout: str) -> Outputs:
    """Pictures of a global generator or a local enhancer.

    Args:
        network: a `Pix2PixHDGlobal` or `Pix2PixHDLocal` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has; there is one.

    Returns:
        ``picture`` → (ours, twin's), NHWC.
    """
    del layout
    twin = _Twin(network.config, tensors)
    x = _inputs(network)
    pyramid = [nchw(x)]
    for _ in range(network.config.get("enhancers", 0)):
        pyramid.append(_halved(pyramid[-1]))
    y = twin.trunk(pyramid.pop())
    for i, finer in enumerate(reversed(pyramid)):
        y = twin.enhancer(finer, y, f"enhancer{i}")
    return {"picture": (np.asarray(network(x)), nhwc(twin.picture(y)))}


def encoder(network: Any, tensors: Mapping[str, np.ndarray], layout: str) -> Outputs:
    """Features of an instance encoder, see `translator`."""
    del layout
    twin = _Twin(network.config, tensors)
    x = _inputs(network)
    # Instances of any form and number; the same numbers in both pictures.
    cells = np.random.RandomState(1).choice((0, 7, 26001), x.shape[:3]).astype(np.int32)
    y = twin.picture(twin.trunk(nchw(x)))
    pooled = y.clone()
    for features, result, numbers in zip(y, pooled, cells, strict=True):
        for number in np.unique(numbers):
            rows, columns = (np.nonzero(numbers == number)[axis] for axis in (0, 1))
            instance = features[:, rows, columns]
            result[:, rows, columns] = instance.mean(1, keepdim=True)
    # The means of noise are almost equal; what they are the means of is compared, too.
    alone = np.arange(cells.size, dtype=np.int32).reshape(cells.shape)
    return {
        "features": (np.asarray(network(x, alone)), nhwc(y)),
        "instance features": (np.asarray(network(x, cells)), nhwc(pooled)),
    }


def discriminator(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> Outputs:
    """The features of all layers at all scales, the scores last; see `translator`."""
    from torch.nn import functional

    del layout
    config = network.config
    twin = _Twin(config, tensors)
    # As large as leaves the smallest scale a few cells.
    side = 4 << (config["layers"] + config["scales"] - 1)
    picture = pictures(2, side, side + 8, config["input_channels"])
    found: Outputs = {}
    x = nchw(picture)
    for i, ours in enumerate(network(picture)):
        x = _halved(x) if i else x
        y = x
        for j, feature in enumerate(ours):
            last = j == config["layers"] + 1
            y = twin.conv(y, f"scale{i}/conv{j}", 2 if j < config["layers"] else 1, 2)
            if 0 < j and not last:
                y = twin.norm(y, f"scale{i}/norm{j}")
            if not last:
                y = functional.leaky_relu(y, 0.2)
            elif config["use_sigmoid"]:
                y = y.sigmoid()
            name = f"scale{i} scores" if last else f"scale{i} layer{j}"
            found[name] = (np.asarray(feature), nhwc(y))
    return found


class _Twin(Tensors):
    """The layers that the networks share."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        super().__init__(tensors)
        self._batch = config["norm"] == "batch"

    def norm(self, x: Any, path: str) -> Any:
        """Normalisation per picture without parameters, or per batch."""
        from torch.nn import functional

        if self._batch:
            return self.batch_norm(x, f"{path}/bn")
        return functional.instance_norm(x, eps=1e-5)

    def mirrored(self, x: Any, path: str) -> Any:
        """A convolution that keeps the size, mirroring the border."""
        from torch.nn import functional

        around = self.kernel(f"params/{path}/kernel").shape[2] // 2
        return self.conv(functional.pad(x, (around,) * 4, mode="reflect"), path)

    def enter(self, x: Any, path: str) -> Any:
        """The first layer at a resolution."""
        y = self.mirrored(x, f"{path}/conv_in/conv")
        return self.norm(y, f"{path}/conv_in/norm").relu()

    def down(self, x: Any, path: str) -> Any:
        """Halving with zeros around."""
        return self.norm(self.conv(x, f"{path}/conv", 2, 1), f"{path}/norm").relu()

    def up(self, x: Any, path: str) -> Any:
        """Doubling by a transposed convolution.

        Its kernel comes turned as our correlation behind zero insertion wants it.
        """
        from torch.nn import functional

        weight = self.kernel(f"params/{path}/conv/kernel").flip(2, 3).transpose(0, 1)
        bias = self.get(f"params/{path}/conv/bias")
        y = functional.conv_transpose2d(
            x, weight, bias, stride=2, padding=1, output_padding=1
        )
        return self.norm(y, f"{path}/norm").relu()

    def blocks(self, x: Any, path: str) -> Any:
        """All residual blocks in a row."""
        i = 0
        while self.has(f"params/{path}/block{i}/conv/kernel"):
            block = f"{path}/block{i}"
            y = self.mirrored(x, f"{block}/first/conv")
            y = self.mirrored(
                self.norm(y, f"{block}/first/norm").relu(), f"{block}/conv"
            )
            x, i = x + self.norm(y, f"{block}/norm"), i + 1
        return x

    def trunk(self, x: Any) -> Any:
        """Down, residual blocks, up."""
        x, count = self.enter(x, "trunk"), 0
        while self.has(f"params/trunk/down{count}/conv/kernel"):
            x = self.down(x, f"trunk/down{count}")
            count += 1
        x = self.blocks(x, "trunk")
        for i in range(count):
            x = self.up(x, f"trunk/up{i}")
        return x

    def enhancer(self, x: Any, below: Any, path: str) -> Any:
        """A picture refined around the features of the network below."""
        x = self.down(self.enter(x, path), f"{path}/down0") + below
        return self.up(self.blocks(x, path), f"{path}/up0")

    def picture(self, x: Any) -> Any:
        """The last convolution and tanh."""
        return self.mirrored(x, "picture/conv").tanh()


def _inputs(network: Any) -> np.ndarray:
    """Noise whose smallest maps keep 4x5 cells to be normalised."""
    step = max(network.module.multiple, 4)
    return pictures(2, 4 * step, 5 * step, network.config["input_channels"])


def _halved(x: Any) -> Any:
    from torch.nn import functional

    return functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
