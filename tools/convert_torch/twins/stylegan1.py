"""The StyleGAN of 2018 once more, in PyTorch: generator and discriminator.

Written from Karras et al. 2018 and 2019; tensors are the file's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.twins.layers import Tensors, nchw, nhwc, pictures
from stylegan_jax.models.stylegan1.synthesis import unstored_noise

Outputs = dict[str, tuple[Any, Any]]

SQRT2 = 2**0.5
# Pictures larger than this are compared one at a time.
LARGE = 256


def generator(network: Any, tensors: Mapping[str, np.ndarray], layout: str) -> Outputs:
    """Latents and pictures of ours and the twin's on the same z.

    Args:
        network: a `StyleGAN1Generator` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has: TensorFlow's kernels are HWIO.

    Returns:
        Name → (ours, twin's), NHWC.
    """
    import torch

    config = network.config
    count = 1 if network.image_shape[0] > LARGE else 2
    z = np.random.RandomState(0).randn(count, config["z_dim"]).astype(np.float32)
    twin = _Twin(config, tensors, layout)
    w = twin.mapping(torch.from_numpy(z))
    w_plus = network.mapping(z, None)
    image = np.asarray(network.synthesis(w_plus, noise_mode="const"))
    mean = twin.get("moving_stats/mapping/w_avg")
    halfway = np.asarray(network.mapping(z, None, 0.5))[:, -1]
    return {
        "w": (np.asarray(w_plus)[:, 0], w.numpy()),
        "truncated w": (halfway, (mean + (w - mean) / 2).numpy()),
        "image": (image, nhwc(twin.synthesis(w))),
    }


def discriminator(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> Outputs:
    """Logits of ours and the twin's on the same pictures; see `generator`."""
    import torch

    config = network.config
    height, width, channels = network.image_shape
    count = 1 if height > LARGE else 4
    x = pictures(count, height, width, channels)
    scores = _Twin(config, tensors, layout).scores(nchw(x))
    c = None
    if config["c_dim"]:
        c = np.eye(config["c_dim"], dtype=np.float32)[
            np.arange(count) % config["c_dim"]
        ]
        scores = scores * torch.from_numpy(c)
    return {"logits": (np.asarray(network(x, c)), scores.sum(1).numpy())}


def dense(t: Tensors, x: Any, path: str, gain: float = SQRT2, lr: float = 1.0) -> Any:
    """Fully connected layer with equalised learning rate.

    Args:
        t: where ``params/<path>/weight`` and ``bias`` are.
        x: [N, in].
        path: of the layer.
        gain: factor of the weights alone.
        lr: scale of the learning rate of both.
    """
    weight = t.matrix(f"params/{path}/weight")
    y = x @ weight.T * (gain * lr / weight.shape[1] ** 0.5)
    return y + lr * t.get(f"params/{path}/bias")


def pixel_norm(x: Any) -> Any:
    """Rows of [N, D] scaled to unit mean square."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class _Twin(Tensors):
    def __init__(
        self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], layout: str
    ):
        super().__init__(tensors, as_ours=layout == "tensorflow")
        self.config = config

    def mapping(self, z: Any) -> Any:
        """Z [N, z_dim] to w [N, w_dim]."""
        lr = self.config["mapping_lr_multiplier"]
        x = pixel_norm(z)
        for i in range(self.config["mapping_layers"]):
            x = _lrelu(dense(self, x, f"mapping/fc{i}", lr=lr))
        return x

    def synthesis(self, w: Any) -> Any:
        """W [N, w_dim], the same for all layers, to pictures [N, C, H, W]."""
        x = self.get("params/synthesis/b4/input/const")[None].repeat(len(w), 1, 1, 1)
        for k in range(self.config["num_blocks"]):
            block = f"synthesis/b{4 << k}"
            if k == 0:
                x = self.styled(x, w, f"{block}/input", 0)
            else:
                y = self.doubled(x, f"{block}/conv0")
                x = self.styled(y, w, f"{block}/conv0", 2 * k)
            y = self.equalised(x, f"{block}/conv1")
            x = self.styled(y, w, f"{block}/conv1", 2 * k + 1)
        return self.equalised(x, "synthesis/torgb", gain=1.0) + self.bias(
            "synthesis/torgb"
        )

    def styled(self, x: Any, w: Any, path: str, number: int) -> Any:
        """Bias, noise, leaky ReLU, instance normalisation, style (AdaIN)."""
        from torch.nn import functional

        x = x + self.bias(path)
        if self.config["use_noise"]:
            strength = self.get(f"params/{path}/noise_strength").reshape(1, -1, 1, 1)
            x = x + self.noise(path, number, x.shape[2:]) * strength
        x = functional.instance_norm(_lrelu(x), eps=self.config["norm_eps"])
        style = dense(self, w, f"{path}/affine", gain=1.0)[:, :, None, None]
        factor, offset = style.chunk(2, 1)
        return x * (factor + 1) + offset

    def noise(self, path: str, number: int, size: Any) -> Any:
        """The noise map [H, W] of a layer; an input that some files bring along."""
        import torch

        if self.config["stored_noise"]:
            return self.get(f"noise/{path}/noise_const")
        return torch.from_numpy(np.array(unstored_noise(number, tuple(size))))

    def bias(self, path: str) -> Any:
        """A bias of maps."""
        return self.get(f"params/{path}/bias").reshape(1, -1, 1, 1)

    def scaled(self, path: str, gain: float = SQRT2) -> Any:
        """A kernel [O, I, k, k] with equalised learning rate."""
        weight = self.kernel(f"params/{path}/weight")
        return weight * (gain / weight[0].numel() ** 0.5)

    def equalised(self, x: Any, path: str, gain: float = SQRT2) -> Any:
        """Convolution that keeps the size, without bias."""
        from torch.nn import functional

        weight = self.scaled(path, gain)
        return functional.conv2d(x, weight, padding=weight.shape[2] // 2)

    def doubled(self, x: Any, path: str) -> Any:
        """Twice the size, then smoothed; two functions of one kernel, by the size."""
        from torch.nn import functional

        if 2 * min(x.shape[2:]) < self.config["fused_resolution"]:
            large = functional.interpolate(x, scale_factor=2, mode="nearest")
            return self.smoothed(self.equalised(large, path))
        # A box of 2x2 pixels for every one, in the kernel: [3, 3] becomes [4, 4].
        weight = self.scaled(path)
        weight = functional.avg_pool2d(functional.pad(weight, (1, 1, 1, 1)), 2, 1) * 4
        y = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2, padding=1)
        return self.smoothed(y)

    def smoothed(self, x: Any) -> Any:
        """The low-pass filter over every channel; the size stays."""
        import torch
        from torch.nn import functional

        taps = torch.tensor(self.config["resample_filter"], dtype=torch.float32)
        channels = x.shape[1]
        kernel = torch.outer(taps, taps).expand(channels, 1, -1, -1)
        return functional.conv2d(x, kernel, padding=len(taps) // 2, groups=channels)

    def scores(self, x: Any) -> Any:
        """Pictures [N, C, H, W] to a score for every label, or one."""
        from torch.nn import functional

        for k in range(self.config["num_blocks"] - 1, 0, -1):
            block = f"b{4 << k}"
            if self.has(f"params/{block}/fromrgb/weight"):
                x = self.activated(x, f"{block}/fromrgb")
            x = self.smoothed(self.activated(x, f"{block}/conv0"))
            y = functional.avg_pool2d(self.equalised(x, f"{block}/conv1"), 2)
            x = _lrelu(y + self.bias(f"{block}/conv1"))
        x = self.activated(self.with_statistics(x), "b4/conv")
        x = _lrelu(dense(self, x.flatten(1), "b4/fc"))
        return dense(self, x, "b4/out", gain=1.0)

    def activated(self, x: Any, path: str) -> Any:
        """Convolution, bias, leaky ReLU."""
        return _lrelu(self.equalised(x, path) + self.bias(path))

    def with_statistics(self, x: Any) -> Any:
        """Minibatch standard deviations as further channels (Karras et al. 2018)."""
        import torch

        made = self.config["mbstd_num_channels"]
        if not made:
            return x
        n, channels, height, width = x.shape
        group = min(self.config["mbstd_group_size"], n)
        y = x.reshape(group, n // group, made, channels // made, height, width)
        y = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((2, 3, 4))
        y = y.repeat(group, 1)[:, :, None, None].expand(-1, -1, height, width)
        return torch.cat([x, y], 1)


def _lrelu(x: Any) -> Any:
    from torch.nn import functional

    return functional.leaky_relu(x, 0.2)
