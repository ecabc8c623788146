"""NVIDIA's TensorFlow StyleGAN of 2018, and config-a of its StyleGAN2 program.

The names are those of ``stylegan2_tensorflow.settled``: components as prefixes, the
leftovers of progressive growing taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.convert_torch.rules.lernapparat import generator_scopes
from stylegan_jax.convert_torch.rules.nvlabs import base_grid
from stylegan_jax.convert_torch.rules.stylegan2_scopes import channel_law
from stylegan_jax.convert_torch.rules.tensors import depth_of, resolutions, shape_of
from stylegan_jax.errors import UserError

NAME = "tensorflow"

# What a network's ``static_kwargs`` may say, if it says the usual. What is not here is
# told by shapes or is about training.
USUAL: Mapping[str, Any] = {
    "fmap_decay": 1.0,
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "normalize_latents": True,
    "use_wscale": True,
    "use_styles": True,
    "const_input_layer": True,
    "use_pixel_norm": False,
    "use_instance_norm": True,
    "dtype": "float32",
}
# Layers that double the size to at least this are fused if ``fused_scale`` is "auto".
FUSED_RESOLUTION = 128
# A resolution beyond any: no layer is fused.
NEVER = 2**20

_LAYER = "params/synthesis/b{r}/{layer}"
_THEIRS = "synthesis/{r}x{r}/{theirs}"

GENERATOR: Table = (
    Rule("mapping/Dense{i}/weight", "params/mapping/fc{i}/weight", "", "fc"),
    Rule("mapping/Dense{i}/bias", "params/mapping/fc{i}/bias", "", "fc"),
    Rule("dlatent_avg", "moving_stats/mapping/w_avg"),
    Rule("synthesis/4x4/Const/const", "params/synthesis/b4/input/const", "1CHW>HWC"),
    Rule("synthesis/4x4/Const/bias", "params/synthesis/b4/input/bias"),
    Rule(f"{_THEIRS}/weight", f"{_LAYER}/weight", "", "conv"),
    Rule(f"{_THEIRS}/bias", f"{_LAYER}/bias", "", "conv"),
    Rule(f"{_THEIRS}/Noise/weight", f"{_LAYER}/noise_strength", "", "noise"),
    Rule(f"{_THEIRS}/StyleMod/weight", f"{_LAYER}/affine/weight", "", "layer"),
    Rule(f"{_THEIRS}/StyleMod/bias", f"{_LAYER}/affine/bias", "", "layer"),
    Rule("synthesis/{R}x{R}/ToRGB/weight", "params/synthesis/torgb/weight"),
    Rule("synthesis/{R}x{R}/ToRGB/bias", "params/synthesis/torgb/bias"),
    Rule(
        "synthesis/noise{n}",
        "noise/synthesis/b{r}/{layer}/noise_const",
        "11HW>HW",
        "stored",
    ),
)

DISCRIMINATOR: Table = (
    Rule("{R}x{R}/FromRGB/weight", "params/b{R}/fromrgb/weight"),
    Rule("{R}x{R}/FromRGB/bias", "params/b{R}/fromrgb/bias"),
    Rule("{r}x{r}/Conv0/weight", "params/b{r}/conv0/weight", "", "block"),
    Rule("{r}x{r}/Conv0/bias", "params/b{r}/conv0/bias", "", "block"),
    Rule("{r}x{r}/Conv1_down/weight", "params/b{r}/conv1/weight", "", "block"),
    Rule("{r}x{r}/Conv1_down/bias", "params/b{r}/conv1/bias", "", "block"),
    Rule("4x4/Conv/weight", "params/b4/conv/weight"),
    Rule("4x4/Conv/bias", "params/b4/conv/bias"),
    Rule("4x4/Dense0/weight", "params/b4/fc/weight", "(CHW)O>(HWC)O"),
    Rule("4x4/Dense0/bias", "params/b4/fc/bias"),
    Rule("4x4/Dense1/weight", "params/b4/out/weight"),
    Rule("4x4/Dense1/bias", "params/b4/out/bias"),
)


def is_generator(state: State) -> bool:
    """Whether these are the names of a generator of the StyleGAN of 2018."""
    return any(name.startswith("synthesis/4x4/Const/StyleMod/") for name in state)


def is_discriminator(state: State) -> bool:
    """Whether these are the names of a discriminator of the StyleGAN of 2018."""
    return any(name.startswith("4x4/Dense1/") for name in state)


def discriminator_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of a discriminator's table: ``r`` is a block's nominal resolution."""
    top = config["num_blocks"] - 1
    height, width = config["base_grid"]
    return {
        "": [{"R": 4 << top, "H": height, "W": width}],
        "block": [{"r": 4 << k} for k in range(top, 0, -1)],
    }


def check_kwargs(static: Mapping[str, Any], *, where: object) -> None:
    """Refuses a network whose arguments ask for what the rules here do not read.

    Raises:
        UserError: lists the arguments.
    """
    odd = [
        f"{name}={static[name]!r}"
        for name, usual in USUAL.items()
        if name in static
        and not (isinstance(static[name], int | float | str) and static[name] == usual)
    ]
    if odd:
        raise UserError(
            f"{where} was built with {', '.join(odd)}, which this converter does not "
            "read: it cannot be converted."
        )


def generator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a generator; ``hints["static_kwargs"]`` is the network's own."""
    where, static = hints.get("where", "the file"), hints.get("static_kwargs", {})
    check_kwargs(static, where=where)
    if "mapping/LabelConcat/weight" in state:
        raise UserError(
            f"{where} is a conditional network, and this program has StyleGAN's "
            "generator of 2018 without labels only: it cannot be converted."
        )
    sizes = resolutions(state, r"synthesis/(\d+)x\1/.*", where=where)
    const = shape_of(state, "synthesis/4x4/Const/const", 4, where=where)
    widths = [const[1]] + [
        shape_of(state, f"synthesis/{r}x{r}/Conv1/weight", 4, where=where)[3]
        for r in sizes[1:]
    ]
    top = sizes[-1]
    depth = depth_of(state, r"mapping/Dense(\d+)/(?:weight|bias)", where=where)
    first = shape_of(state, "mapping/Dense0/weight", 2, where=where)
    last = shape_of(state, f"mapping/Dense{depth - 1}/weight", 2, where=where)
    torgb = shape_of(state, f"synthesis/{top}x{top}/ToRGB/weight", 4, where=where)
    return {
        "num_blocks": len(sizes),
        "z_dim": first[0],
        "w_dim": last[1],
        "base_grid": (const[2], const[3]),
        "img_channels": torgb[3],
        "mapping_layers": depth,
        "mapping_features": first[1],
        "mapping_lr_multiplier": _number(static, "mapping_lrmul", 0.01, where),
        **channel_law(widths, where=where),
        "resample_filter": _taps(static, where),
        "fused_resolution": _fused(static, where),
        "use_noise": any(name.endswith("/Noise/weight") for name in state),
        "stored_noise": True,
        "norm_eps": 1e-8,
    }


def discriminator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a discriminator; ``hints`` as for the generator.

    Whether halving and convolution are fused does not matter here: both are the same
    function.
    """
    where, static = hints.get("where", "the file"), hints.get("static_kwargs", {})
    check_kwargs(static, where=where)
    sizes = resolutions(state, r"(\d+)x\1/.*", where=where)
    top = sizes[-1]
    conv = shape_of(state, "4x4/Conv/weight", 4, where=where)
    dense = shape_of(state, "4x4/Dense0/weight", 2, where=where)
    scores = shape_of(state, "4x4/Dense1/weight", 2, where=where)[1]
    if scores == 1 and _number(static, "label_size", 0, where) == 1:
        raise UserError(
            f"{where} scores a single label, which no tensor tells from none: it "
            "cannot be converted."
        )
    widths = [
        shape_of(state, f"{r}x{r}/Conv0/weight", 4, where=where)[3] for r in sizes[1:]
    ]
    # The dense layer is as wide as a block of 2x2 would be: one more, below the others.
    law = channel_law([dense[1], conv[3], *widths], where=where)
    statistics = conv[2] - conv[3]
    return {
        "num_blocks": len(sizes),
        "c_dim": scores if scores > 1 else 0,
        "base_grid": base_grid(dense[0] // conv[3], hints),
        "img_channels": shape_of(state, f"{top}x{top}/FromRGB/weight", 4, where=where)[
            2
        ],
        "channel_base": law["channel_base"] // 2,
        "channel_max": law["channel_max"],
        "mbstd_group_size": int(_number(static, "mbstd_group_size", 4, where)),
        "mbstd_num_channels": max(statistics, 0),
        "resample_filter": _taps(static, where),
    }


def _fused(static: Mapping[str, Any], where: object) -> int:
    choice = static.get("fused_scale", "auto")
    if isinstance(choice, bool):
        return 0 if choice else NEVER
    if choice != "auto":
        raise UserError(
            f"{where} was built with fused_scale={choice!r}, which means nothing: the "
            "file is damaged."
        )
    return FUSED_RESOLUTION


def _number(static: Mapping[str, Any], name: str, usual: float, where: object) -> float:
    value = static.get(name, usual)
    if not isinstance(value, int | float) or not 0 <= value <= NEVER:
        raise UserError(
            f"{where} was built with {name}={value!r}, which is no such number: the "
            "file is damaged."
        )
    return float(value)


def _taps(static: Mapping[str, Any], where: object) -> tuple[float, ...]:
    given = static.get("blur_filter", (1, 2, 1))
    # None is the program's word for no smoothing.
    listed = [1] if given is None else given
    numbers = isinstance(listed, list | tuple) and all(
        isinstance(tap, int | float) for tap in listed
    )
    taps = np.asarray(listed if numbers else (), np.float64)
    if not len(taps) % 2 or not taps.sum():
        raise UserError(
            f"{where} was built with blur_filter={given!r}, which this program does "
            "not compute: it cannot be converted."
        )
    return tuple(float(t) for t in taps / taps.sum())


LAYOUTS = (
    Layout(NAME, "stylegan1.generator", GENERATOR, generator_scopes, generator_config),
    Layout(
        NAME,
        "stylegan1.discriminator",
        DISCRIMINATOR,
        discriminator_scopes,
        discriminator_config,
    ),
)
