"""Which layer, and which part of it, every tensor of a generator belongs to.

Layers are named ``b<resolution>/<layer>`` after the blocks' nominal resolutions, e.g.
``b32/conv0``; everything that turns z into w is the one layer ``mapping``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.errors import UserError

MAPPING = "mapping"
# Parts of the synthesis network. ``affine`` is the affine map from w to styles, also
# that of torgb; ``noise`` is a layer's noise strength and its const noise.
SYNTHESIS_PARTS = ("const", "conv", "torgb", "skip", "affine", "noise")
PARTS = (*SYNTHESIS_PARTS, MAPPING)

# Layers of a block in the order of the computation, and which of its two positions each
# has: a block is at positions 2i and 2i + 1, where i counts blocks from the base grid.
LEVELS: Mapping[str, int] = {
    "const": 0,
    "input": 0,
    "conv0": 0,
    "skip": 0,
    "conv1": 1,
    "torgb": 1,
}
# The same layer whatever the collection, and parts that a tensor's last name tells.
PART_OF_TENSOR = {"const": "const", "noise_strength": "noise", "noise_const": "noise"}
PART_OF_LAYER = {"torgb": "torgb", "skip": "skip"}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of a generator.

    Attributes:
        name: ``b<resolution>/<layer>``, or ``mapping``.
        resolution: nominal resolution of its block; 0 for ``mapping``.
        position: its place in the network: 2i or 2i + 1 in block i, as `LEVELS` says;
            -1 for ``mapping``.
        tensors: paths of its tensors, by part.
    """

    name: str
    resolution: int
    position: int
    tensors: Mapping[str, tuple[str, ...]]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it has, in the order of `PARTS`."""
        return tuple(part for part in PARTS if part in self.tensors)


def generator_layers(variables: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Sorts the tensors of a generator of either family into layers.

    Args:
        variables: collections of nested dicts of arrays, or of anything else.

    Returns:
        ``mapping``, then the layers of the synthesis network from the base grid up.

    Raises:
        UserError: a tensor has its place in no generator.
    """
    paths = flatten(variables)
    top = max((_resolution(path) for path in paths), default=0)
    found: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        layer, part = _place(path, top)
        found.setdefault(layer, {}).setdefault(part, []).append(path)
    layers = [
        Layer(
            name,
            _resolution_of(name),
            _position_of(name),
            {part: tuple(tensors) for part, tensors in parts.items()},
        )
        for name, parts in found.items()
    ]
    order = list(LEVELS)
    return tuple(
        sorted(
            layers,
            key=lambda layer: (
                layer.resolution,
                order.index(layer.name.split("/")[1]) if layer.resolution else 0,
            ),
        )
    )


def resolutions_of(layers: Iterable[Layer]) -> tuple[int, ...]:
    """The blocks' nominal resolutions, from 4 up."""
    return tuple(sorted({layer.resolution for layer in layers} - {0}))


def _place(path: str, top: int) -> tuple[str, str]:
    """The layer and the part of a tensor."""
    _, _, rest = path.partition("/")  # without the collection
    network, *names = rest.split("/")
    if network == MAPPING and names:
        return MAPPING, MAPPING
    if network == "synthesis" and names[:1] == ["torgb"]:
        # StyleGAN of 2018 has one torgb, outside of the blocks.
        names = [f"b{top}", *names]
    if network == "synthesis" and len(names) >= 2 and names[1] in LEVELS:
        block, layer, *inner = names
        part = PART_OF_TENSOR.get(names[-1], PART_OF_LAYER.get(layer, "conv"))
        if inner[:1] == ["affine"]:
            part = "affine"
        if _resolution_of(f"{block}/{layer}"):
            return f"{block}/{layer}", part
    raise UserError(
        f"the tensor {path} has its place in no generator: the file is damaged or of "
        "another version, copy or make it again."
    )


def _resolution(path: str) -> int:
    """The resolution in a tensor's path; 0 where there is none."""
    return max((_resolution_of(f"{name}/") for name in path.split("/")), default=0)


def _resolution_of(layer: str) -> int:
    """32 for ``b32/conv0``; 0 for what is no block."""
    block = layer.partition("/")[0]
    digits = block[1:]
    if not block.startswith("b") or not (digits.isascii() and digits.isdigit()):
        return 0
    value = int(digits) if len(digits) < 8 else 0
    return value if value >= 4 and value & (value - 1) == 0 else 0


def _position_of(layer: str) -> int:
    resolution = _resolution_of(layer)
    if not resolution:
        return -1
    return 2 * (resolution.bit_length() - 3) + LEVELS[layer.partition("/")[2]]
