"""What augments the discriminator's images, and how its probability p moves.

One ``Augmentation`` holds the plain numbers of a run; one ``AugmentState``, part of the
training state and of every checkpoint, holds what changes. In a step::

    fake = augmentation.apply(fake, keys, state.augment)     # wherever D looks
    ...                                                      # after d_main:
    augment = augmentation.observe(state.augment, real_sign) # mean sign(D(real))
    ...                                                      # at the end of the step:
    augment = augmentation.adapt(augment, batch)

``real_sign`` must be the mean over the global batch, so that every device has the same
p. Reals and fakes need keys of their own.
"""

from __future__ import annotations

import dataclasses
import math

import flax.struct
import jax
import jax.numpy as jnp

from stylegan_jax.data.augment import (
    AugmentSpec,
    augment,
    diffaugment,
    make_spec,
    parse_policy,
)
from stylegan_jax.errors import UsageError

MODES = ("none", "ada", "fixed", "diffaugment")

# p within this share of its ceiling is worth a word: the discriminator asks for more
# augmentation than it may have.
_NEAR = 0.95
# Beyond this, augmentations begin to show in the generated pictures (Karras et al.
# 2020, section 3.1 and Figure 3).
_LEAKS_ABOVE = 0.8


class AugmentState(flax.struct.PyTreeNode):
    """What of the augmentation changes while training.

    Attributes:
        p: float32 scalar, probability multiplier.
        sign_sum: float32 scalar, sum of the batches' means of sign(D(real)) since p
            last moved.
        batches: int32 scalar, how many batches are in it.
    """

    p: jax.Array
    sign_sum: jax.Array
    batches: jax.Array


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The augmentation of a run; hashable.

    Attributes:
        mode: ``none``; ``ada``, p follows the discriminator; ``fixed``, p stays;
            ``diffaugment``, every image by ``policy``, without a p.
        spec: operations of ``ada`` and ``fixed``.
        policy: operations of ``diffaugment``, e.g. ``color,translation,cutout``.
        p: where p starts (``ada``) or stays (``fixed``).
        target: p rises while the mean of sign(D(real)) is above it, and else falls
            (Karras et al. 2020, r_t in section 3).
        interval: batches between two moves of p.
        kimg: thousands of images in which p can move by 1.
        ceiling: p never goes beyond it.

    Raises:
        UsageError: for a value out of range.
    """

    mode: str = "none"
    spec: AugmentSpec = AugmentSpec()
    policy: str = "color,translation,cutout"
    p: float = 0.0
    target: float = 0.6
    interval: int = 4
    kimg: float = 500.0
    ceiling: float = 0.8

    def __post_init__(self) -> None:
        """Refuses values out of range, all offenders in one sentence."""
        wrong = []
        if self.mode not in MODES:
            wrong.append(
                f"augment.mode='{self.mode}' must be one of {', '.join(MODES)}"
            )
        for name in ("p", "ceiling"):
            if not 0 <= getattr(self, name) <= 1:
                wrong.append(
                    f"augment.{name}={getattr(self, name)} must be from 0 to 1"
                )
        if not -1 <= self.target <= 1:
            wrong.append(f"augment.target={self.target} must be from -1 to 1")
        if self.interval < 1:
            wrong.append(f"augment.interval={self.interval} must be at least 1")
        if not (math.isfinite(self.kimg) and self.kimg > 0):
            wrong.append(f"augment.kimg={self.kimg} must be finite and above 0")
        if self.mode == "ada" and self.p > self.ceiling:
            wrong.append(
                f"augment.p={self.p} must not be above augment.ceiling={self.ceiling}"
            )
        if wrong:
            raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")
        parse_policy(self.policy)

    @property
    def active(self) -> bool:
        """Whether images are changed at all."""
        return self.mode != "none"

    def init(self) -> AugmentState:
        """The state at the start of a run, also where nothing is augmented."""
        start = self.p if self.mode in ("ada", "fixed") else 0.0
        return AugmentState(
            p=jnp.full((), start, jnp.float32),
            sign_sum=jnp.zeros((), jnp.float32),
            batches=jnp.zeros((), jnp.int32),
        )

    def apply(
        self, images: jax.Array, keys: jax.Array, state: AugmentState
    ) -> jax.Array:
        """Augments what the discriminator is about to see.

        Args:
            images: [N, H, W, C] float32 in [-1, 1].
            keys: [N] keys, one for each image.
            state: holds p.

        Returns:
            [N, H, W, C] float32.
        """
        if self.mode == "none":
            return images
        if self.mode == "diffaugment":
            return diffaugment(images, keys, self.policy)
        p = self.p if self.mode == "fixed" else state.p
        return augment(images, keys, p, self.spec)

    def observe(self, state: AugmentState, real_sign: jax.Array) -> AugmentState:
        """Notes one batch's mean of sign(D(real)), over the global batch.

        A mean that is not finite (a step that broke down) is left out.
        """
        good = jnp.isfinite(real_sign)
        return state.replace(
            sign_sum=state.sign_sum + jnp.where(good, real_sign, 0.0),
            batches=state.batches + good.astype(jnp.int32),
        )

    def adapt(self, state: AugmentState, batch: int) -> AugmentState:
        """Moves p once ``interval`` batches are noted, and forgets them.

        p goes up or down by batch * interval / (kimg * 1000) and stays in
        [0, ceiling]. DIFF(nv): there p may pass 1, after which every image is augmented
        and the pictures show it. Does nothing in the modes other than ``ada``.

        Args:
            state: with the batches noted since p last moved.
            batch: images in the global batch.
        """
        if self.mode != "ada":
            return self.init()
        due = state.batches >= self.interval
        mean = state.sign_sum / jnp.maximum(state.batches, 1)
        step = batch * self.interval / (self.kimg * 1000.0)
        moved = jnp.clip(
            state.p + jnp.sign(mean - self.target) * step, 0.0, self.ceiling
        )
        return AugmentState(
            p=jnp.where(due, moved, state.p),
            sign_sum=jnp.where(due, 0.0, state.sign_sum),
            batches=jnp.where(due, 0, state.batches),
        )

    def warning(self, p: float) -> str | None:
        """What a person should know about this p; None where all is well."""
        if self.mode == "ada" and self.ceiling > 0 and p >= _NEAR * self.ceiling:
            return (
                f"The augmentation probability is {p:.2f}, at its ceiling of "
                f"{self.ceiling:g}: the discriminator remembers the training set, so "
                "expect no more from longer training, and prefer an earlier snapshot "
                "or more pictures."
            )
        if self.mode == "fixed" and p > _LEAKS_ABOVE:
            return (
                f"The augmentation probability is fixed at {p:.2f}: above "
                f"{_LEAKS_ABOVE:g} augmentations may show in the generated pictures."
            )
        return None


def make_augmentation(
    mode: str,
    *,
    pipe: str = "bgc",
    mirror: bool = False,
    finetune: bool = False,
    kimg: float | None = None,
    **numbers,
) -> Augmentation:
    """An augmentation from a configuration's plain values.

    Args:
        mode: one of ``MODES``.
        pipe: name of the pipeline, see ``data.augment.PIPES``.
        mirror: whether the training set is mirrored; else ``xflip`` is left out.
        finetune: whether the run starts from a trained model: p then moves five times
            as fast unless ``kimg`` is given, as in StyleGAN2-ADA.
        kimg: thousands of images in which p can move by 1; None to derive it.
        **numbers: further fields of ``Augmentation``.

    Raises:
        UsageError: for a value out of range.
    """
    if kimg is None:
        kimg = 100.0 if finetune else 500.0
    wrong, spec, made = [], AugmentSpec(), None
    try:
        spec = make_spec(pipe, mirror=mirror)
    except UsageError as error:
        wrong.append(str(error))
    try:
        made = Augmentation(mode=mode, spec=spec, kimg=kimg, **numbers)
    except UsageError as error:
        wrong.append(str(error))
    if wrong or made is None:
        raise UsageError(" ".join(wrong))
    return made
