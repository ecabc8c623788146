"""When something that happens every so many thousand images is due."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Every:
    """A cadence in thousands of images.

    It has no memory: whether it is due follows from the two counts alone, so a resumed
    run keeps the cadence of the run it continues.

    Attributes:
        kimg: the period; 0 or less is never.
    """

    kimg: float

    def due(self, before: int, now: int) -> bool:
        """Whether a multiple of the period lies in (before, now], in images."""
        if self.kimg <= 0 or math.isinf(self.kimg):
            return False
        # In whole millionths of an image: 0.07 * 1000 is a little more than 70.
        period = max(round(self.kimg * 1e9), 1)
        return before * 10**6 // period != now * 10**6 // period
