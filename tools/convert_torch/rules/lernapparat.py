"""lernapparat's PyTorch port of the StyleGAN of 2018 (FaceSpace uses it, too)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Buffer, Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State, as_array
from stylegan_jax.convert_torch.rules.stylegan2_scopes import channel_law, fir, taps_of
from stylegan_jax.convert_torch.rules.tensors import depth_of, resolutions, shape_of
from stylegan_jax.errors import UserError

NAME = "lernapparat"


def blur(values: Mapping[str, Any]) -> np.ndarray:
    """The smoothing filter as a kernel [1,1,k,k] with sum 1, float32."""
    return fir(values)[None, None]


_BLOCK = "g_synthesis.blocks.{r}x{r}"
_LAYER = "params/synthesis/b{r}/{layer}"

GENERATOR: Table = (
    Rule("g_mapping.dense{i}.weight", "params/mapping/fc{i}/weight", "OI>IO", "fc"),
    Rule("g_mapping.dense{i}.bias", "params/mapping/fc{i}/bias", "", "fc"),
    # Not in the generator's state: it lies beside it.
    Rule("latent_avg", "moving_stats/mapping/w_avg"),
    Rule("g_synthesis.blocks.4x4.const", "params/synthesis/b4/input/const", "1CHW>HWC"),
    Rule("g_synthesis.blocks.4x4.bias", "params/synthesis/b4/input/bias"),
    Rule(f"{_BLOCK}.{{conv}}.weight", f"{_LAYER}/weight", "OIHW>HWIO", "conv"),
    Rule(f"{_BLOCK}.{{conv}}.bias", f"{_LAYER}/bias", "", "conv"),
    Rule(
        f"{_BLOCK}.{{epi}}.top_epi.noise.weight",
        f"{_LAYER}/noise_strength",
        "",
        "noise",
    ),
    Rule(
        f"{_BLOCK}.{{epi}}.style_mod.lin.weight",
        f"{_LAYER}/affine/weight",
        "OI>IO",
        "layer",
    ),
    Rule(f"{_BLOCK}.{{epi}}.style_mod.lin.bias", f"{_LAYER}/affine/bias", "", "layer"),
    Rule("g_synthesis.torgb.weight", "params/synthesis/torgb/weight", "OIHW>HWIO"),
    Rule("g_synthesis.torgb.bias", "params/synthesis/torgb/bias"),
    Buffer(f"{_BLOCK}.conv0_up.intermediate.kernel", blur, "upblock"),
)


def generator_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of a generator's table, for both sources of this network.

    ``r`` is a block's nominal resolution, ``layer`` a layer in our files, ``conv`` and
    ``epi`` its two modules in lernapparat's, ``theirs`` its name in NVIDIA's, ``n`` its
    number (0 is the constant).
    """
    base = [
        {"layer": "input", "conv": "", "epi": "epi1", "theirs": "Const"},
        {"layer": "conv1", "conv": "conv", "epi": "epi2", "theirs": "Conv"},
    ]
    upper = [
        {"layer": "conv0", "conv": "conv0_up", "epi": "epi1", "theirs": "Conv0_up"},
        {"layer": "conv1", "conv": "conv1", "epi": "epi2", "theirs": "Conv1"},
    ]
    layers = [
        {"r": 4 << k, "n": 2 * k + half, **names}
        for k in range(config["num_blocks"])
        for half, names in enumerate(upper if k else base)
    ]
    return {
        "": [{"taps": config["resample_filter"], "R": 4 << (config["num_blocks"] - 1)}],
        "fc": [{"i": i} for i in range(config["mapping_layers"])],
        "layer": layers,
        "conv": layers[1:],
        "noise": layers if config["use_noise"] else [],
        "stored": layers if config["use_noise"] and config["stored_noise"] else [],
        "upblock": [{"r": 4 << k} for k in range(1, config["num_blocks"])],
    }


def is_generator(state: State) -> bool:
    """Whether these are the names of a generator of lernapparat's, once `named`."""
    return "g_synthesis.blocks.4x4.const" in state and any(
        name.startswith("g_mapping.") for name in state
    )


def named(state: State) -> dict[str, Any]:
    """A state without the prefix ``g_all.``, the mean latent called ``latent_avg``.

    Some files hold the program's truncation layer, whose buffer the mean latent is.
    """
    plain = {name.removeprefix("g_all."): tensor for name, tensor in state.items()}
    if "truncation.avg_latent" in plain:
        mean = as_array(plain.pop("truncation.avg_latent")).reshape(-1)
        plain.setdefault("latent_avg", mean)
    return plain


def generator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a generator, from its tensors alone."""
    where = hints.get("where", "the file")
    sizes = resolutions(state, r"g_synthesis\.blocks\.(\d+)x\1\..*", where=where)
    const = shape_of(state, "g_synthesis.blocks.4x4.const", 4, where=where)
    widths = [const[1]] + [
        shape_of(state, f"g_synthesis.blocks.{r}x{r}.conv1.weight", 4, where=where)[0]
        for r in sizes[1:]
    ]
    depth = depth_of(state, r"g_mapping\.dense(\d+)\.(?:weight|bias)", where=where)
    first = shape_of(state, "g_mapping.dense0.weight", 2, where=where)
    last = shape_of(state, f"g_mapping.dense{depth - 1}.weight", 2, where=where)
    kernel = state.get("g_synthesis.blocks.8x8.conv0_up.intermediate.kernel")
    return {
        "num_blocks": len(sizes),
        "z_dim": first[1],
        "w_dim": last[0],
        "base_grid": (const[2], const[3]),
        "img_channels": shape_of(state, "g_synthesis.torgb.weight", 4, where=where)[0],
        "mapping_layers": depth,
        "mapping_features": first[0],
        "mapping_lr_multiplier": 0.01,
        **channel_law(widths, where=where),
        "resample_filter": _taps(kernel, where),
        "fused_resolution": 128,
        "use_noise": any(name.endswith(".top_epi.noise.weight") for name in state),
        "stored_noise": False,
        # PyTorch's own instance normalisation; NVIDIA's program has 1e-8.
        "norm_eps": 1e-5,
    }


def _taps(kernel: Any, where: object) -> tuple[float, ...]:
    if kernel is None:
        return (0.25, 0.5, 0.25)
    matrix = as_array(kernel)
    if matrix.ndim != 4 or matrix.shape[:2] != (1, 1) or not matrix.sum():
        raise UserError(
            f"the smoothing filter of {where} is {list(matrix.shape)} and not "
            "[1, 1, 3, 3]: the file is damaged."
        )
    return taps_of(matrix[0, 0], where=where)


LAYOUTS = (
    Layout(NAME, "stylegan1.generator", GENERATOR, generator_scopes, generator_config),
)
