"""Blending generators layer by layer (after Pinkney and Adler 2020).

A blend of N models has for every layer and part the share of each model but the first,
BASE, which keeps the rest. Tensors that a single model gives are taken as they are, bit
for bit. Trees are of NumPy arrays, and nothing is compiled: large models take seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.generator_layers import (
    MAPPING,
    PARTS,
    SYNTHESIS_PARTS,
    Layer,
    generator_layers,
    resolutions_of,
)

RAMPS = ("logistic", "linear")
# Sums of shares that were written as decimals may miss 1 by rounding.
TOLERANCE = 1e-6

# (layer, part) → share of a model, from 0 to 1.
Shares = Mapping[tuple[str, str], float]


def step_shares(
    layers: Sequence[Layer],
    *,
    resolution: int = 32,
    alpha: float = 1.0,
    width: float = 0.0,
    ramp: str = "logistic",
    parts: Iterable[str] = SYNTHESIS_PARTS,
    mapping: bool = False,
) -> dict[tuple[str, str], float]:
    """Shares of a model that gives the blocks of at least a resolution.

    With width 0 it is a step: alpha from the first layer of the block on, 0 below.
    Otherwise, with t the layer's distance in positions from the middle between the last
    layer below the step and the first one above it,

        logistic: alpha / (1 + exp(-t / width))
        linear:   alpha * clip(t / width + 1/2, 0, 1)

    so that both become the step as the width goes to 0.

    Args:
        layers: of the generator, see `generator_layers`.
        resolution: of the lowest block that the model gives.
        alpha: its share there, from 0 to 1.
        width: of the step, in positions (a block has two); 0 for a hard one.
        ramp: ``logistic`` or ``linear``, the form of a step with a width.
        parts: the parts that it gives, of `PARTS`; others are 0.
        mapping: whether it also gives ``mapping``, which has ``w_avg`` in it, with the
            share alpha whatever the resolution.

    Returns:
        The share of every layer and part.

    Raises:
        UsageError: there is no such resolution, ramp or part, or a number out of range.
    """
    wanted = check_parts(parts, mapping=mapping)
    check_share(alpha, "alpha")
    if not (math.isfinite(width) and width >= 0):
        raise UsageError(f"the width is a number from 0 up, got {width}.")
    if ramp not in RAMPS:
        raise UsageError(f"unknown ramp {ramp!r}: choose from {', '.join(RAMPS)}.")
    known = resolutions_of(layers)
    if resolution not in known:
        raise UsageError(
            f"these models have no block of resolution {resolution}: choose from "
            f"{', '.join(map(str, known))}."
        )
    first = min(x.position for x in layers if x.resolution == resolution)
    first -= first % 2  # const and input are at the block's first position
    return {
        (layer.name, part): (
            0.0
            if part not in wanted
            else alpha
            * (1.0 if part == MAPPING else _rise(layer.position, first, width, ramp))
        )
        for layer in layers
        for part in layer.parts
    }


def _rise(position: int, first: int, width: float, ramp: str) -> float:
    """From 0 to 1 around the middle between positions ``first - 1`` and ``first``."""
    distance = position - first + 0.5
    if width == 0:
        return float(distance > 0)
    if ramp == "linear":
        return min(1.0, max(0.0, distance / width + 0.5))
    # Not 1 / (1 + exp(-t)), whose exp overflows for narrow steps.
    return 0.5 * (1.0 + math.tanh(0.5 * distance / width))


def curve_shares(
    layers: Sequence[Layer],
    curve: Any,
    *,
    where: object,
    alpha: float = 1.0,
    parts: Iterable[str] | None = None,
    mapping: bool = False,
) -> dict[tuple[str, str], float]:
    """Shares of a model as a curve over the layers says.

    A curve is a JSON object. Its keys are layers (``b32/conv0``, …, as
    `generator_layers` names them) or whole blocks (``b32``), where a layer's own key
    counts more; its values are shares from 0 to 1, or objects from the layer's parts to
    shares. Every layer must be named, but ``mapping``: without that key it is the share
    1 where ``mapping`` is asked for, else 0. The key ``parts`` is optional: a list of
    the parts that the curve concerns, or an object from parts to factors from 0 to 1;
    parts that it does not name are 0.

    Args:
        layers: of the generator.
        curve: what was read from JSON.
        where: what to name in errors, e.g. the file's path.
        alpha: every share is multiplied with it.
        parts: the parts that the model gives; others are 0. None means those of the
            synthesis network, and ``mapping`` where the curve names it.
        mapping: whether ``mapping`` is asked for beside the curve.

    Returns:
        The share of every layer and part.

    Raises:
        UsageError: keys are missing or unknown (all are listed), or values are no
            shares.
    """
    check_share(alpha, "alpha")
    if not isinstance(curve, Mapping):
        raise UsageError(f"{where} is no JSON object from layers to shares.")
    factors = _factors(curve.get("parts", PARTS), where)
    given = {key: value for key, value in curve.items() if key != "parts"}
    _check_keys(given, layers, where)
    if MAPPING not in given:
        given[MAPPING] = 1.0 if mapping else 0.0
    named = MAPPING in curve
    wanted = check_parts(
        SYNTHESIS_PARTS if parts is None else parts,
        mapping=mapping or (parts is None and named),
    )
    shares = {}
    for layer in layers:
        value = given.get(layer.name, given.get(layer.name.partition("/")[0]))
        by_part = _by_part(value, layer, where)
        for part in layer.parts:
            factor = factors.get(part, 0.0) if part in wanted else 0.0
            shares[layer.name, part] = alpha * by_part[part] * factor
    return shares


def _check_keys(
    given: Mapping[str, Any], layers: Sequence[Layer], where: object
) -> None:
    names = [layer.name for layer in layers]
    blocks = {name.partition("/")[0] for name in names}
    missing = [
        name
        for name in names
        if name != MAPPING and name not in given and name.partition("/")[0] not in given
    ]
    unknown = [str(key) for key in given if key not in names and key not in blocks]
    if missing or unknown:
        said = [
            f"{title} {', '.join(keys)}"
            for title, keys in (("lacks", missing), ("has the unknown keys", unknown))
            if keys
        ]
        raise UsageError(
            f"the curve {where} {' and '.join(said)}: name every layer of these models "
            "once (blend without --curve prints their names)."
        )


def _factors(value: Any, where: object) -> dict[str, float]:
    """A curve's ``parts`` as a factor for each."""
    if isinstance(value, Mapping):
        for part, factor in value.items():
            check_share(factor, f"the factor of {part} in the curve {where}")
        found = {part: float(factor) for part, factor in value.items()}
    elif isinstance(value, list | tuple):
        found = dict.fromkeys(value, 1.0)
    else:
        raise UsageError(
            f"'parts' of the curve {where} is a list of parts or an object from parts "
            f"to factors, got {value!r}."
        )
    check_parts(found)
    return found


def _by_part(value: Any, layer: Layer, where: object) -> dict[str, float]:
    """A curve's value for a layer as a share for each of its parts."""
    if not isinstance(value, Mapping):
        check_share(value, f"the share of {layer.name} in the curve {where}")
        return dict.fromkeys(layer.parts, float(value))
    if set(value) != set(layer.parts):
        raise UsageError(
            f"{layer.name} in the curve {where} has the parts {', '.join(value)}: it "
            f"needs exactly {', '.join(layer.parts)}."
        )
    for part, share in value.items():
        check_share(share, f"the share of {layer.name} {part} in the curve {where}")
    return {part: float(share) for part, share in value.items()}


def check_parts(parts: Iterable[Any], *, mapping: bool = False) -> set[str]:
    """The parts as a set, ``mapping`` among them where it is asked for.

    Raises:
        UsageError: some are unknown (all are listed), or there are none.
    """
    given = list(parts)
    unknown = [str(part) for part in given if part not in PARTS]
    if unknown or not given:
        raise UsageError(
            f"unknown parts {', '.join(unknown) or '(none)'}: choose from "
            f"{', '.join(PARTS)}."
        )
    return {*given, MAPPING} if mapping else set(given)


def check_share(value: Any, what: str) -> None:
    """Raises `UsageError` unless ``value`` is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{what} is a number from 0 to 1, got {value!r}.")
    if not 0 <= value <= 1:
        raise UsageError(f"{what} is a number from 0 to 1, got {value}.")


def blend(
    models: Sequence[Mapping[str, Any]], shares: Sequence[Shares]
) -> dict[str, Any]:
    """Blends generators of one architecture.

    Each tensor is base + Σ share · (model - base), in float32. Where a single model
    has the whole share, its tensor is taken as it is, and so it is where the models
    agree.

    Args:
        models: variables of BASE and of the others: the same paths and shapes.
        shares: one for each model but BASE, see `step_shares` and `curve_shares`.

    Returns:
        Variables of nested dicts of NumPy arrays.

    Raises:
        UserError: the models' tensors differ in name or shape, or the shares of a
            layer sum to more than 1 (all are listed).
    """
    flat = [flatten(variables) for variables in models]
    _check_trees(flat)
    check_sum(shares)
    blended: dict[str, Any] = {}
    for layer in generator_layers(models[0]):
        for part, paths in layer.tensors.items():
            given = [float(share[layer.name, part]) for share in shares]
            for path in paths:
                arrays = [np.asarray(tensors[path]) for tensors in flat]
                _insert(blended, path, _mix(arrays, given))
    return blended


def check_sum(shares: Sequence[Shares]) -> None:
    """Raises `UserError` where the shares of a layer sum to more than 1."""
    names: dict[str, float] = {}
    for layer, part in shares[0] if shares else ():
        total = sum(float(share[layer, part]) for share in shares)
        if total > 1 + TOLERANCE:
            names[layer] = max(total, names.get(layer, 0.0))
    if names:
        said = ", ".join(f"{name} {total:.3g}" for name, total in names.items())
        raise UserError(
            f"the shares of the models beside BASE sum to more than 1 ({said}): lower "
            "alpha or the other shares."
        )


def _check_trees(flat: Sequence[Mapping[str, Any]]) -> None:
    base = flat[0]
    for tensors in flat[1:]:
        wrong = sorted(set(base) ^ set(tensors)) + [
            path
            for path in base
            if path in tensors and np.shape(base[path]) != np.shape(tensors[path])
        ]
        if wrong:
            raise UserError(
                f"the models differ in the tensors {', '.join(wrong)}: only models of "
                "one architecture blend."
            )


def _mix(arrays: Sequence[np.ndarray], shares: Sequence[float]) -> np.ndarray:
    """One tensor; ``arrays[0]`` is BASE's."""
    active = [(x, s) for x, s in zip(arrays[1:], shares, strict=True) if s != 0]
    if not active:
        return arrays[0]
    if len(active) == 1 and active[0][1] == 1:
        return active[0][0]
    # At least float32: half floats would round the mixture.
    kind = np.result_type(np.float32, *(x.dtype for x in arrays))
    base = arrays[0].astype(kind)
    mixed = base
    for x, share in active:
        mixed = mixed + kind.type(share) * (x.astype(kind) - base)
    return mixed


def _insert(tree: dict[str, Any], path: str, array: np.ndarray) -> None:
    *parents, last = path.split("/")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = array
