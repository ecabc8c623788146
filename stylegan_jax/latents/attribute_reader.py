"""What reads attributes such as a smile or an age from pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

# What an attribute's reading is: the probability that a picture has it, or a number.
KINDS = ("binary", "number")


class AttributeReader(Protocol):
    """Reads attributes from pictures; a network does so, or a measurement of pixels."""

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes."""
        ...

    @property
    def kinds(self) -> Mapping[str, str]:
        """``binary`` or ``number`` by attribute."""
        ...

    @property
    def document(self) -> Mapping[str, Any]:
        """What it is, as JSON values."""
        ...

    def read(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Reads all attributes.

        Args:
            pictures: [N, H, W, C] uint8.

        Returns:
            [N] float32 for each of `names`: a probability from 0 to 1 where it is
            binary, else a number in the unit of the data that it was learned from.
        """
        ...
