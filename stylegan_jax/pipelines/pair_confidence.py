"""Keeping the pairs on which a reader of attributes sees that the edit worked.

Not every face follows a direction, and a student of pairs that show no change learns to
change little. The paper on distilling StyleGAN2 (Viazovetskyi et al. 2020, section 3)
has a classifier choose: only pairs on which it is confident make the training set.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.attribute_readers import (
    check_attributes,
    open_reader,
    reader_document,
)
from stylegan_jax.pipelines.pair_scores import rounded

# Entries of manifest.json's ``confidence`` that judging needs, and their types.
_ENTRY: dict[str, Any] = {
    "attribute": str,
    "kind": str,
    "least": (int, float),
    "sign": int,
    "from_opposite": bool,
    "reader": dict,
    "judged": int,
}


@dataclasses.dataclass(frozen=True)
class Confidence:
    """Which pairs are kept.

    Attributes:
        reader: what reads attributes; see `attribute_readers.open_reader`.
        attribute: its name.
        least: for an attribute that a picture has or has not, the least probability
            that B has it (has it not, where the strength is negative), and that C has
            it not. For a number, the least change from A to B (and from A to C the
            other way), in standard deviations of the set's sides A.
        from_opposite: whether A must be on the other side too, so that every pair
            shows the whole change.
    """

    reader: str
    attribute: str
    least: float = 0.9
    from_opposite: bool = False

    def check(self, kind: str) -> None:
        """Raises `UsageError` where a value makes no sense.

        Args:
            kind: ``binary`` or ``number``, of the attribute.
        """
        most = 1.0 if kind == "binary" else math.inf
        if not 0 <= self.least <= most or math.isinf(self.least):
            what = "a probability from 0 to 1" if kind == "binary" else "0 or more"
            raise UsageError(
                f"the confidence for {self.attribute} is {what}, got {self.least:g}."
            )
        if self.from_opposite and kind != "binary":
            raise UsageError(
                f"{self.attribute} is a number and has no opposite: leave "
                "--from-opposite out."
            )


class Readings:
    """Scores of pairs by a reader.

    Attributes:
        entry: what ``manifest.json`` says, but for ``judged``.
        record: the beginning of the names of files that keep the scores.
        names: the scores of a pair.
        sides: the pictures that `score` takes, ``a`` and so on.
    """

    def __init__(self, asked: Confidence, document: Mapping[str, Any]):
        """Opens the reader.

        Args:
            asked: which pairs are kept.
            document: of the set, as far as it says of the sides.

        Raises:
            UserError: no such reader or attribute, or pairs of a mix, which have no
                attribute to be confident of.
        """
        if document["b"].get("kind") == "mix":
            raise UsageError(
                "a mix of two people is to have no attribute: leave --keep-confident "
                "out."
            )
        self._reader = open_reader(asked.reader)
        self._attribute = asked.attribute
        check_attributes(self._reader, [asked.attribute], asked.reader)
        kind = self._reader.kinds[asked.attribute]
        asked.check(kind)
        self.entry: dict[str, Any] = {
            "attribute": asked.attribute,
            "kind": kind,
            "least": asked.least,
            "from_opposite": asked.from_opposite,
            "sign": -1 if document["b"].get("strength", 1) < 0 else 1,
            "reader": reader_document(asked.reader, self._reader),
        }
        self.record = record_of(self.entry)
        self.sides = ("a", "b", "c") if "c" in document else ("a", "b")
        self.names = tuple(_name(asked.attribute, side) for side in self.sides)

    def score(self, *pictures: np.ndarray) -> list[dict[str, float | None]]:
        """Reads pairs.

        Args:
            *pictures: [N, H, W, C] uint8 of every side.

        Returns:
            For every pair its readings by `names`; None where there is none.
        """
        columns = [self._reader.read(side)[self._attribute] for side in pictures]
        return [
            {
                name: rounded(value) if np.isfinite(value) else None
                for name, value in zip(self.names, row, strict=True)
            }
            for row in zip(*columns, strict=True)
        ]


def record_of(entry: Mapping[str, Any]) -> str:
    """The beginning of the names of files that keep a reader's readings."""
    text = json.dumps([entry["attribute"], entry["reader"]], sort_keys=True)
    return f"readings-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def confidence_of(out: Path, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Reads what the pairs of a set were chosen by.

    Args:
        out: folder of the set, for what is said.
        document: of the set.

    Returns:
        The entry, with ``judged``, the number of pairs that it judged; None where there
        is none.

    Raises:
        UserError: the entry is damaged.
    """
    found = document.get("confidence")
    if found is None:
        return None
    wrong = [
        name
        for name, kind in _ENTRY.items()
        if not isinstance(found, dict) or not isinstance(found.get(name), kind)
    ]
    if wrong:
        raise UserError(
            f"{out}/manifest.json has a damaged entry, confidence ({', '.join(wrong)}):"
            " remove it and give --keep-confident anew."
        )
    return dict(found)


def reasons_of(
    lines: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]
) -> list[list[str]]:
    """Says of every pair why it is left out.

    Args:
        lines: of a manifest, with the scores of `Readings`.
        entry: of the set.

    Returns:
        Sentences for every line; none where it is kept.

    Raises:
        UserError: pairs without readings (all are listed).
    """
    sides = [side for side in "abc" if all(side in line for line in lines)]
    names = {side: _name(entry["attribute"], side) for side in sides}
    unread = [
        str(line["index"])
        for line in lines
        if not {*names.values()} <= line["scores"].keys()
    ]
    if unread:
        raise UserError(
            f"there is no reading of {entry['attribute']} in the pairs "
            f"{', '.join(unread)}: give --keep-confident and --reader again."
        )
    found = [{s: line["scores"][names[s]] for s in sides} for line in lines]
    ways = {"a": -entry["sign"], "b": entry["sign"], "c": -entry["sign"]}
    if entry["kind"] == "binary":
        asked = [s for s in sides if s != "a" or entry["from_opposite"]]
        return [_unsure(entry, readings, ways, asked) for readings in found]
    before = [x["a"] for x in found if x["a"] is not None]
    spread = float(np.std(before)) if before else 0.0
    return [_unmoved(entry, readings, ways, spread) for readings in found]


def describe(entry: Mapping[str, Any]) -> str:
    """What is asked, as the end of a sentence for people."""
    name, least = entry["attribute"], f"{entry['least']:g}"
    if entry["kind"] == "binary":
        side = "not " if entry["sign"] < 0 else ""
        more = ", coming from the other side" if entry["from_opposite"] else ""
        return f"{name}: B is {side}so with a confidence of at least {least}{more}"
    way = "falls" if entry["sign"] < 0 else "grows"
    return f"{name} {way} from A to B by at least {least} of its spread over sides A"


def _unsure(entry, readings, ways, asked) -> list[str]:
    reasons = []
    for side in asked:
        value = readings[side]
        if value is None:
            reasons.append(_unread(entry, side))
            continue
        confidence = value if ways[side] > 0 else 1 - value
        if confidence < entry["least"]:
            wanted = "is" if ways[side] > 0 else "is not"
            reasons.append(
                f"{side.upper()} {wanted} {entry['attribute']} with a confidence of "
                f"{confidence:.3f}, below {entry['least']:g}"
            )
    return reasons


def _unmoved(entry, readings, ways, spread) -> list[str]:
    reasons = [_unread(entry, side) for side, x in readings.items() if x is None]
    if reasons:
        return reasons
    least = entry["least"] * spread
    for side in readings.keys() - {"a"}:
        change = (readings[side] - readings["a"]) * ways[side]
        # Without any spread nothing has changed either.
        if change <= 0 or change < least:
            reasons.append(
                f"{entry['attribute']} changes by {change * ways[side]:.3g} from A to "
                f"{side.upper()}, and {least * ways[side]:.3g} is the least"
            )
    return sorted(reasons)


def _unread(entry: Mapping[str, Any], side: str) -> str:
    return f"{entry['attribute']} of {side.upper()} cannot be read"


def _name(attribute: str, side: str) -> str:
    return f"reading_{attribute}_{side}"
