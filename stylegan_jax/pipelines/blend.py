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
    check_parents,
    licence_of,
    lineage,
    read_parent,
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
        mapping: ``base`` or ``style``: which gives the mapping network and w_avg.
    """

    resolution: int | None = None
    alpha: float = 1.0
    width: float = 0.0
    ramp: str = "logistic"
    curve: Path | None = None
    parts: tuple[str, ...] | None = None
    mapping: str = "base"

    def shares(self, layers: Sequence[Layer]) -> dict[tuple[str, str], float]:
        """The share of every layer and part.

        Raises:
            UsageError: options contradict each other or are out of range, or the
                curve's file does not fit.
        """
        if self.mapping not in ("base", "style"):
            raise UsageError(
                f"the mapping comes from base or style, got {self.mapping}."
            )
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
        return trees.curve_shares(
            layers,
            read_curve(self.curve),
            where=self.curve,
            alpha=self.alpha,
            parts=self.parts,
            mapping=mapping,
        )

    def document(self) -> dict[str, Any]:
        """JSON values that say it again."""
        return {
            "resolution": None
            if self.curve
            else (DEFAULT_RESOLUTION if self.resolution is None else self.resolution),
            "alpha": self.alpha,
            "width": self.width,
            "ramp": self.ramp,
            "curve": read_curve(self.curve) if self.curve else None,
            "parts": list(self.parts) if self.parts else None,
            "mapping": self.mapping,
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
        BASE), ``lineage`` by file, ``licence`` and ``warnings``.

    Raises:
        UserError: the models do not blend, options are wrong, or ``out`` cannot be
            written or is one of the models.
    """
    out = check_out(out)
    recipe = recipe or Recipe()
    parents = [read_parent(path) for path in (base, style, *(x.model for x in others))]
    if any(out.exists() and out.samefile(parent.path) for parent in parents):
        raise UserError(f"{out} is one of the models: choose another name.")
    check_parents(parents)
    layers = generator_layers(parents[0].model.variables)
    shares = all_shares(layers, recipe, others)
    found = {str(p.path): lineage(parents[0], p) for p in parents[1:]}
    warnings = [warning_of(parents[0], p, found[str(p.path)]) for p in parents[1:]]
    licence = licence_of(parents)
    save_model(
        out,
        trees.blend([p.model.variables for p in parents], shares),
        family=parents[0].model.family,
        config=parents[0].config,
        provenance={
            "made_by": "blend",
            "recipe": recipe.document(),
            **({"with": [x.document() for x in others]} if others else {}),
            "parents": [parent.document() for parent in parents],
        },
        licence=licence,
    )
    return {
        "out": str(out),
        "parents": [
            {"path": str(p.path), "sha256": p.sha256, "licence": p.licence}
            for p in parents
        ],
        "map": layer_map(layers, shares, [f["layers"] for f in found.values()]),
        "lineage": found,
        "licence": licence,
        "warnings": [text for text in warnings if text],
    }


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
            own = Recipe(curve=other.share, mapping=recipe.mapping)
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


def table(document: Mapping[str, Any]) -> str:
    """What `blend_models` returned, for a screen."""
    base, *models = document["parents"]
    names = ["STYLE", *(f"+{i}" for i in range(1, len(models)))]
    lines = [f"BASE   {base['path']}"]
    for name, model in zip(names, models, strict=True):
        found = document["lineage"][model["path"]]
        told = found["common_ancestor"]
        kin = f", common ancestor {told[:12]}…" if told else ""
        lines.append(
            f"{name:<6} {model['path']}  (distance {found['distance']:.3f}{kin})"
        )
    heads = "".join(f"{name + ' share':>14}{'distance':>10}" for name in names)
    lines += ["", f"{'resolution':>10}  {'layer':<8}{'parts':<26}{heads}"]
    for row in document["map"]:
        for parts, values in _same_shares(row["parts"]):
            cells = "".join(
                f"{value:>14.3f}{'' if d is None else format(d, '.3f'):>10}"
                for value, d in zip(values, row["distance"], strict=True)
            )
            size = row["resolution"] or "-"
            lines.append(f"{size:>10}  {row['layer']:<8}{parts:<26}{cells}")
    lines += ["", f"mapping and w_avg: {mapping_words(document['map'])}"]
    lines += [f"licence: {document['licence']}"]
    return "\n".join(lines)


def mapping_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which model gives the mapping network and w_avg."""
    (shares,) = (row["parts"][MAPPING] for row in rows if row["name"] == MAPPING)
    whole = [i for i, share in enumerate(shares) if share == 1]
    if whole:
        return "from STYLE" if whole[0] == 0 else f"from +{whole[0]}"
    if not any(shares):
        return "from BASE"
    return "mixed, as the table says"


def _same_shares(
    parts: Mapping[str, Sequence[float]],
) -> list[tuple[str, Sequence[float]]]:
    """Parts of equal shares in one row."""
    grouped: dict[tuple[float, ...], list[str]] = {}
    for part, values in parts.items():
        grouped.setdefault(tuple(values), []).append(part)
    return [(" ".join(names), values) for values, names in grouped.items()]
