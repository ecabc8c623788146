"""Whether a picture shows what texts say: which of several fits it best."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from stylegan_jax.errors import UsageError

# Given RGB pictures: [pictures, texts] cosine similarities with texts it knows.
Scorer = Callable[[Sequence[Image.Image]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class TextFilter:
    """Texts that pictures should and should not be like.

    A similarity alone says little, since every picture has much the same one with any
    text. What counts is which text is nearer (zero-shot classification; Radford et al.
    2021).

    Attributes:
        keep: at least one text that a picture should be like.
        drop: at least one that it should not.
        model: what the similarities are from, for the record.
        scorer: gives them, with the texts of ``keep`` and then those of ``drop``.

    Raises:
        UsageError: no text of either kind, an empty one, or one that is of both kinds.
    """

    keep: tuple[str, ...]
    drop: tuple[str, ...]
    model: str
    scorer: Scorer

    def __post_init__(self) -> None:
        check_texts(self.keep, self.drop)

    def measure(self, images: Sequence[Image.Image]) -> list[dict[str, Any]]:
        """Measures pictures.

        Args:
            images: RGB.

        Returns:
            For each ``clip``, the best similarity with a text of ``keep`` less the best
            with one of ``drop`` (−2 to 2, in practice −0.2 to 0.2), and ``clip_text``,
            the text that it is most like.
        """
        texts = (*self.keep, *self.drop)
        found = np.asarray(self.scorer(images), np.float64).reshape(-1, len(texts))
        number = len(self.keep)
        margins = found[:, :number].max(axis=1) - found[:, number:].max(axis=1)
        return [
            {"clip": float(margin), "clip_text": texts[int(best)]}
            for margin, best in zip(margins, found.argmax(axis=1), strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"keep": list(self.keep), "drop": list(self.drop), "model": self.model}


def check_texts(keep: Sequence[str], drop: Sequence[str]) -> None:
    """Raises `UsageError` where texts cannot decide; see `TextFilter`."""
    if not keep or not drop:
        raise UsageError(
            "give texts of both kinds, --keep-text and --drop-text: only which of them "
            "fits better says something of a picture."
        )
    if not all(text.strip() for text in (*keep, *drop)):
        raise UsageError("a text is empty: say what a picture should be like.")
    both = sorted(set(keep) & set(drop))
    if both:
        raise UsageError(
            f"{', '.join(map(repr, both))} cannot be kept and dropped: change one."
        )
