"""NVIDIA's TensorFlow StyleGAN2 and StyleGAN2-ADA: configs b to f and ADA's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Rule, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State, as_array
from stylegan_jax.convert_torch.rules.nvlabs import WHOLE_BATCH, base_grid
from stylegan_jax.convert_torch.rules.stylegan2_scopes import (
    channel_law,
    discriminator_scopes,
    generator_scopes,
    taps_of,
)
from stylegan_jax.convert_torch.rules.tensors import (
    depth_of,
    need,
    numbers,
    resolutions,
)
from stylegan_jax.errors import UserError

NAME = "tensorflow"

# What a network's ``static_kwargs`` may say without changing what it computes, because
# shapes tell it or because it is about training.
HARMLESS = frozenset(
    """truncation_psi truncation_cutoff truncation_psi_val truncation_cutoff_val
    dlatent_avg_beta w_avg_beta style_mixing_prob structure randomize_noise dtype
    num_fp16_res fused_modconv freeze_layers latent_size dlatent_size label_size
    resolution num_channels fmap_base fmap_max mapping_layers mapping_fmaps label_fmaps
    architecture use_noise synthesis_func mapping_func dlatent_broadcast fmap_const
    mbstd_group_size mbstd_num_features conv_clamp resample_kernel mapping_lrmul
    return_dlatents is_training is_validation""".split()
)
# What it may say if it says the usual; anything else only if it says nothing (0, None).
USUAL: Mapping[str, Any] = {
    "fmap_decay": 1,
    "fmap_min": 1,
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "normalize_latents": True,
    "use_spectral_norm": False,
    "use_pagan": False,
    "adaptive_dropout": 0,
    "augment_strength": 0,
    "score_size": 1,
    "score_max": 1,
    "pagan_num": 16,
    "pagan_fade": 0.5,
}

# Under a convolution: the name in the file, the name in ours, the axes. The style's
# bias lacks the one that the network adds.
_STYLE = (
    ("mod_weight", "affine/weight", "IO>IO"),
    ("mod_bias", "affine/bias", "O>O +1"),
    ("bias", "bias", ""),
)
_NOISE = (("noise_strength", "noise_strength", ""),)


def _layers(name: str, target: str, weight: str, over: str, noise: str) -> Table:
    leaves = (("weight", "weight", weight), *_STYLE)
    return tuple(
        Rule(f"synthesis/{name}/{theirs}", f"params/synthesis/{target}/{ours}", axes, o)
        for part, o in ((leaves, over), (_NOISE, noise))
        for theirs, ours, axes in part
        if o is not None
    )


GENERATOR: Table = (
    Rule("mapping/LabelEmbed/weight", "params/mapping/embed/weight", "IO>IO", "embed"),
    Rule("mapping/LabelEmbed/bias", "params/mapping/embed/bias", "", "embed"),
    Rule("mapping/Dense{i}/weight", "params/mapping/fc{i}/weight", "IO>IO", "fc"),
    Rule("mapping/Dense{i}/bias", "params/mapping/fc{i}/bias", "", "fc"),
    Rule("dlatent_avg", "moving_stats/mapping/w_avg"),
    Rule("synthesis/4x4/Const/const", "params/synthesis/b4/const", "1CHW>HWC"),
    *_layers("4x4/Conv", "b4/conv1", "HWIO>HWIO", "base", "basenoise"),
    # The kernel before upsampling is stored upside down compared with the others.
    *_layers("{r}x{r}/Conv0_up", "b{r}/conv0", "HWIO>HWIO flip", "uplayer", "upnoise"),
    *_layers("{r}x{r}/Conv1", "b{r}/conv1", "HWIO>HWIO", "secondlayer", "secondnoise"),
    *(
        Rule(
            f"synthesis/{{r}}x{{r}}/ToRGB/{theirs}",
            f"params/synthesis/b{{r}}/torgb/{ours}",
            axes,
            "torgb",
        )
        for theirs, ours, axes in (("weight", "weight", "HWIO>HWIO"), *_STYLE)
    ),
    Rule(
        "synthesis/{r}x{r}/Skip/weight",
        "params/synthesis/b{r}/skip/weight",
        "HWIO>HWIO",
        "skip",
    ),
    Rule(
        "synthesis/noise{n}",
        "noise/synthesis/b{r}/{conv}/noise_const",
        "11HW>HW",
        "noise",
    ),
)

DISCRIMINATOR: Table = (
    Rule("LabelEmbed/weight", "params/mapping/embed/weight", "IO>IO", "embed"),
    Rule("LabelEmbed/bias", "params/mapping/embed/bias", "", "embed"),
    Rule("Mapping{i}/weight", "params/mapping/fc{i}/weight", "IO>IO", "fc"),
    Rule("Mapping{i}/bias", "params/mapping/fc{i}/bias", "", "fc"),
    Rule(
        "{r}x{r}/FromRGB/weight", "params/b{r}/fromrgb/weight", "HWIO>HWIO", "fromrgb"
    ),
    Rule("{r}x{r}/FromRGB/bias", "params/b{r}/fromrgb/bias", "", "fromrgb"),
    Rule("{r}x{r}/Conv0/weight", "params/b{r}/conv0/weight", "HWIO>HWIO", "block"),
    Rule("{r}x{r}/Conv0/bias", "params/b{r}/conv0/bias", "", "block"),
    Rule("{r}x{r}/Conv1_down/weight", "params/b{r}/conv1/weight", "HWIO>HWIO", "block"),
    Rule("{r}x{r}/Conv1_down/bias", "params/b{r}/conv1/bias", "", "block"),
    Rule("{r}x{r}/Skip/weight", "params/b{r}/skip/weight", "HWIO>HWIO", "skip"),
    Rule("4x4/Conv/weight", "params/b4/conv/weight", "HWIO>HWIO"),
    Rule("4x4/Conv/bias", "params/b4/conv/bias"),
    Rule("4x4/Dense0/weight", "params/b4/fc/weight", "(CHW)O>(HWC)O"),
    Rule("4x4/Dense0/bias", "params/b4/fc/bias"),
    Rule("Output/weight", "params/b4/out/weight", "IO>IO"),
    Rule("Output/bias", "params/b4/out/bias"),
)


def is_generator(state: State) -> bool:
    """Whether these are the names of a TensorFlow StyleGAN2 generator."""
    return "synthesis/4x4/Conv/mod_weight" in state


def is_discriminator(state: State) -> bool:
    """Whether these are the names of a TensorFlow StyleGAN2 discriminator."""
    return "Output/weight" in state and any("Conv1_down" in name for name in state)


def settled(state: State, *, where: object) -> tuple[dict[str, Any], list[str]]:
    """A state without the leftovers of progressive growing (configs b to d).

    A network that grew has a ToRGB (FromRGB) for every resolution; at the end the one
    called ``lod0`` alone draws (reads) the picture.

    Args:
        state: the network's variables.
        where: what to name in errors.

    Returns:
        The variables that the finished network uses, and the names of the others.

    Raises:
        UserError: the network had not finished growing.
    """
    kept, left = {}, []
    top = max(
        (int(m[1]) for n in state if (m := re.search(r"(?:^|/)(\d+)x\1/", n))),
        default=4,
    )
    for name, tensor in state.items():
        last = name.rsplit("/", 1)[-1]
        if last == "lod":
            if float(as_array(tensor)) != 0:
                raise UserError(
                    f"{where} was saved while it still grew (lod is "
                    f"{float(as_array(tensor)):g}): only finished networks convert."
                )
            continue
        match = re.fullmatch(r"(.*?)(ToRGB|FromRGB)_lod(\d+)/(\w+)", name)
        if match is None:
            kept[name] = tensor
        elif int(match[3]) == 0:
            kept[f"{match[1]}{top}x{top}/{match[2]}/{match[4]}"] = tensor
        else:
            left.append(name)
    return kept, left


def check_kwargs(static: Mapping[str, Any], *, where: object) -> None:
    """Refuses a network whose arguments ask for what this program does not compute.

    Raises:
        UserError: lists the arguments.
    """
    odd = [
        f"{name}={value!r}"
        for name, value in static.items()
        if name not in HARMLESS and value is not None and value != USUAL.get(name, 0)
    ]
    if odd:
        raise UserError(
            f"{where} was built with {', '.join(odd)}, which this program does not "
            "compute: it cannot be converted."
        )


def generator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a generator; ``hints["static_kwargs"]`` is the network's own."""
    where, static = hints.get("where", "the file"), hints.get("static_kwargs", {})
    check_kwargs(static, where=where)
    if "mapping/LabelConcat/weight" in state:
        raise UserError(
            f"{where} is a conditional network of the first StyleGAN2 program, which "
            "mixes labels in another way than this one: it cannot be converted."
        )
    found = resolutions(state, r"synthesis/(\d+)x\1/.*", where=where)
    depth = depth_of(state, r"mapping/Dense(\d+)/\w+", where=where)
    top, last = f"synthesis/{found[-1]}x{found[-1]}", f"mapping/Dense{depth - 1}/weight"
    widths = ["synthesis/4x4/Conv/weight"]
    widths += [f"synthesis/{r}x{r}/Conv1/weight" for r in found[1:]]
    ranks = {"synthesis/4x4/Const/const": 4, "mapping/Dense0/weight": 2, last: 2}
    ranks[f"{top}/ToRGB/weight"] = 4
    need(state, {**ranks, **dict.fromkeys(widths, 4)}, where=where)
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in state.items()}
    c_dim, embedded = shapes.get("mapping/LabelEmbed/weight", (0, 0))
    skip = "synthesis/4x4/ToRGB/weight" in state and len(found) > 1
    return {
        "num_blocks": len(found),
        "z_dim": shapes["mapping/Dense0/weight"][0] - embedded,
        "c_dim": c_dim,
        "w_dim": shapes[last][1],
        "base_grid": shapes["synthesis/4x4/Const/const"][2:],
        "img_channels": shapes[f"{top}/ToRGB/weight"][3],
        "mapping_layers": depth,
        "mapping_lr_multiplier": float(static.get("mapping_lrmul", 0.01)),
        **channel_law([shapes[name][3] for name in widths], where=where),
        "architecture": (
            "resnet" if f"{top}/Skip/weight" in state else "skip" if skip else "orig"
        ),
        "resample_filter": _taps(static, where),
        "use_noise": "synthesis/noise0" in state,
        "conv_clamp": static.get("conv_clamp"),
    }


def discriminator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a discriminator; ``hints`` as for the generator."""
    where, static = hints.get("where", "the file"), hints.get("static_kwargs", {})
    check_kwargs(static, where=where)
    found = [4, *numbers(state, r"(\d+)x\1/Conv0/weight")]
    top = f"{found[-1]}x{found[-1]}"
    widths = [f"{r}x{r}/Conv0/weight" for r in found[1:]]
    ranks = {"4x4/Conv/weight": 4, "4x4/Dense0/weight": 2, "Output/weight": 2}
    ranks[f"{top}/FromRGB/weight"] = 4
    need(state, {**ranks, **dict.fromkeys(widths, 4)}, where=where)
    shapes = {name: tuple(map(int, tensor.shape)) for name, tensor in state.items()}
    c_dim, _ = shapes.get("LabelEmbed/weight", (0, 0))
    if not c_dim and shapes["Output/weight"][1] != 1:
        raise UserError(
            f"{where} is a conditional network of the first StyleGAN2 program, which "
            "scores labels in another way than this one: it cannot be converted."
        )
    layers = numbers(state, r"Mapping(\d+)/weight")
    if layers and float(static.get("mapping_lrmul", 0.1)) != 0.01:
        raise UserError(
            f"{where} maps its labels with mapping_lrmul="
            f"{static.get('mapping_lrmul', 0.1)}, and this program with 0.01: it "
            "cannot be converted."
        )
    inputs, features = shapes["4x4/Conv/weight"][2:]
    resnet, skip = f"{top}/Skip/weight" in state, "4x4/FromRGB/weight" in state
    group = static.get("mbstd_group_size", 4)
    return {
        "num_blocks": len(found),
        "c_dim": c_dim,
        "base_grid": base_grid(shapes["4x4/Dense0/weight"][0] // features, hints),
        "img_channels": shapes[f"{top}/FromRGB/weight"][2],
        **channel_law([features, *(shapes[n][2] for n in widths)], where=where),
        "architecture": "resnet" if resnet else "skip" if skip else "orig",
        "mapping_layers": len(layers) if c_dim else 8,
        "mbstd_group_size": WHOLE_BATCH if group is None else int(group),
        "mbstd_num_channels": inputs - features,
        "resample_filter": _taps(static, where),
        "conv_clamp": static.get("conv_clamp"),
    }


def _taps(static: Mapping[str, Any], where: object) -> tuple[float, ...]:
    kernel = static.get("resample_kernel", (1, 3, 3, 1))
    return taps_of(np.asarray(kernel, np.float64), where=where)


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
