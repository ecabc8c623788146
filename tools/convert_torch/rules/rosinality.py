"""rosinality's PyTorch StyleGAN2 (and the decoder of pSp, which is the same)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Buffer, Rule, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State, as_array
from stylegan_jax.convert_torch.rules.nvlabs import base_grid
from stylegan_jax.convert_torch.rules.stylegan2_scopes import (
    channel_law,
    discriminator_scopes,
    fir,
    fir_up,
    generator_scopes,
    taps_of,
)
from stylegan_jax.convert_torch.rules.tensors import depth_of, need, numbers
from stylegan_jax.errors import UserError
from stylegan_jax.models.stylegan2.layers import channels_at

NAME = "rosinality"
# ``lr_mlp`` of every published network, and of this program's own.
DEFAULT_MULTIPLIER = 0.01

# Under every convolution: the name in the file, the name in ours, the axes.
_STYLED = (
    ("conv.weight", "weight", "1OIHW>HWIO"),
    ("conv.modulation.weight", "affine/weight", "OI>IO"),
    ("conv.modulation.bias", "affine/bias", ""),
)
_LAYER = (*_STYLED, ("activate.bias", "bias", ""))
_NOISE = (("noise.weight", "noise_strength", "1>"),)
_TORGB = (*_STYLED, ("bias", "bias", "1C11>C"))


def _each(source, target, leaves, over) -> tuple[Rule, ...]:
    return tuple(
        Rule(f"{source}.{theirs}", f"{target}/{ours}", axes, over)
        for theirs, ours, axes in leaves
    )


GENERATOR: Table = (
    Rule("style.{j}.weight", "params/mapping/fc{i}/weight", "OI>IO", "fc"),
    Rule("style.{j}.bias", "params/mapping/fc{i}/bias", "", "fc"),
    # Not in the generator's state: it lies beside it in the file.
    Rule("latent_avg", "moving_stats/mapping/w_avg"),
    Rule("input.input", "params/synthesis/b4/const", "1CHW>HWC"),
    *_each("conv1", "params/synthesis/b4/conv1", _LAYER, "base"),
    *_each("conv1", "params/synthesis/b4/conv1", _NOISE, "basenoise"),
    *_each("to_rgb1", "params/synthesis/b4/torgb", _TORGB, ""),
    *_each("convs.{m}", "params/synthesis/b{r}/{conv}", _LAYER, "upperlayer"),
    *_each("convs.{m}", "params/synthesis/b{r}/{conv}", _NOISE, "uppernoise"),
    *_each("to_rgbs.{up}", "params/synthesis/b{r}/torgb", _TORGB, "uptorgb"),
    Rule(
        "noises.noise_{n}",
        "noise/synthesis/b{r}/{conv}/noise_const",
        "11HW>HW",
        "noise",
    ),
    Buffer("convs.{m}.conv.blur.kernel", fir_up, "uplayer"),
    Buffer("to_rgbs.{up}.upsample.kernel", fir_up, "uptorgb"),
)

DISCRIMINATOR: Table = (
    Rule("convs.0.0.weight", "params/b{R}/fromrgb/weight", "OIHW>HWIO"),
    Rule("convs.0.1.bias", "params/b{R}/fromrgb/bias"),
    Rule("convs.{i}.conv1.0.weight", "params/b{r}/conv0/weight", "OIHW>HWIO", "block"),
    Rule("convs.{i}.conv1.1.bias", "params/b{r}/conv0/bias", "", "block"),
    Rule("convs.{i}.conv2.1.weight", "params/b{r}/conv1/weight", "OIHW>HWIO", "block"),
    Rule("convs.{i}.conv2.2.bias", "params/b{r}/conv1/bias", "", "block"),
    Rule("convs.{i}.skip.1.weight", "params/b{r}/skip/weight", "OIHW>HWIO", "skip"),
    Rule("final_conv.0.weight", "params/b4/conv/weight", "OIHW>HWIO"),
    Rule("final_conv.1.bias", "params/b4/conv/bias"),
    Rule("final_linear.0.weight", "params/b4/fc/weight", "O(CHW)>(HWC)O"),
    Rule("final_linear.0.bias", "params/b4/fc/bias"),
    Rule("final_linear.1.weight", "params/b4/out/weight", "OI>IO"),
    Rule("final_linear.1.bias", "params/b4/out/bias"),
    Buffer("convs.{i}.conv2.0.kernel", fir, "block"),
    Buffer("convs.{i}.skip.0.kernel", fir, "skip"),
)


def is_generator(state: State) -> bool:
    """Whether these are the names of a generator of rosinality's."""
    return "input.input" in state and "conv1.conv.modulation.weight" in state


def is_discriminator(state: State) -> bool:
    """Whether these are the names of a discriminator of rosinality's."""
    return "final_linear.0.weight" in state and "convs.0.0.weight" in state


def generator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a generator, from its tensors alone."""
    where = hints.get("where", "the file")
    ups = numbers(state, r"convs\.(\d+)\..*")
    blocks = 1 + (ups[-1] + 2) // 2 if ups else 1
    depth = depth_of(state, r"style\.(\d+)\.\w+", where=where) - 1
    if "conv1.conv.weight" not in state or "to_rgb1.conv.weight" not in state:
        raise UserError(
            f"{where} is no rosinality generator of the StyleGAN2 kind: it lacks "
            "conv1.conv.weight or to_rgb1.conv.weight (rosinality's swagan networks "
            "cannot be converted)."
        )
    seconds = [f"convs.{2 * k + 1}.conv.weight" for k in range(blocks - 1)]
    last = f"style.{depth}.weight"
    ranks = {"input.input": 4, "to_rgb1.conv.weight": 5, "style.1.weight": 2, last: 2}
    need(state, {**ranks, **dict.fromkeys(seconds, 5)}, where=where)
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in state.items()}
    _, channels, height, width = shapes["input.input"]
    return {
        "num_blocks": blocks,
        "z_dim": shapes["style.1.weight"][1],
        "c_dim": 0,
        "w_dim": shapes[last][0],
        "base_grid": (height, width),
        "img_channels": shapes["to_rgb1.conv.weight"][1],
        "mapping_layers": depth,
        "mapping_lr_multiplier": told_multiplier(state),
        **channel_law([channels, *(shapes[n][1] for n in seconds)], where=where),
        "architecture": "skip",
        "resample_filter": _taps(state.get("convs.0.conv.blur.kernel"), where),
        "use_noise": True,
        "conv_clamp": None,
    }


def told_multiplier(state: State) -> float:
    """The constructor's ``lr_mlp``, which no name or shape tells.

    Weights are drawn with a spread of 1/lr_mlp and keep it in training, so the power of
    ten nearest to it is told: 0.01, the program's default, has about 100.
    """
    spread = float(np.std(as_array(state["style.1.weight"]), dtype=np.float64))
    if not np.isfinite(spread) or spread == 0:
        return DEFAULT_MULTIPLIER
    return float(10.0 ** np.clip(-np.round(np.log10(spread)), -4, 0))


def discriminator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a discriminator; ``hints`` may give the base grid."""
    where = hints.get("where", "the file")
    found = numbers(state, r"convs\.(\d+)\..*")
    # The list goes from the image down, widths from the lowest block up.
    inputs = [f"convs.{i}.conv1.0.weight" for i in range(found[-1], 0, -1)]
    ranks = {"final_conv.0.weight": 4, "final_linear.0.weight": 2}
    ranks["convs.0.0.weight"] = 4
    need(state, {**ranks, **dict.fromkeys(inputs, 4)}, where=where)
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in state.items()}
    features, width = shapes["final_conv.0.weight"][:2]
    return {
        "num_blocks": len(inputs) + 1,
        "c_dim": 0,
        "base_grid": base_grid(shapes["final_linear.0.weight"][1] // features, hints),
        "img_channels": shapes["convs.0.0.weight"][1],
        **channel_law([features, *(shapes[n][0] for n in inputs)], where=where),
        "architecture": "resnet",
        "mapping_layers": 8,
        "mbstd_group_size": 4,
        "mbstd_num_channels": width - features,
        "resample_filter": _taps(state.get("convs.1.conv2.0.kernel"), where),
        "conv_clamp": None,
    }


def _taps(kernel: Any, where: object) -> tuple[float, ...]:
    """The filter's taps; the usual ones for a network that never resamples."""
    if kernel is None:
        return (0.125, 0.375, 0.375, 0.125)
    return taps_of(as_array(kernel), where=where)


def size_of(config: Mapping[str, Any]) -> int:
    """The picture's side as rosinality's constructor takes it."""
    return 4 << (config["num_blocks"] - 1)


def multiplier_of(config: Mapping[str, Any]) -> int:
    """Rosinality's channel multiplier: 2 is config-f, 1 is config-e."""
    return max(1, config["channel_base"] // 16384)


def widths(multiplier: int, blocks: int) -> list[int]:
    """The channels of rosinality's blocks from 4x4 up."""
    return [512 if k < 4 else (512 >> (k - 3)) * multiplier for k in range(blocks)]


def fits_rosinality(config: Mapping[str, Any], family: str) -> list[str]:
    """Why rosinality's program has no such network; empty where it has."""
    reasons = []
    wanted = {"stylegan2.generator": "skip", "stylegan2.discriminator": "resnet"}
    if config["architecture"] != wanted[family]:
        reasons.append(f"architecture {config['architecture']}")
    if config["c_dim"]:
        reasons.append("labels")
    if tuple(config["base_grid"]) != (4, 4):
        reasons.append("a base grid that is not 4x4")
    if config["img_channels"] != 3:
        reasons.append(f"{config['img_channels']} image channels")
    if not config.get("use_noise", True):
        reasons.append("no noise inputs")
    if config.get("mapping_features"):
        reasons.append(f"mapping layers of width {config['mapping_features']}")
    if config.get("mbstd_num_channels", 1) != 1:
        reasons.append(f"{config['mbstd_num_channels']} minibatch statistics")
    blocks = config["num_blocks"]
    ours = [
        channels_at(4 << k, config["channel_base"], config["channel_max"])
        for k in range(blocks)
    ]
    if ours != widths(multiplier_of(config), blocks):
        reasons.append(f"channels {ours}")
    return reasons


def lost_in_rosinality(config: Mapping[str, Any]) -> list[str]:
    """What rosinality's program leaves out without failing, in words."""
    lost = []
    if config.get("conv_clamp") is not None:
        lost.append(
            f"layers are not clamped to ±{config['conv_clamp']:g} there, which shows "
            "only where one gets that large"
        )
    if config.get("mbstd_group_size", 4) != 4:
        lost.append(
            f"its minibatch groups are of 4 images, not of {config['mbstd_group_size']}"
        )
    return lost


LAYOUTS = (
    Layout(NAME, "stylegan2.generator", GENERATOR, generator_scopes, generator_config),
    Layout(
        NAME,
        "stylegan2.discriminator",
        DISCRIMINATOR,
        discriminator_scopes,
        discriminator_config,
    ),
)
