"""The files that say what a set of pairs is; docs/pairs.md describes them for people.

``manifest.json`` is about the set: how it was made, of which models. ``manifest.jsonl``
has one object per pair. Pictures of a pair have one name in the folders ``A`` and
``B``, or one index in ``A.arrayrecord`` and ``B.arrayrecord``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.errors import UserError

FORMAT = 1
KIND = "stylegan_jax.pairs"
STORAGES = ("folder", "arrayrecord")
SIDES = ("A", "B")
# Entries of manifest.json that may differ when a set is made again in its folder.
MAY_DIFFER = ("complete", "curation", "num")


def picture_name(index: int) -> str:
    """The name that the pictures of a pair have on both sides, without ending."""
    return f"{index:08d}"


def read_document(folder: Path) -> dict[str, Any] | None:
    """Reads ``manifest.json``.

    Args:
        folder: of the set.

    Returns:
        The document; None where there is none yet.

    Raises:
        UserError: it is damaged, or of another kind or version.
    """
    path = folder / "manifest.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): make the pairs in another folder."
        ) from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise UserError(f"{path} describes no pairs: choose another folder.")
    if found.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {found.get('format')!r} and this program knows "
            f"{FORMAT}: update stylegan_jax."
        )
    return found


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
        names = ("file", "source", "direction", "strength", "layers")
        known = [json.dumps(value[name]) for name in names if name in value]
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


def read_pairs(folder: str | Path, *, kept: bool = True) -> list[dict[str, Any]]:
    """Reads ``manifest.jsonl``.

    Args:
        folder: of the set.
        kept: leave out pairs whose ``keep`` is false.

    Returns:
        One object per pair, in the order of the file; see docs/pairs.md.

    Raises:
        UserError: there is none, a line is no pair, or an index comes twice.
    """
    path = Path(folder) / "manifest.jsonl"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} has no manifest.jsonl: is it a set of pairs, and complete?"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
    pairs: list[dict[str, Any]] = []
    seen: set[int] = set()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            pair = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} line {number} is no JSON ({error}).") from error
        fits = (
            isinstance(pair, dict)
            and type(pair.get("index")) is int
            and all(isinstance(pair.get(side.lower()), str) for side in SIDES)
            and isinstance(pair.get("keep", True), bool)
        )
        if not fits:
            raise UserError(
                f"{path} line {number} is no pair: it needs an index, a, b and keep."
            )
        if pair["index"] in seen:
            raise UserError(
                f"{path} line {number} has the index {pair['index']} a second time."
            )
        seen.add(pair["index"])
        if not kept or pair.get("keep", True):
            pairs.append(pair)
    return pairs


def line_of(
    index: int, seed: int, storage: str, scores: Mapping[str, float]
) -> dict[str, Any]:
    """The object of one pair.

    Args:
        index: of the pair in the set.
        seed: that both pictures were drawn from.
        storage: one of `STORAGES`.
        scores: by name.
    """
    name = picture_name(index)
    if storage == "folder":
        where = {side.lower(): f"{side}/{name}.png" for side in SIDES}
    else:
        where = {side.lower(): f"{side}.arrayrecord" for side in SIDES}
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


def counts(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many pairs there are, and how many are kept."""
    return {"pairs": len(lines), "kept": sum(bool(x["keep"]) for x in lines)}
