"""The models that a blend is made of: read, compared, and remembered in the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.load import FAMILIES, find_model
from stylegan_jax.checkpoints.model_file import (
    ModelFile,
    flatten,
    read_model,
    sha256_of,
)
from stylegan_jax.checkpoints.structure import build_module, config_of
from stylegan_jax.errors import UserError
from stylegan_jax.latents.lineage import (
    are_strangers,
    common_ancestor,
    layer_distances,
    overall_distance,
)

BLENDABLE = ("stylegan2.generator", "stylegan1.generator")


@dataclasses.dataclass(frozen=True)
class Parent:
    """A model that goes into a blend.

    Attributes:
        path: its file.
        sha256: of the file.
        model: what is in it.
        config: the constructor fields, with the defaults of those not in the file.
    """

    path: Path
    sha256: str
    model: ModelFile
    config: Mapping[str, Any]

    @property
    def licence(self) -> str:
        """The licence of its weights."""
        return str(self.model.metadata.get("licence", "not stated"))

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it comes from."""
        found = self.model.metadata.get("provenance", {})
        return dict(found) if isinstance(found, Mapping) else {}

    def document(self) -> dict[str, Any]:
        """What the blend remembers of it."""
        return {
            "file": self.path.name,
            "sha256": self.sha256,
            "provenance": self.provenance,
            "licence": self.licence,
        }


def read_parent(path: str | Path) -> Parent:
    """Reads a generator for blending.

    Args:
        path: a model file or a run's folder, see `find_model`.

    Returns:
        The generator as NumPy arrays.

    Raises:
        UserError: there is no such model, or it is no generator.
    """
    file = find_model(path)
    model = read_model(file)
    if model.family not in BLENDABLE:
        raise UserError(
            f"{file} is a {model.family}, which does not blend: give models of the "
            f"family {' or '.join(BLENDABLE)}."
        )
    module = build_module(FAMILIES[model.family].MODULE, model.config, where=file)
    return Parent(file, sha256_of(file), model, config_of(module))


def check_parents(parents: Sequence[Parent]) -> None:
    """Refuses models that do not blend.

    Raises:
        UserError: the families, fields of the architecture (all that differ are
            listed) or tensors differ, or tensors do not fit the architecture.
    """
    base = parents[0]
    for other in parents[1:]:
        if other.model.family != base.model.family:
            raise UserError(
                f"{base.path} is a {base.model.family} and {other.path} a "
                f"{other.model.family}: only models of one architecture blend."
            )
        differing = [
            f"{name} {value!r} and {other.config[name]!r}"
            for name, value in base.config.items()
            if other.config[name] != value
        ]
        if differing:
            raise UserError(
                f"{base.path} and {other.path} differ in {'; '.join(differing)}: only "
                "models of one architecture blend."
            )
    shapes = FAMILIES[base.model.family].shapes(base.config, where=base.path)
    for parent in parents:
        found = flatten(parent.model.variables)
        wrong = sorted(set(shapes) ^ set(found)) + [
            name
            for name, want in shapes.items()
            if name in found
            and (
                np.shape(found[name]) != want.shape
                or not np.issubdtype(found[name].dtype, np.floating)
            )
        ]
        if wrong:
            raise UserError(
                f"the tensors of {parent.path} do not fit its config: missing, unknown "
                f"or of another shape or type are {', '.join(wrong)}."
            )


def lineage(base: Parent, other: Parent) -> dict[str, Any]:
    """Whether two models come from one parent, by their documents and by distance.

    Args:
        base: one of them.
        other: the other.

    Returns:
        JSON values: ``common_ancestor`` (SHA-256, or None where the documents tell of
        none), ``distance`` overall, ``layers`` (distance by layer) and ``related``.
    """
    distances = layer_distances(base.model.variables, other.model.variables)
    ancestor = common_ancestor(
        (base.sha256, base.provenance), (other.sha256, other.provenance)
    )
    return {
        "common_ancestor": ancestor,
        "distance": overall_distance(distances),
        "layers": distances,
        "related": ancestor is not None or not are_strangers(distances),
    }


def warning_of(base: Parent, other: Parent, found: Mapping[str, Any]) -> str | None:
    """A sentence for models that share no parent; None for those that do."""
    if found["related"]:
        return None
    return (
        f"{base.path} and {other.path} share no parent as far as their weights tell "
        f"(distance {found['distance']:.2f}; 0 is equal and 1 independent): their "
        "blend will likely draw nothing recognisable, so fine-tune one from the other."
    )


def same_file_note(base: Parent, other: Parent) -> str | None:
    """A sentence where both files have the same bytes, which blend to themselves."""
    if base.sha256 != other.sha256:
        return None
    if base.path.resolve() == other.path.resolve():
        return f"{base.path} is blended with itself, which changes nothing."
    return (
        f"{base.path} and {other.path} have the same bytes: blending the two "
        "changes nothing."
    )


def licence_of(parents: Sequence[Parent]) -> str:
    """The licence of a blend: every different licence of its parents."""
    licences = dict.fromkeys(parent.licence for parent in parents)
    if len(licences) == 1:
        return next(iter(licences))
    return "; ".join(f"{p.path.name}: {p.licence}" for p in parents)
