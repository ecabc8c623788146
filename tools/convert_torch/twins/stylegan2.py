"""StyleGAN2 once more, in PyTorch: small, slow and for comparison only.

Written from Karras et al. 2020; tensors are taken as the file has them, kernels OIHW.
torch is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

SQRT_HALF = 0.5**0.5
EPS = 1e-8
# Inputs at which networks are compared; large pictures one at a time.
BATCH = 2
LARGE = 256


def generator(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Latents and pictures of ours and the twin's on the same z.

    Args:
        network: a `StyleGAN2Generator` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose arithmetic: rosinality scales weights before they are demodulated.

    Returns:
        Name → (ours, twin's), NHWC.
    """
    import torch

    config = network.config
    count = 1 if network.image_shape[0] > LARGE else BATCH
    rng = np.random.RandomState(0)
    z = rng.randn(count, config["z_dim"]).astype(np.float32)
    c = np.eye(max(config["c_dim"], 1), dtype=np.float32)[[0] * count]
    label = c if config["c_dim"] else None
    twin = _Generator(config, tensors, prescale=layout == "rosinality")
    with torch.no_grad():
        w = twin.mapping(torch.from_numpy(z), torch.from_numpy(c))
        image = twin.synthesis(w).permute(0, 2, 3, 1).numpy()
    w_plus = network.mapping(z, label)
    mean = twin.get("moving_stats/mapping/w_avg")
    halfway = np.asarray(network.mapping(z, label, 0.5))[:, -1]
    noise = "const" if config["use_noise"] else "none"
    return {
        "w": (np.asarray(w_plus)[:, 0], w.numpy()),
        "truncated w": (halfway, (mean + (w - mean) / 2).numpy()),
        "image": (np.asarray(network.synthesis(w_plus, noise_mode=noise)), image),
    }


def discriminator(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> dict[str, tuple[Any, Any]]:
    """Logits of ours and the twin's on the same pictures; see `generator`."""
    import torch

    del layout  # all programs compute discriminators alike
    config = network.config
    height, width, channels = network.image_shape
    count = 1 if height > LARGE else 4
    x = np.random.RandomState(0).rand(count, height, width, channels) * 2 - 1
    x = x.astype(np.float32)
    c = np.eye(max(config["c_dim"], 1), dtype=np.float32)[[0] * count]
    with torch.no_grad():
        twin = _Discriminator(config, tensors)
        pictures = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
        logits = twin(pictures, torch.from_numpy(c)).numpy()
    return {
        "logits": (np.asarray(network(x, c if config["c_dim"] else None)), logits),
    }


class _Weights:
    """The tensors as PyTorch's, float32, and the layers that both networks have."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        import torch

        self.config = config
        self._tensors = tensors
        taps = torch.tensor(config["resample_filter"], dtype=torch.float32)
        self.fir = torch.outer(taps, taps)

    def get(self, path: str) -> Any:
        """A tensor by our path."""
        import torch

        return torch.from_numpy(np.array(self._tensors[path], np.float32, order="C"))

    def has(self, path: str) -> bool:
        """Whether there is one."""
        return path in self._tensors

    def dense(self, x: Any, path: str, lr: float = 1.0) -> Any:
        """Equalised dense layer without activation."""
        weight = self.get(f"{path}/weight").flatten(1)
        return x @ weight.T * (lr / weight.shape[1] ** 0.5) + lr * self.get(
            f"{path}/bias"
        )

    def mapping(self, z: Any, c: Any, lr: float = 0.01) -> Any:
        """Z [N,z_dim] and label c [N,c_dim] to w [N,w_dim]."""
        import torch

        parts = [] if z is None else [_normalised(z)]
        if self.config["c_dim"]:
            parts.append(_normalised(self.dense(c, "params/mapping/embed")))
        x = torch.cat(parts, 1)
        for i in range(self.config["mapping_layers"]):
            x = _lrelu(self.dense(x, f"params/mapping/fc{i}", lr))
        return x

    def filter(self, x: Any, pad: tuple[int, int], gain: float = 1.0) -> Any:
        """Correlates every channel with the low-pass filter after padding."""
        from torch.nn import functional

        n, channels, height, width = x.shape
        x = functional.pad(x, (*pad, *pad))
        x = x.reshape(n * channels, 1, *x.shape[2:])
        y = functional.conv2d(x, (self.fir * gain).flip(0, 1)[None, None])
        return y.reshape(n, channels, *y.shape[2:])

    def upsample(self, x: Any) -> Any:
        """Twice the size: zeros between the pixels, then the filter."""
        n, channels, height, width = x.shape
        y = x.new_zeros(n, channels, height, 2, width, 2)
        y[:, :, :, 0, :, 0] = x
        y = y.reshape(n, channels, 2 * height, 2 * width)
        p = self.fir.shape[0] - 2
        return self.filter(y, ((p + 1) // 2 + 1, p // 2), 4.0)

    def downsample(self, x: Any) -> Any:
        """Half the size: the filter, then every second pixel."""
        p = self.fir.shape[0] - 2
        return self.filter(x, ((p + 1) // 2, p // 2))[:, :, ::2, ::2]

    def clamp(self, x: Any, gain: float = 1.0) -> Any:
        """Bounds a layer's result, where the network has a bound."""
        bound = self.config["conv_clamp"]
        return x if bound is None else x.clamp(-bound * gain, bound * gain)


class _Generator(_Weights):
    def __init__(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, np.ndarray],
        *,
        prescale: bool,
    ):
        super().__init__(config, tensors)
        self._prescale = prescale

    def mapping(self, z: Any, c: Any, lr: float | None = None) -> Any:
        """As in `_Weights`, with the generator's own multiplier."""
        return super().mapping(z, c, lr or self.config["mapping_lr_multiplier"])

    def synthesis(self, w: Any) -> Any:
        """W [N,w_dim] to pictures [N,C,H,W], constant noise."""
        config = self.config
        x = self.get("params/synthesis/b4/const")[None].repeat(len(w), 1, 1, 1)
        image = None
        for k in range(config["num_blocks"]):
            path = f"params/synthesis/b{4 << k}"
            resnet = k > 0 and config["architecture"] == "resnet"
            gain = SQRT_HALF if resnet else 1.0
            if resnet:
                weight = self.get(f"{path}/skip/weight")
                skip = self.upsample(_conv(x, weight / weight.shape[1] ** 0.5))
            if k > 0:
                x = self.layer(x, w, f"{path}/conv0", up=True)
            x = self.layer(x, w, f"{path}/conv1", gain=gain)
            if resnet:
                x = x + skip * SQRT_HALF
            if image is not None:
                image = self.upsample(image)
            if config["architecture"] == "skip" or k == config["num_blocks"] - 1:
                colours = self.torgb(x, w, f"{path}/torgb")
                image = colours if image is None else image + colours
        return image

    def layer(
        self, x: Any, w: Any, path: str, *, up: bool = False, gain: float = 1.0
    ) -> Any:
        """Modulated convolution, noise, bias, leaky ReLU."""
        styles = self.dense(w, f"{path}/affine")
        weight = self.get(f"{path}/weight")
        x = self.modulated(x, weight, styles, up=up)
        noise = f"noise/{path.removeprefix('params/')}/noise_const"
        if self.config["use_noise"]:
            strength = self.get(f"{path}/noise_strength").reshape(())
            x = x + self.get(noise)[None, None] * strength
        bias = self.get(f"{path}/bias").reshape(1, -1, 1, 1)
        return self.clamp(_lrelu(x + bias) * gain, gain)

    def modulated(self, x: Any, weight: Any, styles: Any, *, up: bool) -> Any:
        """One kernel per sample, demodulated (Karras et al. 2020, equations 1 to 3)."""
        import torch
        from torch.nn import functional

        if self._prescale:
            weight = weight / weight[0].numel() ** 0.5
        outputs = []
        for picture, style in zip(x, styles, strict=True):
            kernel = weight * style[None, :, None, None]
            norm = (kernel.square().sum((1, 2, 3), keepdim=True) + EPS).rsqrt()
            kernel = kernel * norm
            if up:
                y = functional.conv_transpose2d(
                    picture[None], kernel.transpose(0, 1), stride=2
                )
                p = self.fir.shape[0] - 2 - (kernel.shape[2] - 1)
                y = self.filter(y, ((p + 1) // 2 + 1, p // 2 + 1), 4.0)
            else:
                y = _conv(picture[None], kernel)
            outputs.append(y)
        return torch.cat(outputs)

    def torgb(self, x: Any, w: Any, path: str) -> Any:
        """Modulated 1x1 convolution without demodulation."""
        weight = self.get(f"{path}/weight")
        styles = self.dense(w, f"{path}/affine") / weight.shape[1] ** 0.5
        y = _conv(x * styles[:, :, None, None], weight)
        return self.clamp(y + self.get(f"{path}/bias").reshape(1, -1, 1, 1))


class _Discriminator(_Weights):
    def __call__(self, image: Any, c: Any) -> Any:
        """Pictures [N,C,H,W] and labels [N,c_dim] to logits [N]."""
        architecture = self.config["architecture"]
        x = None
        for k in range(self.config["num_blocks"] - 1, 0, -1):
            path = f"params/b{4 << k}"
            if self.has(f"{path}/fromrgb/weight"):
                y = self.layer(image, f"{path}/fromrgb")
                x = y if x is None else x + y
                image = self.downsample(image)
            resnet = architecture == "resnet"
            gain = SQRT_HALF if resnet else 1.0
            y = self.layer(self.layer(x, f"{path}/conv0"), f"{path}/conv1", True, gain)
            if resnet:
                weight = self.get(f"{path}/skip/weight")
                scaled = weight / weight.shape[1] ** 0.5
                y = y + _conv(self.downsample(x), scaled) * SQRT_HALF
            x = y
        if architecture == "skip":
            x = x + self.layer(image, "params/b4/fromrgb", clamped=False)
        x = self.layer(self.statistics(x), "params/b4/conv")
        x = _lrelu(self.dense(x.flatten(1), "params/b4/fc"))
        logits = self.dense(x, "params/b4/out")
        if self.config["c_dim"]:
            label = self.mapping(None, c)
            logits = (logits * label).sum(1, keepdim=True) / label.shape[1] ** 0.5
        return logits[:, 0]

    def layer(
        self,
        x: Any,
        path: str,
        down: bool = False,
        gain: float = 1.0,
        clamped: bool = True,
    ) -> Any:
        """Convolution, bias, leaky ReLU; halves the size where ``down``."""
        from torch.nn import functional

        weight = self.get(f"{path}/weight")
        scaled = weight / weight[0].numel() ** 0.5
        if down:
            p = self.fir.shape[0] - 2 + weight.shape[2] - 1
            x = self.filter(x, ((p + 1) // 2, p // 2))
            x = functional.conv2d(x, scaled, stride=2)
        else:
            x = _conv(x, scaled)
        bias = self.get(f"{path}/bias").reshape(1, -1, 1, 1)
        y = _lrelu(x + bias) * gain
        return self.clamp(y, gain) if clamped else y

    def statistics(self, x: Any) -> Any:
        """Minibatch standard deviation; see `models.stylegan2.discriminator`."""
        import torch

        features = self.config["mbstd_num_channels"]
        if not features:
            return x
        n, channels, height, width = x.shape
        group = min(self.config["mbstd_group_size"], n)
        y = x.reshape(group, -1, features, channels // features, height, width)
        y = ((y - y.mean(0)).square().mean(0) + EPS).sqrt().mean((2, 3, 4))
        y = y.reshape(-1, features, 1, 1).repeat(group, 1, height, width)
        return torch.cat([x, y], 1)


def _conv(x: Any, weight: Any) -> Any:
    from torch.nn import functional

    return functional.conv2d(x, weight, padding=weight.shape[2] // 2)


def _lrelu(x: Any) -> Any:
    from torch.nn import functional

    return functional.leaky_relu(x, 0.2) * 2**0.5


def _normalised(x: Any) -> Any:
    return x * (x.square().mean(1, keepdim=True) + EPS).rsqrt()
