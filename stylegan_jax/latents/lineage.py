"""Whether two generators come from one parent: distances of weights, and documents.

Blending mixes layers that work together only where both networks were once the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.latents.generator_layers import generator_layers

# Distance from which on models count as strangers, see `are_strangers`.
STRANGERS = 0.8
# Ancestors that are looked at; a file can claim any number.
MAX_ENTRIES = 10_000
# Entries of a document that lead to ancestors, by the beginnings of their names.
ANCESTORS = ("parent", "source", "init")


def layer_distances(
    base: Mapping[str, Any], style: Mapping[str, Any]
) -> dict[str, float]:
    """Relative distances of two generators' weights, layer by layer.

    The distance is |a - b| / sqrt(|a|² + |b|²) over the layer's weights and constant:
    0 for equal ones, and 1 for independent ones whatever their scales, since those of
    many dimensions are all but orthogonal. Biases and noise are left out: they begin at
    equal or arbitrary values.

    Args:
        base: variables of one generator.
        style: variables of another, of the same tensors.

    Returns:
        The distance for every layer that has weights.
    """
    ours, theirs = flatten(base), flatten(style)
    found = {}
    for layer in generator_layers(base):
        apart = size = 0.0
        for paths in layer.tensors.values():
            for path in paths:
                if path.rpartition("/")[2] not in ("weight", "const"):
                    continue
                # float64 sums: 1024 px networks have millions of numbers in a layer.
                a = np.asarray(ours[path], np.float32).ravel()
                b = np.asarray(theirs[path], np.float32).ravel()
                apart += float(np.sum(np.square(a - b), dtype=np.float64))
                size += float(np.sum(np.square(a), dtype=np.float64))
                size += float(np.sum(np.square(b), dtype=np.float64))
        if size > 0:
            found[layer.name] = math.sqrt(apart / size)
    return found


def overall_distance(distances: Mapping[str, float]) -> float:
    """Root of the mean square of the layers' distances; 0 where there are none."""
    if not distances:
        return 0.0
    return math.sqrt(sum(d * d for d in distances.values()) / len(distances))


def common_ancestor(
    base: tuple[str, Mapping[str, Any]], style: tuple[str, Mapping[str, Any]]
) -> str | None:
    """The SHA-256 of a file that both models are or come from, as far as they say.

    Args:
        base: a model file's SHA-256 and its provenance.
        style: those of another.

    Returns:
        The SHA-256 in hexadecimal; None where the documents name no common one.
    """
    first, second = (
        dict.fromkeys([sha256, *_ancestors(provenance)])
        for sha256, provenance in (base, style)
    )
    return next((sha256 for sha256 in first if sha256 in second), None)


def _ancestors(provenance: Any) -> Iterator[str]:
    """Every SHA-256 that a provenance names for an ancestor, the nearest first.

    Checksums elsewhere in it may be those of pictures, which make nobody related.
    """
    waiting = [(provenance, False)]
    for _ in range(MAX_ENTRIES):
        if not waiting:
            return
        value, is_ancestor = waiting.pop(0)
        if isinstance(value, list):
            waiting += [(item, is_ancestor) for item in value]
        elif isinstance(value, Mapping):
            sha256 = value.get("sha256")
            if is_ancestor and isinstance(sha256, str):
                yield sha256
            for name, item in value.items():
                inside = str(name).startswith(ANCESTORS)
                if isinstance(item, Mapping | list):
                    waiting.append((item, inside or (is_ancestor and name != "data")))


def are_strangers(distances: Mapping[str, float]) -> bool:
    """Whether the distances say that two models share no parent.

    Measured on 32 px networks: independently initialised ones are at 1.00 overall and
    in every layer within 0.03, before and after training; 11 kimg of training put a
    network 0.13 from itself, its mapping network 0.002. The mapping network moves so
    little (its learning rate is a hundredth) that it alone still tells a parent where
    a long training has moved the other layers far.
    """
    near = min(overall_distance(distances), distances.get("mapping", 1.0))
    return near >= STRANGERS
