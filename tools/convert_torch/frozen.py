"""Frozen feature networks: from the files that people have to this program's own.

`convert_frozen` is what ``weights get`` and ``weights import`` call; `find_network`
says which feature network the tensors of any file are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stylegan_jax.checkpoints.features import (
    AlexNetFeatures,
    InceptionV3Features,
    LPIPSDistance,
    ResNetFeatures,
    VGGFeatures,
)
from stylegan_jax.checkpoints.irse import IRSEFeatures
from stylegan_jax.checkpoints.mobilefacenet import MobileFaceNetFeatures
from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.network import Network
from stylegan_jax.convert_torch.readers import Graph, Stub, read_checkpoint, state_dict
from stylegan_jax.convert_torch.rules import (
    alexnet,
    inception,
    irse,
    lpips,
    mobilefacenet,
    resnet,
    vgg,
)
from stylegan_jax.convert_torch.rules.layout import Layout, State, to_jax
from stylegan_jax.errors import UserError

# Names that programs put around a state dict.
WRAPPERS = ("state_dict", "model_state_dict", "model")


@dataclasses.dataclass(frozen=True)
class Family:
    """How one family of feature networks is recognised and made.

    Attributes:
        words: what it is, for sentences.
        layout_of: the layout of a file's names; None for another network's.
        ignored: names of a file that the finished network does not use.
        network: its class, which knows its tensors.
    """

    words: str
    layout_of: Callable[[State], Layout | None]
    ignored: Callable[[State], tuple[str, ...]]
    network: type[Network]


class Found(NamedTuple):
    """A feature network in a file.

    Attributes:
        layout: whose names its tensors have.
        state: the tensors that it is made from.
        ignored: the names of the others.
    """

    layout: Layout
    state: State
    ignored: tuple[str, ...]


class Frozen(NamedTuple):
    """Frozen weights that are a network of this program.

    Attributes:
        family: the family of model files.
        config: what the config must say for the file to be that network.
        layout: whose names its files must have, where these tell networks of one
            config apart.
    """

    family: str
    config: Mapping[str, Any]
    layout: str | None = None


def _irse_layout(state: State) -> Layout | None:
    return irse.LAYOUTS[0] if irse.is_irse(state) else None


# LPIPS goes before the trunks that its files contain.
FAMILIES: Mapping[str, Family] = {
    "features.inception_v3": Family(
        "an Inception v3 of FID",
        inception.layout_of,
        inception.ignored,
        InceptionV3Features,
    ),
    "features.lpips": Family(
        "a trunk with the weights of LPIPS",
        lpips.layout_of,
        lpips.ignored,
        LPIPSDistance,
    ),
    "features.vgg": Family("a VGG", vgg.layout_of, vgg.ignored, VGGFeatures),
    "features.alexnet": Family(
        "an AlexNet", alexnet.layout_of, alexnet.ignored, AlexNetFeatures
    ),
    "features.resnet": Family(
        "a ResNet", resnet.layout_of, resnet.ignored, ResNetFeatures
    ),
    "features.irse": Family(
        "an identity network (IR-SE)", _irse_layout, lambda _: (), IRSEFeatures
    ),
    "features.mobilefacenet": Family(
        "an identity network (MobileFaceNet)",
        mobilefacenet.layout_of,
        mobilefacenet.ignored,
        MobileFaceNetFeatures,
    ),
}

_RESNET50 = {"stages": (3, 4, 6, 3), "bottleneck": True, "width": 64}

# By the identifiers of the table of weights. A network that was made wider or deeper
# than the published one has no published weights, so it is none of these.
FROZEN: Mapping[str, Frozen] = {
    "inception_v3_fid": Frozen("features.inception_v3", {}),
    "lpips_alex": Frozen("features.lpips", {"trunk": "alex", "width": 64}),
    "lpips_vgg": Frozen("features.lpips", {"trunk": "vgg", "width": 64}),
    "vgg16": Frozen("features.vgg", {"depth": 16, "width": 64}),
    "vgg19": Frozen("features.vgg", {"depth": 19, "width": 64}),
    "resnet50": Frozen("features.resnet", _RESNET50, resnet.NAME),
    "moco_v2_resnet50": Frozen("features.resnet", _RESNET50, resnet.MOCO),
    "arcface_irse50": Frozen("features.irse", {"num_layers": 50, "mode": "ir_se"}),
    "arcface_mobilefacenet": Frozen(
        "features.mobilefacenet",
        {"stages": (128, 256, 256), "blocks": (4, 6, 2), "input_size": 112},
    ),
}


def convert_frozen(
    name: str,
    files: Mapping[str, Path],
    dst: Path,
    provenance: Mapping[str, Any],
    licence: str,
) -> None:
    """Makes the model file of frozen weights; on any fault nothing is written.

    Args:
        name: an identifier of `FROZEN`.
        files: the sources by their labels; their tensors are put together.
        dst: the model file to write.
        provenance: where the weights come from, JSON values; the layout, and the names
            in the files that the network does not use, are added.
        licence: the licence of the weights, in words.

    Raises:
        UserError: a file cannot be read safely, is another network, or has tensors
            missing, unexpected or misshapen; all are listed.
    """
    if name not in FROZEN:
        raise UserError(
            f"{name} is no network that can be converted: choose from "
            f"{', '.join(FROZEN)}."
        )
    frozen = FROZEN[name]
    where = " and ".join(str(path) for path in files.values())
    state = _together(files)
    family = FAMILIES[frozen.family]
    layout = family.layout_of(state)
    if layout is None:
        raise UserError(_another(name, state, family, where))
    found = _pick(state, layout, family)
    config = found.layout.config(found.state, {"where": where})
    odd = {k: config[k] for k, want in frozen.config.items() if config[k] != want}
    if odd:
        wanted = ", ".join(f"{k} {frozen.config[k]}" for k in odd)
        had = ", ".join(f"{k} {value}" for k, value in odd.items())
        raise UserError(f"{where} is not {name}: it has {had} instead of {wanted}.")
    if frozen.layout not in (None, found.layout.name):
        raise UserError(
            f"{where} is not {name}: its tensors have the names of "
            f"{found.layout.name} instead of {frozen.layout}; give the right file."
        )
    shapes = family.network.shapes(config, where=where)
    variables = to_jax(found.state, found.layout.expand(config), shapes, where=where)
    save_model(
        dst,
        variables,
        family=frozen.family,
        config=config,
        provenance={
            **provenance,
            "layout": found.layout.name,
            "ignored": list(found.ignored),
        },
        licence=licence,
    )


def find_network(root: Any, where: object) -> Found | None:
    """The feature network that a file's content is; None where it is none.

    Args:
        root: what `read_checkpoint` found in the file.
        where: what to name in errors, e.g. the file's path.

    Raises:
        UserError: it is one of those that cannot be converted, for a stated reason.
    """
    state = state_of(root, where)
    if state is None:
        return None
    if lpips.is_squeeze(state):
        raise UserError(
            f"{where} is LPIPS with SqueezeNet, which this program does not have: give "
            "that with AlexNet or VGG16."
        )
    if lpips.are_heads_alone(state):
        raise UserError(
            f"{where} holds the weights of LPIPS without the network that they weigh: "
            "run stylegan-jax weights import lpips_alex (or lpips_vgg) with this file "
            "and its trunk."
        )
    for family in FAMILIES.values():
        if layout := family.layout_of(state):
            return _pick(state, layout, family)
    return None


def state_of(root: Any, where: object = "the file") -> dict[str, Any] | None:
    """Tensors by dotted names, from whatever a file holds them in.

    A state dict, one inside a dict that names it, nested dicts of arrays, or a whole
    module; the prefix of PyTorch's parallel wrappers is taken off. Or an ONNX graph,
    whose nodes say what its tensors are.

    Args:
        root: what `read_checkpoint` found in the file.
        where: what to name in errors, e.g. the file's path.

    Returns:
        The tensors; None where something else than tensors is among them.

    Raises:
        UserError: an ONNX graph of a network that this program does not have.
    """
    if isinstance(root, Graph):
        return dict(mobilefacenet.state_of(root, where))
    for wrapper in WRAPPERS:
        if isinstance(root, Mapping) and isinstance(root.get(wrapper), Mapping | Stub):
            root = root[wrapper]
            break
    if isinstance(root, Stub):
        try:
            state: dict[str, Any] | None = dict(state_dict(root))
        except UserError:
            return None  # an object that is no module, so somebody else's file
    else:
        state = _flat(root) if isinstance(root, Mapping) else None
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): v for name, v in state.items()}
    return state or None


def _flat(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, Any] | None:
    """Nested dicts as dotted names; None where a leaf is no tensor."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            # A dict that contains itself would end in RecursionError otherwise.
            if prefix.count(".") > 16:
                return None
            inner = _flat(value, f"{prefix}{key}.")
            if inner is None:
                return None
            flat.update(inner)
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            flat[f"{prefix}{key}"] = value
        else:
            return None
    return flat


def _together(files: Mapping[str, Path]) -> dict[str, Any]:
    """The tensors of all sources of one network.

    Raises:
        UserError: a file has none, or two files have the same name.
    """
    state: dict[str, Any] = {}
    for path in files.values():
        tensors = state_of(read_checkpoint(path).root, path)
        if tensors is None:
            raise UserError(
                f"{path} holds no tensors by name: give a file with a network's "
                "weights."
            )
        twice = sorted(set(tensors) & set(state))
        if twice:
            raise UserError(
                f"{path} has tensors that another of the files has too "
                f"({', '.join(twice)}): give each source once."
            )
        state.update(tensors)
    return state


def _pick(state: State, layout: Layout, family: Family) -> Found:
    ignored = family.ignored(state)
    left_out = set(ignored)
    kept = {name: value for name, value in state.items() if name not in left_out}
    return Found(layout, kept, ignored)


def _another(name: str, state: State, wanted: Family, where: object) -> str:
    """The sentence for a file that is another network."""
    words = [f.words for f in FAMILIES.values() if f.layout_of(state) is not None]
    if lpips.are_heads_alone(state):
        words = ["the weights of LPIPS alone"]
    what = words[0] if words else "something else"
    return (
        f"{where} cannot become {name}: it should be {wanted.words} and is {what}; "
        "give the right file."
    )
