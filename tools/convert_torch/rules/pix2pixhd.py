"""NVIDIA's pix2pixHD: ``{epoch}_net_{G,D,E}.pth``.

Its layers lie in lists, so a tensor's name holds its layer's place in the list. One
table serves all networks; the scopes say which place is which layer of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.rules.language import Buffer, Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.errors import UserError

NAME = "pix2pixhd"

# ``layer`` and ``norm`` are places in the file, ``path`` is in our model file. A kernel
# of a transposed convolution is stored upside down compared with ours.
TABLE: Table = (
    Rule("{layer}.weight", "params/{path}/kernel", "OIHW>HWIO", "conv"),
    Rule("{layer}.bias", "params/{path}/bias", "", "conv"),
    Rule("{layer}.weight", "params/{path}/kernel", "IOHW>HWIO flip", "up"),
    Rule("{layer}.bias", "params/{path}/bias", "", "up"),
    Rule("{norm}.weight", "params/{path}/bn/scale", "", "norm"),
    Rule("{norm}.bias", "params/{path}/bn/bias", "", "norm"),
    Rule("{norm}.running_mean", "batch_stats/{path}/bn/mean", "", "norm"),
    Rule("{norm}.running_var", "batch_stats/{path}/bn/var", "", "norm"),
    # A counter that older versions of PyTorch did not write, and nothing reads.
    Buffer(
        "{norm}.num_batches_tracked",
        lambda _: np.zeros((), np.int64),
        "norm",
        optional=True,
        checked=False,
    ),
)


class _Places:
    """Collects which place of the file is which layer of ours."""

    def __init__(self, config: Mapping[str, Any]):
        self._batch_norm = config["norm"] == "batch"
        self._conv: list[dict[str, str]] = []
        self._up: list[dict[str, str]] = []
        self._norm: list[dict[str, str]] = []

    def conv(self, layer: str, path: str) -> None:
        self._conv.append({"layer": layer, "path": path})

    def up(self, layer: str, path: str) -> None:
        self._up.append({"layer": layer, "path": path})

    def norm(self, norm: str, path: str) -> None:
        if self._batch_norm:
            self._norm.append({"norm": norm, "path": path})

    def unit(self, stem: str, place: int, path: str, *, up: bool = False) -> None:
        """A convolution at a place, its normalisation at the next."""
        add = self.up if up else self.conv
        add(f"{stem}.{place}", f"{path}/conv")
        self.norm(f"{stem}.{place + 1}", f"{path}/norm")

    def residual(self, stem: str, path: str) -> None:
        """A residual block."""
        self.unit(f"{stem}.conv_block", 1, f"{path}/first")
        self.unit(f"{stem}.conv_block", 5, path)

    def trunk(self, downsamplings: int, blocks: int) -> int:
        """The list ``model`` without its last convolution; returns the next place."""
        self.unit("model", 1, "trunk/conv_in")
        for i in range(downsamplings):
            self.unit("model", 4 + 3 * i, f"trunk/down{i}")
        place = 4 + 3 * downsamplings
        for i in range(blocks):
            self.residual(f"model.{place + i}", f"trunk/block{i}")
        place += blocks
        for i in range(downsamplings):
            self.unit("model", place + 3 * i, f"trunk/up{i}", up=True)
        return place + 3 * downsamplings

    def scopes(self) -> Scopes:
        return {"": [{}], "conv": self._conv, "up": self._up, "norm": self._norm}


def global_scopes(config: Mapping[str, Any]) -> Scopes:
    """The places of a global generator's layers."""
    places = _Places(config)
    end = places.trunk(config["downsamplings"], config["residual_blocks"])
    places.conv(f"model.{end + 1}", "picture/conv")
    return places.scopes()


def encoder_scopes(config: Mapping[str, Any]) -> Scopes:
    """The places of an encoder's layers."""
    return global_scopes({**config, "residual_blocks": 0})


def local_scopes(config: Mapping[str, Any]) -> Scopes:
    """The places of a local enhancer's layers; the file counts enhancers from 1."""
    places = _Places(config)
    places.trunk(config["downsamplings"], config["residual_blocks"])
    blocks, count = config["enhancer_blocks"], config["enhancers"]
    for i in range(count):
        down, up = f"model{i + 1}_1", f"model{i + 1}_2"
        places.unit(down, 1, f"enhancer{i}/conv_in")
        places.unit(down, 4, f"enhancer{i}/down0")
        for j in range(blocks):
            places.residual(f"{up}.{j}", f"enhancer{i}/block{j}")
        places.unit(up, blocks, f"enhancer{i}/up0", up=True)
    places.conv(f"model{count}_2.{blocks + 4}", "picture/conv")
    return places.scopes()


def discriminator_scopes(config: Mapping[str, Any]) -> Scopes:
    """The places of a discriminator's layers that give their features one by one.

    The file numbers the scales from the smallest picture up, and ours from the full
    size down.
    """
    places = _Places(config)
    layers = config["layers"]
    for i in range(config["scales"]):
        stem, path = f"scale{config['scales'] - 1 - i}", f"scale{i}"
        for j in range(layers + 2):
            places.conv(f"{stem}_layer{j}.0", f"{path}/conv{j}")
            if 0 < j <= layers:
                places.norm(f"{stem}_layer{j}.1", f"{path}/norm{j}")
    return places.scopes()


def plain_discriminator_scopes(config: Mapping[str, Any]) -> Scopes:
    """The places where the discriminator was trained without feature matching."""
    places = _Places(config)
    layers = config["layers"]
    for i in range(config["scales"]):
        stem, path = f"layer{config['scales'] - 1 - i}", f"scale{i}"
        for j in range(layers + 2):
            place = 3 * j - 1 if j else 0
            places.conv(f"{stem}.{place}", f"{path}/conv{j}")
            if 0 < j <= layers:
                places.norm(f"{stem}.{place + 1}", f"{path}/norm{j}")
    return places.scopes()


def is_local(state: State) -> bool:
    """Whether these are the names of a local enhancer."""
    return any(re.match(r"model\d+_[12]\.\d+\.", name) for name in state)


def is_global(state: State) -> bool:
    """Whether these are the names of a global generator."""
    return not is_local(state) and _has_blocks(state)


def is_encoder(state: State) -> bool:
    """Whether these are the names of an encoder: a generator without residual blocks.

    A global generator of no residual blocks has the same tensors, but its features have
    no use for instances; no such network is known.
    """
    return (
        not is_local(state)
        and not _has_blocks(state)
        and _shape(state, "model.1.weight")[2:] == (7, 7)
        and all(re.match(r"model\.\d+\.\w+$", name) for name in state)
    )


def is_discriminator(state: State) -> bool:
    """Whether these are the names of a discriminator with feature matching."""
    return any(re.match(r"scale\d+_layer\d+\.", name) for name in state)


def is_plain_discriminator(state: State) -> bool:
    """Whether these are the names of a discriminator without feature matching."""
    return _shape(state, "layer0.0.weight")[2:] == (4, 4)


def global_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a global generator, from its tensors alone."""
    where = hints.get("where", "the file")
    blocks = _blocks(state, r"model\.(\d+)\.conv_block\.")
    last = _last(state, r"model\.(\d+)\.(?:weight|bias)")
    downsamplings = _whole(last - 5 - blocks, 6, where)
    width, inputs = _kernel(state, "model.1.weight", where)
    return {
        "input_channels": inputs,
        "img_channels": _kernel(state, f"model.{last}.weight", where)[0],
        "width": width,
        "downsamplings": downsamplings,
        "residual_blocks": blocks,
        "norm": _norm(state),
        "upsampling": "transposed",
    }


def encoder_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an encoder, from its tensors alone."""
    config = global_config(state, hints)
    del config["residual_blocks"]
    return {"feature_channels": config.pop("img_channels"), **config}


def local_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a local enhancer, from its tensors alone."""
    where = hints.get("where", "the file")
    enhancers = _whole(_last(state, r"model(\d+)_[12]\.\d+\..*"), 1, where)
    top = f"model{enhancers}"
    enhancer_blocks = _blocks(state, r"model1_2\.(\d+)\.conv_block\.")
    blocks = _blocks(state, r"model\.(\d+)\.conv_block\.")
    # The trunk's last place is its last doubling, with batch norm the norm behind it.
    last = _last(state, r"model\.(\d+)\.(?:weight|bias)") - (_norm(state) == "batch")
    downsamplings = _whole(last - 1 - blocks, 6, where) if last > 1 else 0
    width, inputs = _kernel(state, f"{top}_1.1.weight", where)
    picture = f"{top}_2.{enhancer_blocks + 4}.weight"
    return {
        "input_channels": inputs,
        "img_channels": _kernel(state, picture, where)[0],
        "width": width,
        "downsamplings": downsamplings,
        "residual_blocks": blocks,
        "enhancers": enhancers,
        "enhancer_blocks": enhancer_blocks,
        "norm": _norm(state),
        "upsampling": "transposed",
    }


def discriminator_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a discriminator with feature matching.

    With it the program leaves out the sigmoid, whatever its options.
    """
    where = hints.get("where", "the file")
    layers = _whole(_last(state, r"scale\d+_layer(\d+)\..*") - 1, 1, where)
    scales = _whole(1 + _last(state, r"scale(\d+)_layer\d+\..*"), 1, where)
    return _discriminator(state, "scale0_layer0.0.weight", layers, scales, where)


def plain_discriminator_config(
    state: State, hints: Mapping[str, Any]
) -> dict[str, Any]:
    """The config of a discriminator without feature matching.

    ``hints["no_lsgan"]``, an option of the program that no tensor tells, says whether
    the scores go through a sigmoid.
    """
    where = hints.get("where", "the file")
    layers = _whole(_last(state, r"layer\d+\.(\d+)\..*") - 2, 3, where)
    scales = _whole(1 + _last(state, r"layer(\d+)\.\d+\..*"), 1, where)
    config = _discriminator(state, "layer0.0.weight", layers, scales, where)
    return {**config, "use_sigmoid": bool(hints.get("no_lsgan", False))}


def _discriminator(
    state: State, first: str, layers: int, scales: int, where: object
) -> dict[str, Any]:
    width, inputs = _kernel(state, first, where)
    return {
        "input_channels": inputs,
        "width": width,
        "layers": layers,
        "scales": scales,
        "norm": _norm(state),
        "use_sigmoid": False,
    }


def fits_pix2pixhd(config: Mapping[str, Any], family: str) -> list[str]:
    """Why NVIDIA's program has no such network; empty where it has."""
    reasons = []
    if config.get("upsampling", "transposed") != "transposed":
        reasons.append("upsampling by resizing")
    if family == "pix2pixhd.discriminator" and config["use_sigmoid"]:
        reasons.append("a sigmoid together with feature matching")
    return reasons


def _has_blocks(state: State) -> bool:
    return any(re.match(r"model\.\d+\.conv_block\.", name) for name in state)


def _shape(state: State, name: str) -> tuple[int, ...]:
    return tuple(state[name].shape) if name in state else ()


def _kernel(state: State, name: str, where: object) -> tuple[int, int]:
    """The output and input channels of a convolution's kernel."""
    shape = _shape(state, name)
    if len(shape) != 4:
        raise UserError(
            f"{where} is a damaged pix2pixHD network: {name} "
            + (f"is {list(shape)} and no kernel." if name in state else "is missing.")
        )
    return int(shape[0]), int(shape[1])


def _numbers(state: State, pattern: str, *, prefix: bool = False) -> set[int]:
    match = re.match if prefix else re.fullmatch
    return {int(m[1]) for name in state if (m := match(pattern, name))}


def _last(state: State, pattern: str) -> int:
    return max(_numbers(state, pattern), default=0)


def _blocks(state: State, pattern: str) -> int:
    """How many residual blocks there are, one with a tensor missing included."""
    return len(_numbers(state, pattern, prefix=True))


def _whole(places: int, step: int, where: object) -> int:
    """How many layers take so many places; a damaged name must not mean millions."""
    if not 0 <= places <= 16 * step or places % step:
        raise UserError(
            f"the layers of {where} lie at places that no pix2pixHD network has: the "
            "file is damaged or of a changed program."
        )
    return places // step


def _norm(state: State) -> str:
    """Batch norm has scales; a running mean alone is instance norm of old PyTorch."""
    stem = ".running_mean"
    names = [n.removesuffix(stem) + ".weight" for n in state if n.endswith(stem)]
    return "batch" if any(name in state for name in names) else "instance"


LAYOUTS = (
    Layout(NAME, "pix2pixhd.global", TABLE, global_scopes, global_config),
    Layout(NAME, "pix2pixhd.local", TABLE, local_scopes, local_config),
    Layout(NAME, "pix2pixhd.encoder", TABLE, encoder_scopes, encoder_config),
    Layout(
        NAME,
        "pix2pixhd.discriminator",
        TABLE,
        discriminator_scopes,
        discriminator_config,
    ),
)
# A second layout of the same family, to read only: written files use the first.
PLAIN_DISCRIMINATOR = Layout(
    NAME,
    "pix2pixhd.discriminator",
    TABLE,
    plain_discriminator_scopes,
    plain_discriminator_config,
)
