"""From a model file's config to its module, and whether the tensors fit it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.errors import UserError

Module = TypeVar("Module", bound=nn.Module)

# Fields that Linen adds to every module.
LINEN_FIELDS = ("parent", "name")

# Counts of layers: tracing the network takes time in proportion, so a damaged file must
# not hold large ones.
LARGEST = {"num_blocks": 16, "mapping_layers": 64}


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 2**24


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


# What a field may hold, by its annotation in the module.
CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "int": _is_count,
    "float": _is_number,
    "float | None": lambda v: v is None or _is_number(v),
    "bool": lambda v: isinstance(v, bool),
    "str": lambda v: isinstance(v, str),
    "tuple[int, int]": lambda v: (
        isinstance(v, tuple)
        and len(v) == 2
        and all(type(i) is int and 1 <= i <= 4096 for i in v)
    ),
    "tuple[int, ...]": lambda v: (
        isinstance(v, tuple) and len(v) <= 64 and all(map(_is_count, v))
    ),
    "tuple[float, ...]": lambda v: (
        isinstance(v, tuple) and len(v) <= 64 and all(map(_is_number, v))
    ),
    "tuple[str, ...]": lambda v: (
        isinstance(v, tuple)
        and len(v) <= 64
        and all(isinstance(i, str) and 0 < len(i) <= 100 for i in v)
    ),
    "Filter": lambda v: (
        isinstance(v, tuple) and 1 <= len(v) <= 64 and all(map(_is_number, v))
    ),
}


def config_of(module: nn.Module) -> dict[str, Any]:
    """The constructor fields of a module, as `save_model` takes them."""
    return {
        field.name: getattr(module, field.name)
        for field in dataclasses.fields(module)
        if field.name not in LINEN_FIELDS
    }


def build_module(
    kind: type[Module], config: Mapping[str, Any], *, where: object
) -> Module:
    """Makes the module that a config describes.

    Args:
        kind: its class.
        config: constructor fields as JSON values; absent ones take their defaults.
        where: what to name in errors, e.g. the file's path.

    Returns:
        The module, not initialised.

    Raises:
        UserError: a field is unknown, missing, or of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(kind) if f.name not in LINEN_FIELDS}
    unknown = sorted(set(config) - set(fields))
    if unknown:
        raise UserError(
            f"the config of {where} has unknown fields ({', '.join(unknown)}): update "
            "stylegan_jax."
        )
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in config.items()
    }
    for name, field in fields.items():
        if name not in values:
            if field.default is dataclasses.MISSING:
                raise UserError(
                    f"the config of {where} lacks {name}: the file is damaged, copy or "
                    "make it again."
                )
            continue
        value = values[name]
        fits = CHECKS[str(field.type)](value)
        if not fits or (name in LARGEST and not 0 <= value <= LARGEST[name]):
            raise UserError(
                f"the config of {where} has {name}={value!r}, which no model has: the "
                "file is damaged, copy or make it again."
            )
    if values.get("num_blocks") == 0:
        raise UserError(f"the config of {where} has num_blocks=0: make it again.")
    return kind(**values)


def fit_variables(
    variables: Mapping[str, Any],
    init: Callable[..., Any],
    *args: Any,
    where: object,
) -> dict[str, Any]:
    """Checks variables against those that a module makes, tensor by tensor.

    Args:
        variables: nested dicts of arrays.
        init: a module's ``init``; it is traced, never run.
        *args: shapes of its inputs, `jax.ShapeDtypeStruct`.
        where: what to name in errors, e.g. the file's path.

    Returns:
        The variables as nested dicts of jax arrays, floats of another width brought to
        the module's.

    Raises:
        UserError: tensors are missing, unknown, or of another shape or kind; all of
            them are listed.
    """
    shapes = _trace(init, *args, where=where)
    expected, found = flatten(shapes), flatten(variables)
    missing = sorted(set(expected) - set(found))
    unknown = sorted(set(found) - set(expected))
    wrong = []
    for name in sorted(set(found) & set(expected)):
        want, have = expected[name], found[name]
        if tuple(np.shape(have)) != want.shape:
            shape = list(np.shape(have))
            wrong.append(f"{name} {shape} instead of {list(want.shape)}")
        elif jnp.issubdtype(have.dtype, jnp.floating) != jnp.issubdtype(
            want.dtype, jnp.floating
        ):
            wrong.append(f"{name} {have.dtype} instead of {want.dtype}")
    if missing or unknown or wrong:
        parts = [
            f"{title}: {', '.join(names)}"
            for title, names in (
                ("missing", missing),
                ("unknown", unknown),
                ("of another shape or type", wrong),
            )
            if names
        ]
        raise UserError(
            f"the tensors of {where} do not fit its config; " + "; ".join(parts)
        )
    return jax.tree.map(
        lambda want, have: jnp.asarray(have, want.dtype),
        _plain(shapes),
        _plain(variables),
    )


def variable_shapes(
    init: Callable[..., Any], *args: Any, where: object
) -> dict[str, jax.ShapeDtypeStruct]:
    """The tensors that a module makes, by their paths; raises as `fit_variables`."""
    return flatten(_trace(init, *args, where=where))


def _trace(init: Callable[..., Any], *args: Any, where: object) -> Any:
    try:
        return jax.eval_shape(init, jax.random.key(0), *args)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"the config of {where} makes no model: {error}") from error


def _plain(tree: Any) -> Any:
    """Mappings of any kind as dicts, so that trees compare by their keys."""
    if isinstance(tree, Mapping):
        return {key: _plain(value) for key, value in tree.items()}
    return tree
