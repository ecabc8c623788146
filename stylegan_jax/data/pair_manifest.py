"""What a set of pairs says of itself, read; docs/pairs.md describes it for people.

``manifest.json`` is about the set: how it was made, of which models. ``manifest.jsonl``
has one object per pair. Pictures of a pair have one name in the folders ``A`` and
``B``, or one index in ``A.arrayrecord`` and ``B.arrayrecord``. Some sets have a third
picture, ``C``, or maps of instances.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.errors import UserError

FORMAT = 1
KIND = "stylegan_jax.pairs"
STORAGES = ("folder", "arrayrecord")
SIDES = ("A", "B")
# A second edit or a second person; not every set has it.
THIRD = "C"
# Key and folder of maps of instances; not every set has them.
INSTANCES = "instances"
# Kind of side A where its pictures are maps of class numbers.
LABELS = "labels"


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
            and all(isinstance(pair.get(key, ""), str) for key in ("c", INSTANCES))
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


def sides(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The sides with pictures: ``A``, ``B`` and in some sets ``C``."""
    return (*SIDES, THIRD) if THIRD.lower() in document else SIDES


def has_labels(document: Mapping[str, Any]) -> bool:
    """Whether side A of a set holds label maps instead of pictures."""
    side = document.get("a")
    return isinstance(side, Mapping) and side.get("kind") == LABELS


def shapes(document: Mapping[str, Any]) -> dict[str, tuple[int, int, int]] | None:
    """The (H, W, C) of the pictures of every side, ``a``, ``b`` and perhaps ``c``.

    Args:
        document: of the set. ``image_shape`` is side B's; side A may have another
            number of channels, ``a.channels``.

    Returns:
        The shapes; None where the document does not say.
    """
    said = document.get("image_shape")
    if said is None:
        return None
    height, width, channels = said
    side = document.get("a")
    own = side.get("channels") if isinstance(side, Mapping) else None
    found = {side.lower(): (height, width, channels) for side in sides(document)}
    return {**found, "a": (height, width, own or channels)}


def counts(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many pairs there are, and how many are kept."""
    return {"pairs": len(lines), "kept": sum(bool(x["keep"]) for x in lines)}
