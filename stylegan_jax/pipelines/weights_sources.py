"""Finds out which source of frozen weights each of a person's files is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.weights_registry import Source, Weights
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.package_archive import is_archive, take_members

# The largest published file, torchvision's VGG19, has 575 MB.
MAX_MEMBER_BYTES = 2**30


@dataclasses.dataclass(frozen=True)
class Found:
    """A file that serves as a source.

    Attributes:
        source: the source it serves as.
        path: where its bytes are.
        file: what it is called, for people and provenance.
        sha256: of its bytes.
        published: whether they are those of a published file; None where no digest of
            such a file is known.
    """

    source: Source
    path: Path
    file: str
    sha256: str
    published: bool | None

    def provenance(self) -> dict[str, Any]:
        """What is kept about it, as JSON values."""
        kept: dict[str, Any] = {
            "file": self.file,
            "sha256": self.sha256,
            "published": self.published,
        }
        if self.sha256 == self.source.sha256 and self.source.package:
            kept["package"] = self.source.package
            kept["path"] = self.source.path
        return kept

    def note(self) -> str:
        """What to tell a person; empty if all is as it should be."""
        if self.published:
            return ""
        if self.published is None:
            why = "no sha256 is published for it"
        else:
            why = f"its sha256 {self.sha256} is not the published one"
        return f"{self.file} was taken as it is: {why}."


@dataclasses.dataclass(frozen=True)
class _Given:
    """A file that a person gave, or that was in what they gave."""

    path: Path
    file: str
    label: str | None = None


def identify(weights: Weights, files: Sequence[str], folder: Path) -> dict[str, Found]:
    """Finds every source of weights among files.

    A known SHA-256 decides; then ``label=FILE``, then the file's name, and last that
    one file and one source are left over.

    Args:
        weights: what the sources are wanted for.
        files: files, archives and folders, each with ``label=`` before it or without.
        folder: where members of archives are written; exists.

    Returns:
        The files by the labels of their sources, in the table's order.

    Raises:
        UserError: a file is absent or cannot be read, is of no use here, there are two
            for one source, or a source is missing.
    """
    given = [item for word in files for item in _expand(weights, word, folder)]
    found: dict[str, Found] = {}
    unknown: list[tuple[_Given, str]] = []
    for item in given:
        sha256 = sha256_of(item.path)
        label = _label_of(weights, sha256)
        if label is None:
            unknown.append((item, sha256))
        elif item.label not in (None, label):
            raise UserError(
                f"{item.file} is the {label} of {weights.name} and not the "
                f"{item.label}: leave the label away."
            )
        else:
            _put(found, weights, label, item, sha256)
    for item, sha256 in unknown:
        left = [s.label for s in weights.sources if s.label not in found]
        label = item.label or _label_by_name(weights, item.file)
        if label is None and len(unknown) == len(left) == 1:
            label = left[0]
        if label is None:
            raise UserError(_useless(weights, item))
        _put(found, weights, label, item, sha256)
    missing = [source for source in weights.sources if source.label not in found]
    if missing:
        names = ", ".join(
            f"{s.file} ({s.label}, from {s.origin})" if s.origin else s.file
            for s in missing
        )
        raise UserError(f"{weights.name} also needs {names}: give all its files.")
    return {source.label: found[source.label] for source in weights.sources}


def _expand(weights: Weights, word: str, folder: Path) -> list[_Given]:
    """The files that one word of a command line means."""
    label, equals, rest = word.partition("=")
    labels = [source.label for source in weights.sources]
    if not equals or label not in labels:
        label, rest = "", word
    path = Path(rest)
    if path.is_dir():
        names = _names(weights)
        files = [path / name for name in names if (path / name).is_file()]
        if not files:
            raise UserError(
                f"the folder {path} holds none of the files of {weights.name}: it "
                f"needs {', '.join(names)}."
            )
        return [_Given(file, file.name) for file in files]
    if not path.exists():
        raise UserError(f"there is no file {path}: check the name.")
    if is_archive(path):
        return _unpack(weights, path, folder)
    return [_Given(path, path.name, label or None)]


def _unpack(weights: Weights, archive: Path, folder: Path) -> list[_Given]:
    wanted = {s.path: s.size or MAX_MEMBER_BYTES for s in weights.sources if s.path}
    wanted.update({known.file: MAX_MEMBER_BYTES for known in weights.known})
    wanted.update({s.file: MAX_MEMBER_BYTES for s in weights.sources if not s.path})
    inside = folder / f"{archive.name}-members"
    try:
        inside.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {inside}: {error.strerror}.") from error
    members = take_members(archive, wanted, inside)
    if not members:
        raise UserError(
            f"{archive} holds none of the files of {weights.name}: it needs "
            f"{', '.join(_names(weights))}."
        )
    return [_Given(path, Path(key).name) for key, path in members.items()]


def _names(weights: Weights) -> list[str]:
    """Every name that a source of these weights is known under."""
    return list(dict.fromkeys(item.file for item in weights.files))


def _label_of(weights: Weights, sha256: str) -> str | None:
    """The source that the published file of this digest serves as."""
    for item in weights.files:
        if item.sha256 and sha256.startswith(item.sha256):
            return item.label
    return None


def _label_by_name(weights: Weights, file: str) -> str | None:
    for item in weights.files:
        if item.file == file:
            return item.label
    return None


def _put(
    found: dict[str, Found], weights: Weights, label: str, item: _Given, sha256: str
) -> None:
    """Notes a file as the source of that label, which must still be without."""
    if label in found:
        if found[label].sha256 == sha256:
            return  # the same bytes twice
        raise UserError(
            f"{found[label].file} and {item.file} are both the {label} of "
            f"{weights.name}: give one of them."
        )
    source = next(source for source in weights.sources if source.label == label)
    stated = any(f.sha256 for f in weights.files if f.label == label)
    published = _label_of(weights, sha256) == label if stated else None
    found[label] = Found(source, item.path, item.file, sha256, published)


def _useless(weights: Weights, item: _Given) -> str:
    choices = " or ".join(f"{source.label}={item.file}" for source in weights.sources)
    return (
        f"{item.file} is none of the published files of {weights.name} "
        f"({', '.join(_names(weights))}): give one of them, or say what it is with "
        f"{choices}."
    )
