"""What a face space's training does when: phases as a function of the step.

One phase with all losses; then, without target propagation, as many cycles as asked
for, each at a tenth of the rate before; perhaps a last one that looks at pixels above
all. A phase begins with a fresh optimiser. The same compiled step does all of them.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Moment(NamedTuple):
    """What counts at a step; scalars.

    Attributes:
        rate: of both optimisers, as a share of their own.
        propagation: 1 in the first phase, else 0.
        pixel: factor of the pixel loss.
        fresh: whether the optimiser begins anew, bool.
    """

    rate: jax.Array
    propagation: jax.Array
    pixel: jax.Array
    fresh: jax.Array


@dataclasses.dataclass(frozen=True)
class Timeline:
    """The phases of a run.

    Attributes:
        steps: of a whole phase.
        cycles: phases behind the first.
        last: steps of the phase that looks at pixels; 0 without.
        anneal: what a phase's rate is of the one's before.
        boost: factor of the pixel loss in the last phase.
    """

    steps: int
    cycles: int
    last: int = 0
    anneal: float = 0.1
    boost: float = 100.0

    @property
    def starts(self) -> tuple[int, ...]:
        """The first step of every phase."""
        phases = 1 + self.cycles + bool(self.last)
        return tuple(i * self.steps for i in range(phases))

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return (1 + self.cycles) * self.steps + self.last

    def at(self, step: jax.Array) -> Moment:
        """What counts at a step, an int32 scalar; pure."""
        starts = jnp.asarray(self.starts, jnp.int32)
        phase = jnp.sum(step >= starts) - 1
        # The last phase goes on at the rate of the cycle before it.
        cooled = jnp.minimum(phase, self.cycles).astype(jnp.float32)
        is_last = (phase > self.cycles).astype(jnp.float32)
        return Moment(
            rate=jnp.float32(self.anneal) ** cooled,
            propagation=(phase == 0).astype(jnp.float32),
            pixel=1 + is_last * (self.boost - 1),
            fresh=jnp.any(step == starts),
        )
