"""When something that happens every so many thousand images is due."""

from __future__ import annotations

import dataclasses


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
        if self.kimg <= 0:
            return False
        period = self.kimg * 1000.0
        return int(before / period) != int(now / period)
