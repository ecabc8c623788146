"""What ``blend`` did, for a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stylegan_jax.latents.generator_layers import MAPPING


def table(document: Mapping[str, Any]) -> str:
    """What `blend.blend_models` returned, as lines of text."""
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
