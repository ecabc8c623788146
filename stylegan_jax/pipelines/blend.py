"""A model file that is blended of others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents import blend as trees
from stylegan_jax.latents.generator_layers import (
    MAPPING,
    SYNTHESIS_PARTS,
    Layer,
    generator_layers,
)
from stylegan_jax.pipelines.blend_parents import (
    Parent,
    check_parents,
    licence_of,
    lineage,
    read_parent,
    same_file_note,
    warning_of,
)

DEFAULT_RESOLUTION = 32
MAX_CURVE_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How STYLE's share is spread over the layers; see `latents.blend.step_shares`.

    Attributes:
        resolution: of the lowest block that STYLE gives; None means 32, and must be
            None with a curve.
        alpha: STYLE's share is multiplied with it.
        width: of the step in positions, two of which make a block; 0 is a hard one.
        ramp: ``logistic`` or ``linear``, the form of a step with a width.
        curve: a JSON file of shares instead of a step, see `latents.blend`.
        parts: the parts that STYLE gives; None means all of the synthesis network.
        mapping: ``base`` or ``style``: which gives the mapping network and w_avg. None
            means STYLE where ``parts`` or the curve name it, else BASE.
    """

    resolution: int | None = None
    alpha: float = 1.0
    width: float = 0.0
    ramp: str = "logistic"
    curve: Path | None = None
    parts: tuple[str, ...] | None = None
    mapping: str | None = None

    def shares(self, layers: Sequence[Layer]) -> dict[tuple[str, str], float]:
        """The share of every layer and part.

        Raises:
            UsageError: options contradict each other or are out of range, or the
                curve's file does not fit.
        """
        self._check_mapping()
        mapping = self.mapping == "style"
        if self.curve is None:
            resolution = self.resolution
            return trees.step_shares(
                layers,
                resolution=DEFAULT_RESOLUTION if resolution is None else resolution,
                alpha=self.alpha,
                width=self.width,
                ramp=self.ramp,
                parts=SYNTHESIS_PARTS if self.parts is None else self.parts,
                mapping=mapping,
            )
        if self.resolution is not None or self.width:
            raise UsageError(
                "a curve says the share of every layer: leave --resolution and --width "
                "out, or the curve."
            )
        curve = read_curve(self.curve)
        if self.mapping and isinstance(curve, Mapping) and MAPPING in curve:
            raise UsageError(
                f"the curve {self.curve} says mapping's share: leave --mapping "
                f"{self.mapping} out, or take mapping out of the curve."
            )
        return trees.curve_shares(
            layers,
            curve,
            where=self.curve,
            alpha=self.alpha,
            parts=self.parts,
            mapping=mapping,
        )

    def _check_mapping(self) -> None:
        if self.mapping not in ("base", "style", None):
            raise UsageError(
                f"the mapping comes from base or style, got {self.mapping}."
            )
        if self.mapping == "base" and MAPPING in (self.parts or ()):
            raise UsageError(
                "--parts takes mapping from STYLE and --mapping base from BASE: leave "
                "one of them out."
            )

    def document(self) -> dict[str, Any]:
        """JSON values that say it again."""
        curve = read_curve(self.curve) if self.curve else None
        named = "style" if MAPPING in (self.parts or ()) else "base"
        return {
            "resolution": None
            if self.curve
            else (DEFAULT_RESOLUTION if self.resolution is None else self.resolution),
            "alpha": self.alpha,
            "width": self.width,
            "ramp": self.ramp,
            "curve": curve,
            "parts": list(self.parts) if self.parts else None,
            # None: the curve says it.
            "mapping": None if curve and MAPPING in curve else self.mapping or named,
        }


@dataclasses.dataclass(frozen=True)
class Ingredient:
    """A model beside BASE and STYLE.

    Attributes:
        model: its file or a run's folder.
        share: its share wherever STYLE's recipe has the share 1, or a curve's file.
    """

    model: str
    share: float | Path

    def document(self) -> dict[str, Any]:
        """JSON values that say its share again."""
        if isinstance(self.share, Path):
            return {"curve": read_curve(self.share)}
        return {"share": self.share}


def read_curve(path: str | Path) -> Any:
    """Reads a curve's JSON.

    Raises:
        UsageError: it cannot be read, is no JSON, or a name comes twice.
    """
    try:
        text = Path(path).read_bytes()
        if len(text) > MAX_CURVE_BYTES:
            raise UsageError(f"{path} is too large for a curve: give a JSON file.")
        return json.loads(text, object_pairs_hook=_once)
    except OSError as error:
        raise UsageError(f"cannot read the curve {path}: {error.strerror}.") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"the curve {path} is no JSON ({error}).") from error


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated names, of which JSON would keep the last silently."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"the curve names {', '.join(twice)} more than once.")
    return dict(pairs)


def parse_ingredient(text: str) -> Ingredient:
    """Reads ``MODEL:SHARE`` or ``MODEL:CURVE.json``.

    Raises:
        UsageError: it is written otherwise.
    """
    model, colon, share = text.rpartition(":")
    if not colon or not model or not share:
        raise UsageError(
            f"'{text}' is no MODEL:SHARE_OR_CURVE: write it like third.safetensors:0.3."
        )
    try:
        value = float(share)
    except ValueError:
        return Ingredient(model, Path(share))
    trees.check_share(value, f"the share of {model}")
    return Ingredient(model, value)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A blend of which everything is checked and nothing is written yet.

    Attributes:
        out: the file to write.
        parents: BASE, STYLE and the further models.
        layers: of these generators.
        shares: of every model but BASE.
        provenance: how the blend is made, without its parents.
    """

    out: Path
    parents: Sequence[Parent]
    layers: Sequence[Layer]
    shares: Sequence[trees.Shares]
    provenance: Mapping[str, Any]

    def write(self) -> dict[str, Any]:
        """Writes the file; returns what `blend_models` does."""
        base, *models = self.parents
        found = {str(p.path): lineage(base, p) for p in models}
        warnings = [warning_of(base, p, found[str(p.path)]) for p in models]
        notes = [same_file_note(base, p) for p in models]
        licence = licence_of(self.parents)
        save_model(
            self.out,
            trees.blend([p.model.variables for p in self.parents], self.shares),
            family=base.model.family,
            config=base.config,
            provenance={
                **self.provenance,
                "parents": [parent.document() for parent in self.parents],
            },
            licence=licence,
        )
        distances = [found[str(p.path)]["layers"] for p in models]
        return {
            "out": str(self.out),
            "parents": [
                {"path": str(p.path), "sha256": p.sha256, "licence": p.licence}
                for p in self.parents
            ],
            "map": layer_map(self.layers, self.shares, distances),
            "lineage": found,
            "licence": licence,
            "warnings": [text for text in warnings if text],
            "notes": [text for text in notes if text],
        }


def plan_blend(
    base: str | Path,
    style: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | None = None,
    others: Sequence[Ingredient] = (),
) -> Plan:
    """Reads models and checks that they blend, as `blend_models` does before it writes.

    Returns:
        The blend, to be written.
    """
    out = check_out(out)
    recipe = recipe or Recipe()
    parents = [read_parent(path) for path in (base, style, *(x.model for x in others))]
    if any(out.exists() and out.samefile(parent.path) for parent in parents):
        raise UserError(f"{out} is one of the models: choose another name.")
    check_parents(parents)
    layers = generator_layers(parents[0].model.variables)
    shares = all_shares(layers, recipe, others)
    provenance = {
        "made_by": "blend",
        "recipe": recipe.document(),
        **({"with": [x.document() for x in others]} if others else {}),
    }
    return Plan(out, parents, layers, shares, provenance)


def blend_models(
    base: str | Path,
    style: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | None = None,
    others: Sequence[Ingredient] = (),
) -> dict[str, Any]:
    """Blends generators and writes the result as a model file.

    Args:
        base: the model whose layers stay where nobody else has a share.
        style: the model whose share the recipe says.
        out: the file to write; its name ends in ``.safetensors``.
        recipe: the shares; None means the blocks of at least 32 px whole.
        others: further models.

    Returns:
        JSON values: ``out``, ``parents``, ``map`` (for every layer its ``resolution``,
        ``layer``, ``name``, ``parts``: the shares by part, of one number per model but
        BASE), ``lineage`` by file, ``licence``, ``warnings`` and ``notes``.

    Raises:
        UserError: the models do not blend, options are wrong, or ``out`` cannot be
            written or is one of the models.
    """
    return plan_blend(base, style, out, recipe=recipe, others=others).write()


def check_out(out: str | Path) -> Path:
    """The path of the model file to write.

    Raises:
        UsageError: the name has another ending.
    """
    out = Path(out)
    if out.suffix != ".safetensors" or out.is_dir():
        raise UsageError(
            f"a blend is a model file: give a name ending in .safetensors, not {out}."
        )
    return out


def all_shares(
    layers: Sequence[Layer], recipe: Recipe, others: Sequence[Ingredient]
) -> list[dict[tuple[str, str], float]]:
    """The shares of STYLE and of every further model; raises as `Recipe.shares`.

    Raises:
        UserError: they sum to more than 1 somewhere.
    """
    shares = [recipe.shares(layers)]
    for other in others:
        if isinstance(other.share, Path):
            # Not the recipe's mapping, of which STYLE may have the whole share.
            own = Recipe(curve=other.share)
        else:
            own = dataclasses.replace(recipe, alpha=other.share)
        shares.append(own.shares(layers))
    trees.check_sum(shares)
    return shares


def layer_map(
    layers: Sequence[Layer],
    shares: Sequence[trees.Shares],
    distances: Sequence[Mapping[str, float]],
) -> list[dict[str, Any]]:
    """The position map: every layer with its parts, their shares and distances."""
    return [
        {
            "resolution": layer.resolution or None,
            "layer": layer.name.rpartition("/")[2],
            "name": layer.name,
            "position": layer.position if layer.name != MAPPING else None,
            "parts": {
                part: [share[layer.name, part] for share in shares]
                for part in layer.parts
            },
            "distance": [found.get(layer.name) for found in distances],
        }
        for layer in layers
    ]
