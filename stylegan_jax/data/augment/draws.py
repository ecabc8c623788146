"""Where an operation's random numbers come from: an image's key, or a percentile.

Both classes answer for one image and have the same methods; the pipeline runs them
under ``vmap``. Each operation has its own number, so that switching one on or off
changes no other's draws.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Protocol

import jax
import jax.numpy as jnp
from jax.scipy.special import erfinv


class Op(enum.IntEnum):
    """What a draw is for. The numbers are part of a run: never reuse one."""

    XFLIP = 0
    ROTATE90 = 1
    XINT = 2
    SCALE = 3
    PRE_ROTATE = 4
    ANISO = 5
    POST_ROTATE = 6
    XFRAC = 7
    BRIGHTNESS = 8
    CONTRAST = 9
    LUMAFLIP = 10
    HUE = 11
    SATURATION = 12
    IMGFILTER = 13
    NOISE = 14
    CUTOUT = 15
    NOISE_PIXELS = 16


class Draws(Protocol):
    """One image's random numbers."""

    def uniform(self, op: Op, shape: tuple[int, ...] = ()) -> jax.Array:
        """Uniform on [0, 1), float32."""

    def normal(self, op: Op, shape: tuple[int, ...] = ()) -> jax.Array:
        """Standard normal, float32."""

    def half_normal(self, op: Op) -> jax.Array:
        """Absolute value of a standard normal, float32 scalar."""

    def happens(
        self, op: Op, probability: jax.Array, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """True with ``probability``, independent of the operation's other draws."""


@dataclasses.dataclass(frozen=True)
class KeyDraws:
    """Random numbers from an image's own key.

    Attributes:
        key: scalar key.
    """

    key: jax.Array

    def _key(self, op: Op, part: int) -> jax.Array:
        return jax.random.fold_in(self.key, 2 * int(op) + part)

    def uniform(self, op: Op, shape: tuple[int, ...] = ()) -> jax.Array:
        """Uniform on [0, 1), float32."""
        return jax.random.uniform(self._key(op, 0), shape, jnp.float32)

    def normal(self, op: Op, shape: tuple[int, ...] = ()) -> jax.Array:
        """Standard normal, float32."""
        return jax.random.normal(self._key(op, 0), shape, jnp.float32)

    def half_normal(self, op: Op) -> jax.Array:
        """Absolute value of a standard normal, float32 scalar."""
        return jnp.abs(self.normal(op))

    def happens(
        self, op: Op, probability: jax.Array, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """True with ``probability``, independent of the operation's other draws."""
        draw = jax.random.uniform(self._key(op, 1), shape, jnp.float32)
        return draw < probability


@dataclasses.dataclass(frozen=True)
class PercentileDraws:
    """Every draw replaced by one percentile, and every operation happening.

    For comparing with StyleGAN2-ADA's debug mode, whose conventions these are: a
    "normal" percentile is erfinv(2q - 1), without the factor sqrt(2), and of the two
    rotations only the first happens.

    Attributes:
        percentile: q, in (0, 1).
    """

    percentile: jax.Array | float

    def uniform(self, op: Op, shape: tuple[int, ...] = ()) -> jax.Array:
        """The percentile itself."""
        del op
        return jnp.full(shape, self.percentile, jnp.float32)

    def normal(self, op: Op, shape: tuple[int, ...] = ()) -> jax.Array:
        """erfinv(2q - 1)."""
        del op
        q = jnp.asarray(self.percentile, jnp.float32)
        return jnp.full(shape, erfinv(2.0 * q - 1.0))

    def half_normal(self, op: Op) -> jax.Array:
        """erfinv(q)."""
        del op
        return erfinv(jnp.asarray(self.percentile, jnp.float32))

    def happens(
        self, op: Op, probability: jax.Array, shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """True, but for the second rotation."""
        del probability
        return jnp.full(shape, op is not Op.POST_ROTATE)
