"""Writing the files that say what a set of pairs is; docs/pairs.md describes them.

They are read by `stylegan_jax.data.pair_manifest`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.data.pair_manifest import SIDES, picture_name
from stylegan_jax.errors import UserError

# Entries of manifest.json that may differ when a set is made again in its folder.
MAY_DIFFER = ("complete", "confidence", "curation", "num")


def write_document(folder: Path, document: Mapping[str, Any]) -> None:
    """Writes ``manifest.json``, atomically."""
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
    write_text(folder / "manifest.json", text + "\n")


def check_same(
    folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuses to go on with pairs that were begun in another way.

    Args:
        folder: of the set.
        found: its document.
        wanted: the document that this call would write.

    Raises:
        UserError: entries differ (all are listed), or it has more pairs than asked
            for.
    """
    # As JSON has them: tuples become lists.
    wanted = json.loads(json.dumps(wanted))
    names = sorted({*found, *wanted} - {*MAY_DIFFER})
    differing = [name for name in names if found.get(name) != wanted.get(name)]
    if differing:
        said = "; ".join(
            f"{name} {_short(found.get(name))} and now {_short(wanted.get(name))}"
            for name in differing
        )
        # Only what is made again in seconds may be overwritten.
        replace = ", replace them (--overwrite)" if "made_from" in found else ""
        raise UserError(
            f"{folder} holds pairs that were begun otherwise ({said}): give the same "
            f"options{replace}, or choose another folder."
        )
    if found["num"] > wanted["num"]:
        raise UserError(
            f"{folder} is a set of {found['num']} pairs and {wanted['num']} are asked "
            "for: choose another folder for a smaller set."
        )


def _short(value: Any) -> str:
    if isinstance(value, Mapping):  # a side; its provenance would fill the screen
        names = ("file", "source", "kind", "direction", "strength", "layers",
                 "seed_offset")  # fmt: skip
        known = [json.dumps(value[name]) for name in names if name in value]
        if "channels" in value:
            known.append(f"channels {value['channels']}")
        mark = value.get("sha256", value.get("fingerprint"))
        return " ".join([*known, *([f"({_mark(str(mark))})"] if mark else [])])
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _mark(digest: str) -> str:
    """Enough of a fingerprint to tell two apart; names come first, samples last."""
    first, _, last = digest.partition("-")
    return f"{first[:12]}…" + (f"{last[-12:]}" if last else "")


def write_lines(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Writes ``manifest.jsonl``, atomically."""
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    write_text(folder / "manifest.jsonl", text)


def line_of(
    index: int,
    seed: int,
    storage: str,
    scores: Mapping[str, float],
    sides: Sequence[str] = SIDES,
) -> dict[str, Any]:
    """The object of one pair.

    Args:
        index: of the pair in the set.
        seed: that both pictures were drawn from.
        storage: one of `STORAGES`.
        scores: by name.
        sides: that have pictures, such as ``A`` and ``B``.
    """
    name = picture_name(index)
    if storage == "folder":
        where = {side.lower(): f"{side}/{name}.png" for side in sides}
    else:
        where = {side.lower(): f"{side}.arrayrecord" for side in sides}
    return {
        "index": index,
        "name": name,
        "seed": seed,
        **where,
        "w": index,  # row of w.npz
        "scores": dict(scores),
        "keep": True,
        "reasons": [],
    }
