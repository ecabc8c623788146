"""Minimal mapping of PyTorch state dicts onto our variables, for the golden tests.

It serves 4x4-grid networks of the two layouts in ``tests/golden``; the converter does
this for every file there is.
"""

from __future__ import annotations

import numpy as np
from flax.traverse_util import unflatten_dict

Arrays = dict[str, np.ndarray]


def hwio(w: np.ndarray) -> np.ndarray:
    """OIHW to HWIO."""
    return np.transpose(w, (2, 3, 1, 0))


def _place(flat: dict, path: str, value: np.ndarray) -> None:
    """Stores one tensor under ``path``, turned into our axis order by its rank."""
    if path.endswith("b4/fc/weight"):
        # The input is flattened C,H,W there and H,W,C here.
        out = value.shape[0]
        value = value.reshape(out, -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, out)
    elif path.endswith("/const"):
        value = np.transpose(value.reshape(value.shape[-3:]), (1, 2, 0))
    elif path.endswith("noise_const"):
        value = value.reshape(value.shape[-2:])
    elif path.endswith("noise_strength"):
        value = value.reshape(())
    elif path.endswith("weight") and value.ndim >= 4:
        value = hwio(value.reshape(value.shape[-4:]))
    elif path.endswith("weight"):
        value = value.T
    elif path.endswith("bias"):
        value = value.reshape(-1)
    flat[path] = value


def nvlabs(state: Arrays) -> dict:
    """NVIDIA's names are ours with dots."""
    flat: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if name.endswith("resample_filter"):
            continue
        path = name.replace(".", "/")
        kind = {"w_avg": "moving_stats", "noise_const": "noise"}.get(
            path.rsplit("/", 1)[-1], "params"
        )
        _place(flat, f"{kind}/{path}", value)
    return unflatten_dict(flat, sep="/")


def rosinality_generator(state: Arrays, latent_avg: np.ndarray) -> dict:
    """The layout of PEERS appendix A."""
    flat: dict[str, np.ndarray] = {"moving_stats/mapping/w_avg": latent_avg}
    for name, value in state.items():
        if name.endswith("kernel"):
            continue
        head, *rest = name.split(".")
        tail = ".".join(rest)
        if head == "style":
            number, leaf = rest
            path = f"params/mapping/fc{int(number) - 1}/{leaf}"
        elif head == "input":
            path = "params/synthesis/b4/const"
        elif head == "noises":
            path = f"noise/synthesis/{_conv(int(tail.split('_')[1]))}/noise_const"
        elif head == "conv1":
            path = f"params/synthesis/{_conv(0)}/{_leaf(tail)}"
        elif head == "convs":
            leaf = _leaf(".".join(rest[1:]))
            path = f"params/synthesis/{_conv(int(rest[0]) + 1)}/{leaf}"
        else:
            block = 0 if head == "to_rgb1" else int(rest[0]) + 1
            leaf = _leaf(tail if head == "to_rgb1" else ".".join(rest[1:]))
            path = f"params/synthesis/b{4 << block}/torgb/{leaf}"
        _place(flat, path, value)
    return unflatten_dict(flat, sep="/")


def rosinality_discriminator(state: Arrays, size: int) -> dict:
    """The layout of PEERS appendix A."""
    flat: dict[str, np.ndarray] = {}
    leaves = {
        "conv1.0.weight": "conv0/weight",
        "conv1.1.bias": "conv0/bias",
        "conv2.1.weight": "conv1/weight",
        "conv2.2.bias": "conv1/bias",
        "skip.1.weight": "skip/weight",
    }
    heads = {
        "final_conv.0.weight": "b4/conv/weight",
        "final_conv.1.bias": "b4/conv/bias",
        "final_linear.0.weight": "b4/fc/weight",
        "final_linear.0.bias": "b4/fc/bias",
        "final_linear.1.weight": "b4/out/weight",
        "final_linear.1.bias": "b4/out/bias",
        "convs.0.0.weight": f"b{size}/fromrgb/weight",
        "convs.0.1.bias": f"b{size}/fromrgb/bias",
    }
    for name, value in state.items():
        if name.endswith("kernel"):
            continue
        path = heads.get(name)
        if path is None:
            _, number, leaf = name.split(".", 2)
            path = f"b{size >> (int(number) - 1)}/{leaves[leaf]}"
        _place(flat, f"params/{path}", value)
    return unflatten_dict(flat, sep="/")


def _conv(index: int) -> str:
    """Layer ``index`` (0 at 4x4) as our block and convolution."""
    if index == 0:
        return "b4/conv1"
    return f"b{8 << (index - 1) // 2}/conv{(index - 1) % 2}"


def _leaf(tail: str) -> str:
    return {
        "conv.weight": "weight",
        "conv.modulation.weight": "affine/weight",
        "conv.modulation.bias": "affine/bias",
        "noise.weight": "noise_strength",
        "activate.bias": "bias",
        "bias": "bias",
    }[tail]
