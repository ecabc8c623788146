"""NVIDIA's PyTorch StyleGAN2 (stylegan2-ada-pytorch and the stylegan3 repository)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Buffer, Rule, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State, as_array
from stylegan_jax.convert_torch.rules.stylegan2_scopes import (
    channel_law,
    discriminator_scopes,
    fir,
    generator_scopes,
    taps_of,
)
from stylegan_jax.convert_torch.rules.tensors import (
    depth_of,
    need,
    numbers,
    resolutions,
    shape_of,
)
from stylegan_jax.errors import UserError

NAME = "nvlabs"
# What the programs use where a state dict alone cannot tell.
DEFAULT_MBSTD_GROUP = 4
# Filters of this many taps and more are kept as rows.
SEPARABLE_FROM = 8
# A group of None is the whole batch: larger than any batch.
WHOLE_BATCH = 2**20


def stored_fir(values: Mapping[str, Any]) -> np.ndarray:
    """The filter as these programs keep it: a row if it is long, else a matrix."""
    if len(values["taps"]) >= SEPARABLE_FROM:
        return np.asarray(values["taps"], np.float32)
    return fir(values)


def fir_unused(values: Mapping[str, Any]) -> np.ndarray:
    """The filter of layers that do not resample: always the default one."""
    del values
    return fir({"taps": (0.125, 0.375, 0.375, 0.125)})


GENERATOR: Table = (
    Rule("mapping.embed.weight", "params/mapping/embed/weight", "OI>IO", "embed"),
    Rule("mapping.embed.bias", "params/mapping/embed/bias", "", "embed"),
    Rule("mapping.fc{i}.weight", "params/mapping/fc{i}/weight", "OI>IO", "fc"),
    Rule("mapping.fc{i}.bias", "params/mapping/fc{i}/bias", "", "fc"),
    Rule("mapping.w_avg", "moving_stats/mapping/w_avg"),
    Rule("synthesis.b4.const", "params/synthesis/b4/const", "CHW>HWC"),
    Rule(
        "synthesis.b{r}.{conv}.weight",
        "params/synthesis/b{r}/{conv}/weight",
        "OIHW>HWIO",
        "layer",
    ),
    Rule(
        "synthesis.b{r}.{conv}.bias", "params/synthesis/b{r}/{conv}/bias", "", "layer"
    ),
    Rule(
        "synthesis.b{r}.{conv}.affine.weight",
        "params/synthesis/b{r}/{conv}/affine/weight",
        "OI>IO",
        "layer",
    ),
    Rule(
        "synthesis.b{r}.{conv}.affine.bias",
        "params/synthesis/b{r}/{conv}/affine/bias",
        "",
        "layer",
    ),
    Rule(
        "synthesis.b{r}.{conv}.noise_strength",
        "params/synthesis/b{r}/{conv}/noise_strength",
        "",
        "noise",
    ),
    Rule(
        "synthesis.b{r}.{conv}.noise_const",
        "noise/synthesis/b{r}/{conv}/noise_const",
        "",
        "noise",
    ),
    Rule(
        "synthesis.b{r}.torgb.weight",
        "params/synthesis/b{r}/torgb/weight",
        "OIHW>HWIO",
        "torgb",
    ),
    Rule("synthesis.b{r}.torgb.bias", "params/synthesis/b{r}/torgb/bias", "", "torgb"),
    Rule(
        "synthesis.b{r}.torgb.affine.weight",
        "params/synthesis/b{r}/torgb/affine/weight",
        "OI>IO",
        "torgb",
    ),
    Rule(
        "synthesis.b{r}.torgb.affine.bias",
        "params/synthesis/b{r}/torgb/affine/bias",
        "",
        "torgb",
    ),
    Rule(
        "synthesis.b{r}.skip.weight",
        "params/synthesis/b{r}/skip/weight",
        "OIHW>HWIO",
        "skip",
    ),
    Buffer("synthesis.b{r}.resample_filter", stored_fir, "block"),
    Buffer("synthesis.b{r}.conv0.resample_filter", stored_fir, "upblock"),
    Buffer("synthesis.b{r}.conv1.resample_filter", fir_unused, "block", checked=False),
    Buffer("synthesis.b{r}.skip.resample_filter", stored_fir, "skip"),
)

DISCRIMINATOR: Table = (
    Rule("mapping.embed.weight", "params/mapping/embed/weight", "OI>IO", "embed"),
    Rule("mapping.embed.bias", "params/mapping/embed/bias", "", "embed"),
    Rule("mapping.fc{i}.weight", "params/mapping/fc{i}/weight", "OI>IO", "fc"),
    Rule("mapping.fc{i}.bias", "params/mapping/fc{i}/bias", "", "fc"),
    Rule("b{r}.fromrgb.weight", "params/b{r}/fromrgb/weight", "OIHW>HWIO", "fromrgb"),
    Rule("b{r}.fromrgb.bias", "params/b{r}/fromrgb/bias", "", "fromrgb"),
    Rule("b{r}.conv0.weight", "params/b{r}/conv0/weight", "OIHW>HWIO", "block"),
    Rule("b{r}.conv0.bias", "params/b{r}/conv0/bias", "", "block"),
    Rule("b{r}.conv1.weight", "params/b{r}/conv1/weight", "OIHW>HWIO", "block"),
    Rule("b{r}.conv1.bias", "params/b{r}/conv1/bias", "", "block"),
    Rule("b{r}.skip.weight", "params/b{r}/skip/weight", "OIHW>HWIO", "skip"),
    Rule("b4.conv.weight", "params/b4/conv/weight", "OIHW>HWIO"),
    Rule("b4.conv.bias", "params/b4/conv/bias"),
    Rule("b4.fc.weight", "params/b4/fc/weight", "O(CHW)>(HWC)O"),
    Rule("b4.fc.bias", "params/b4/fc/bias"),
    Rule("b4.out.weight", "params/b4/out/weight", "OI>IO"),
    Rule("b4.out.bias", "params/b4/out/bias"),
    Buffer("b{r}.resample_filter", stored_fir, "block"),
    Buffer("b{r}.fromrgb.resample_filter", fir_unused, "fromrgb", checked=False),
    Buffer("b{r}.conv0.resample_filter", fir_unused, "block", checked=False),
    Buffer("b{r}.conv1.resample_filter", stored_fir, "block"),
    Buffer("b{r}.skip.resample_filter", stored_fir, "skip"),
    Buffer("b4.conv.resample_filter", fir_unused, checked=False),
)


def is_generator(state: State) -> bool:
    """Whether these are the names of a StyleGAN2 generator of NVIDIA's."""
    return "synthesis.b4.const" in state and "mapping.fc0.weight" in state


def is_discriminator(state: State) -> bool:
    """Whether these are the names of a StyleGAN2 discriminator of NVIDIA's."""
    return "b4.fc.weight" in state and "b4.out.weight" in state


def generator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a generator; ``hints`` may give conv_clamp and lr_multiplier."""
    where = hints.get("where", "the file")
    found = resolutions(state, r"synthesis\.b(\d+)\..*", where=where)
    depth = depth_of(state, r"mapping\.fc(\d+)\.\w+", where=where)
    top, last = f"synthesis.b{found[-1]}", f"mapping.fc{depth - 1}.weight"
    widths = [f"synthesis.b{r}.conv1.weight" for r in found]
    ranks = {f"{top}.torgb.weight": 4, "synthesis.b4.const": 3, last: 2}
    need(
        state,
        {**ranks, "mapping.fc0.weight": 2, **dict.fromkeys(widths, 4)},
        where=where,
    )
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in state.items()}
    c_dim, embedded = label_widths(state)
    skip = "synthesis.b4.torgb.weight" in state and len(found) > 1
    return {
        "num_blocks": len(found),
        "z_dim": shapes["mapping.fc0.weight"][1] - embedded,
        "c_dim": c_dim,
        "w_dim": shapes[last][0],
        "base_grid": shapes["synthesis.b4.const"][1:],
        "img_channels": shapes[f"{top}.torgb.weight"][0],
        "mapping_layers": depth,
        "mapping_lr_multiplier": float(hints.get("mapping_lr_multiplier", 0.01)),
        **channel_law([shapes[name][0] for name in widths], where=where),
        "architecture": (
            "resnet" if f"{top}.skip.weight" in state else "skip" if skip else "orig"
        ),
        "resample_filter": _taps(state, "synthesis.b4.resample_filter", where),
        "use_noise": "synthesis.b4.conv1.noise_strength" in state,
        "conv_clamp": hints.get("conv_clamp"),
        **_mapping_widths(state, depth, shapes[last][0]),
    }


def discriminator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a discriminator.

    ``hints`` may give what `generator_config` takes, mbstd_group_size and base_grid.
    """
    where = hints.get("where", "the file")
    found = resolutions(state, r"b(\d+)\..*", where=where)
    top = found[-1]
    widths = [f"b{r}.conv0.weight" for r in found[1:]]
    ranks = {"b4.conv.weight": 4, "b4.fc.weight": 2, f"b{top}.fromrgb.weight": 4}
    need(state, {**ranks, **dict.fromkeys(widths, 4)}, where=where)
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in state.items()}
    features, inputs = shapes["b4.conv.weight"][:2]
    c_dim, _ = label_widths(state)
    group = hints.get("mbstd_group_size", DEFAULT_MBSTD_GROUP)
    resnet, skip = f"b{top}.skip.weight" in state, "b4.fromrgb.weight" in state
    layers = numbers(state, r"mapping\.fc(\d+)\.weight")
    if c_dim and layers and hints.get("mapping_lr_multiplier", 0.01) != 0.01:
        raise UserError(
            f"{where} maps its labels with the learning rate multiplier "
            f"{hints['mapping_lr_multiplier']:g}, and this program with 0.01: it "
            "cannot be converted."
        )
    return {
        "num_blocks": len(found),
        "c_dim": c_dim,
        "base_grid": base_grid(shapes["b4.fc.weight"][1] // features, hints),
        "img_channels": shapes[f"b{top}.fromrgb.weight"][1],
        **channel_law([features, *(shapes[n][0] for n in widths)], where=where),
        "architecture": "resnet" if resnet else "skip" if skip else "orig",
        "mapping_layers": len(layers) if c_dim else 8,
        "mbstd_group_size": WHOLE_BATCH if group is None else int(group),
        "mbstd_num_channels": inputs - features,
        "resample_filter": _taps(state, f"b{top}.resample_filter", where),
        "conv_clamp": hints.get("conv_clamp"),
        **_label_widths(state, features, len(layers)),
    }


def _mapping_widths(state: State, depth: int, width: int) -> dict[str, int]:
    """Widths inside a mapping network where they differ from its result's."""
    widths = {}
    first = state.get("mapping.fc0.weight")
    if depth > 1 and first is not None and first.shape[0] != width:
        widths["mapping_features"] = int(first.shape[0])
    _, embedded = label_widths(state)
    if embedded not in (0, width):
        widths["embed_features"] = embedded
    return widths


def _label_widths(state: State, features: int, depth: int) -> dict[str, int]:
    """Widths of a discriminator's label where they are not the 4x4 block's channels."""
    if "mapping.embed.weight" not in state:
        return {}
    mapped = shape_of(state, "b4.out.weight", 2, where="the file")[0]
    widths = _mapping_widths(state, depth, mapped)
    return widths if mapped == features else {**widths, "cmap_dim": mapped}


def _taps(state: State, name: str, where: object) -> tuple[float, ...]:
    rank = len(state[name].shape) if name in state else 2
    need(state, {name: 1 if rank == 1 else 2}, where=where)
    return taps_of(as_array(state[name]), where=where)


def label_widths(state: State) -> tuple[int, int]:
    """Widths of the label and of its embedding; zeros without labels."""
    embed = state.get("mapping.embed.weight")
    if embed is None or len(embed.shape) != 2:
        return 0, 0
    return int(embed.shape[1]), int(embed.shape[0])


def base_grid(cells: int, hints: Mapping[str, Any]) -> tuple[int, int]:
    """The grid behind the last halving: given by the generator, else a square.

    Raises:
        UserError: the cells make no square and nothing tells their height.
    """
    given = hints.get("base_grid")
    if given and given[0] * given[1] == cells:
        return int(given[0]), int(given[1])
    side = math.isqrt(cells)
    if side * side != cells:
        raise UserError(
            f"the discriminator of {hints.get('where', 'the file')} ends in {cells} "
            "cells, whose height and width nothing tells: convert it from a file that "
            "holds its generator too."
        )
    return side, side


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
