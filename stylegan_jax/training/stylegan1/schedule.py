"""When networks grow: stages, each with its resolution, batch and learning rate.

The run begins at a low resolution. Every later stage begins with the fading in of its
resolution and goes on with it alone (Karras et al. 2018, section 2 and figure 2).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from stylegan_jax.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Stage:
    """One resolution of a run; hashable.

    Attributes:
        blocks: blocks of the networks that are computed.
        num_blocks: blocks that the networks have.
        batch: images in the global batch.
        learning_rate: of both networks.
        begins: images at which it begins.
        fades: images in which its resolution fades in; 0 for at once.
        ends: images at which the next stage begins; None for the last stage.
    """

    blocks: int
    num_blocks: int
    batch: int
    learning_rate: float
    begins: int
    fades: int
    ends: int | None

    @property
    def resolution(self) -> int:
        """Nominal resolution, 4 * 2^i, whatever the base grid is."""
        return 2 << self.blocks

    @property
    def top_lod(self) -> int:
        """Level of detail once its resolution is there: a whole number."""
        return self.num_blocks - self.blocks

    @property
    def turns(self) -> tuple[int, ...]:
        """Images at which another phase begins: the fade's end, the next stage."""
        ends = () if self.ends is None else (self.ends,)
        return (self.begins + self.fades, *ends) if self.fades else ends

    def fade(self, nimg: jax.Array) -> jax.Array:
        """Share of the resolution below, float32 from 1 to 0; ``nimg`` is traced."""
        if not self.fades:
            return jnp.zeros_like(nimg, jnp.float32)
        gone = (nimg - self.begins).astype(jnp.float32) / self.fades
        return jnp.clip(1.0 - gone, 0.0, 1.0)

    def fade_at(self, nimg: int) -> float:
        """The same on the host."""
        if not self.fades:
            return 0.0
        return min(max(1.0 - (nimg - self.begins) / self.fades, 0.0), 1.0)


def make_schedule(
    resolutions: Sequence[int],
    *,
    start: int,
    train_kimg: Mapping[int, float],
    fade_kimg: Mapping[int, float],
    batch: Mapping[int, int],
    learning_rate: Mapping[int, float],
) -> tuple[Stage, ...]:
    """The stages of a run.

    Args:
        resolutions: nominal ones of all blocks, 4, 8, … .
        start: the first stage's.
        train_kimg: thousands of images with a resolution alone, by resolution.
        fade_kimg: thousands of images in which it fades in; the first one does not.
        batch: global batch.
        learning_rate: of both networks.
    """
    stages: list[Stage] = []
    begins = 0
    for number, resolution in enumerate(resolutions, 1):
        if resolution < start:
            continue
        fades = round(fade_kimg[resolution] * 1000) if stages else 0
        ends = begins + fades + round(train_kimg[resolution] * 1000)
        last = resolution == resolutions[-1]
        stages.append(
            Stage(
                number,
                len(resolutions),
                batch[resolution],
                learning_rate[resolution],
                begins,
                fades,
                None if last else ends,
            )
        )
        begins = ends
    return tuple(stages)


def stage_at(schedule: Sequence[Stage], nimg: int) -> Stage:
    """The stage that a run is in once ``nimg`` images are seen."""
    return [stage for stage in schedule if stage.begins <= nimg][-1]


def read_table(text: str, name: str, resolutions: Sequence[int]) -> dict[int, float]:
    """Reads a number for every resolution.

    Args:
        text: such as ``32,8:256,16:128``: 256 at 8, 128 at 16, and else 32.
        name: the configuration's key, for errors.
        resolutions: those that must have a number.

    Raises:
        UsageError: the text is not understood, or a resolution has no number; all
            offenders are named.
    """
    found: dict[int, float] = {}
    usual: float | None = None
    wrong = []
    for word in filter(None, (part.strip() for part in str(text).split(","))):
        key, colon, value = word.rpartition(":")
        try:
            number = float(value)
            side = int(key) if colon else 0
        except ValueError:
            number, side = math.nan, 0
        twice = side in found if colon else usual is not None
        sized = side >= 4 and side & (side - 1) == 0 if colon else True
        if not (math.isfinite(number) and number >= 0 and sized) or twice:
            wrong.append(f"'{word}'")
        elif colon:
            found[side] = number
        else:
            usual = number
    if wrong:
        raise UsageError(
            f"{name}='{text}' is not understood at {', '.join(wrong)}: give one number "
            "for all resolutions, or others for some of them, such as 32,8:256,16:128, "
            "each resolution once and a power of two from 4."
        )
    missing = [str(r) for r in resolutions if r not in found and usual is None]
    if missing:
        raise UsageError(
            f"{name}='{text}' has no number for the resolutions {', '.join(missing)}: "
            "add one without a resolution, which holds for all others."
        )
    return {r: found.get(r, usual if usual is not None else 0.0) for r in resolutions}
