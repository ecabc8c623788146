"""From a batch as the data has it to what the networks see."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from stylegan_jax.data.augment import pair_source, wild
from stylegan_jax.losses.translation import instance_edges
from stylegan_jax.training import rngs
from stylegan_jax.training.rngs import Draw
from stylegan_jax.training.run import Batch
from stylegan_jax.training.updates import to_model_range


@dataclasses.dataclass(frozen=True)
class Seen:
    """One batch on its way through the networks, float32.

    Attributes:
        x: [N, H, W, C] the generator's input, without features of instances.
        label: the same, what the discriminator sees beside a picture.
        target: [N, H, W, 3] in [-1, 1].
        shown: [N, H, W, C'] what stands in a blind spot.
        instances: [N, H, W] int, or None.
    """

    x: jax.Array
    label: jax.Array
    target: jax.Array
    shown: jax.Array
    instances: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What becomes of a batch.

    Attributes:
        labels: classes of the source's label maps; 0 for pictures.
        second: whether there is a picture of a second person.
        instances: whether there are maps of instances.
        mirror: whether pairs are mirrored, both halves alike.
        distortion: what photos from anywhere are like.
    """

    labels: int = 0
    second: bool = False
    instances: bool = False
    mirror: bool = False
    distortion: wild.Wild = wild.Wild()

    @property
    def channels(self) -> int:
        """Channels of the generator's input, without features of instances."""
        own = self.labels or 3
        return own + 3 * self.second + self.instances

    def __call__(self, batch: Batch, keys: jax.Array | None) -> Seen:
        """Brings a batch to where the networks want it.

        Args:
            batch: ``source``, ``target`` and perhaps ``second`` and ``instances``,
                uint8 as the data has them.
            keys: [N], one for each pair; None leaves out what is drawn at random.
        """
        target = to_model_range(batch["target"])
        source = batch["source"].astype(jnp.int32)
        if not self.labels:
            source = to_model_range(batch["source"])
        second = to_model_range(batch["second"]) if self.second else None
        maps = batch["instances"].astype(jnp.int32) if self.instances else None
        if keys is not None:
            given = [x for x in (source, second, maps) if x is not None]
            if self.mirror:
                target, *given = self._mirrored(target, given, keys)
            source, *given = given
            second = given.pop(0) if second is not None else None
            maps = given.pop(0) if maps is not None else None
            draws = rngs.split(keys, Draw.DISTORT)
            if maps is not None:
                # The same keys move them as their pictures.
                maps = wild.distort(draws, maps, target, self.distortion)[0]
            source, target, second = wild.distort(
                draws, source, target, self.distortion, second
            )
        return self._seen(source, target, second, maps)

    def _mirrored(self, target, given, keys):
        flips = rngs.split(keys, Draw.MIRROR)
        mirrored = [pair_source.mirror(x, target, flips, "together")[0] for x in given]
        return pair_source.mirror(target, target, flips, "together")[1], *mirrored

    def _seen(self, source, target, second, maps) -> Seen:
        shown = source
        if self.labels:
            source = pair_source.one_hot(source, self.labels)
            shown = target
        parts = [source]
        if second is not None:
            parts.append(second)
        numbers = None
        if maps is not None:
            numbers = maps[..., 0]
            parts.append(instance_edges(numbers))
        x = jnp.concatenate(parts, -1)
        return Seen(x, x, target, shown, numbers)
