"""Finds a configuration by name or file and applies command-line overrides."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax import configs
from stylegan_jax.errors import UsageError


def config_names() -> list[str]:
    """Names of the configurations that come with the package."""
    folder = Path(next(iter(configs.__path__)))
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))


def load_config(name: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Loads ``NAME_OR_FILE[:arg]`` and applies ``--config.a.b=value`` overrides.

    Args:
        name: a name of ``config_names()`` or the path of a Python file, either with
            an argument behind a colon, such as ``stylegan2_auto:smoke``.
        overrides: words like ``--config.train.batch=16``.

    Raises:
        UsageError: for an unknown configuration, key or value, with the nearest names.
    """
    path, arg = _locate(name)
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"The configuration {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(
            f"The configuration {path} is not Python: {error.msg} in line "
            f"{error.lineno}."
        ) from error
    if not hasattr(module, "get_config"):
        raise UsageError(f"The configuration {path} has no function get_config(arg).")
    try:
        config = module.get_config(arg)
    except ValueError as error:
        raise UsageError(f"Configuration {name}: {error}.") from error
    for word in overrides:
        apply_override(config, word)
    return config


def _locate(name: str) -> tuple[Path, str]:
    stem, _, arg = name.partition(":")
    if stem in config_names():
        return Path(next(iter(configs.__path__))) / f"{stem}.py", arg
    # Not Path.is_file, which raises for a name that is too long.
    if stem.endswith(".py") and os.path.isfile(stem):
        return Path(stem), arg
    close = difflib.get_close_matches(stem, config_names(), 1, 0.4)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(
        f"There is no configuration '{stem}'.{hint} Choose from "
        f"{', '.join(config_names())}, or give a Python file."
    )


def apply_override(config: ConfigDict, word: str) -> None:
    """Applies one ``--config.a.b=value`` to a configuration, in place."""
    key, equals, text = word.partition("=")
    prefix = "--config."
    if not key.startswith(prefix) or not equals:
        raise UsageError(
            f"'{word}' is not understood: overrides look like --config.train.batch=16."
        )
    *parents, leaf = key[len(prefix) :].split(".")
    node = config
    for i, parent in enumerate(parents):
        node = _child(node, parent, ".".join(parents[:i]))
        if not isinstance(node, ConfigDict):
            raise UsageError(f"'{key}': {parent} is a value, not a section.")
    current = _child(node, leaf, ".".join(parents))
    if isinstance(current, ConfigDict):
        raise UsageError(
            f"'{key}' is a section: set one of {', '.join(sorted(current))} in it."
        )
    node[leaf] = _parse(text, node.get_type(leaf), key)


def _child(node: ConfigDict, name: str, where: str) -> Any:
    if name in node:
        return node[name]
    place = f"config.{where}" if where else "config"
    close = difflib.get_close_matches(name, list(node), 1, 0.4)
    hint = f" Did you mean {close[0]}?" if close else ""
    known = ", ".join(sorted(node))
    raise UsageError(f"{place} has no '{name}'.{hint} It has {known}.")


def _parse(text: str, kind: type, key: str) -> Any:
    """Reads a value as the type that the field has."""
    if text == "None" and kind is not str:
        return None
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind in (int, float):
            return kind(text)
        if kind in (tuple, list):
            value = _literal(text)
            words = [word.strip() for word in text.split(",") if word.strip()]
            return kind(value if isinstance(value, (list, tuple)) else words)
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"{key[2:]} takes {_KINDS.get(kind, kind.__name__)}, got '{text}'."
        ) from error
    if kind is str:
        return text
    value = _literal(text)
    # A folder may be called 1e5 or 007: what reads back otherwise stays text.
    exact = isinstance(value, str | list | tuple) or str(value) == text
    return value if exact else text


_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def _literal(text: str) -> Any:
    """A Python literal, or the text itself (paths, sizes such as 320x256)."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def to_plain(config: ConfigDict) -> dict[str, Any]:
    """The configuration as plain dicts for JSON."""
    return config.to_dict()
