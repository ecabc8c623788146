"""A face space's phase: a step ``(state, batch, key, frozen) -> (state, metrics)``.

Encoder and leaves are moved together, both by what they were before the step. Written
against the axis ``data`` (see ``spmd``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stylegan_jax.losses import faces as losses
from stylegan_jax.models.facespace import FaceSpace
from stylegan_jax.models.features import inputs
from stylegan_jax.training import optim, rngs, spmd
from stylegan_jax.training.facespace.state import (
    CODES,
    ENCODER,
    FaceSpaceState,
    Leaves,
)
from stylegan_jax.training.facespace.timeline import Moment, Timeline
from stylegan_jax.training.networks import VGG, Networks
from stylegan_jax.training.rngs import Draw, Stream
from stylegan_jax.training.run import Batch, Metrics
from stylegan_jax.training.updates import accumulate, to_model_range

B1, B2, EPS = 0.9, 0.999, 1e-8
# Larger pictures are looked at by feature networks at this side, as in the original.
LARGEST_LOOKED_AT = 256
# The losses of a picture, in the order in which they are reported.
PICTURE_LOSSES = ("vgg", "lpips", "pyramid", "pixel", "identity")


@dataclasses.dataclass(frozen=True)
class FaceSpaceHyper:
    """Numbers of a run.

    Attributes:
        batch: photos in the global batch.
        photos: how many there are.
        code_dim: numbers of a learned code; 0 where inputs are fixed.
        weights: weight of every loss that counts, by name: those of `PICTURE_LOSSES`,
            ``propagation``, ``pull`` and ``blend``.
        timeline: the phases.
        learning_rate: of the encoder and of learned codes.
        leaf_learning_rate: of the leaves.
        accumulate: parts that a device's share of the batch is processed in.
    """

    batch: int
    photos: int
    code_dim: int
    weights: Mapping[str, float]
    timeline: Timeline
    learning_rate: float = 1e-2
    leaf_learning_rate: float = 1e-2
    accumulate: int = 1


def make_optimiser() -> optax.GradientTransformation:
    """Adam without its rate, which the step knows."""
    return optax.scale_by_adam(B1, B2, EPS)


class Losses:
    """What latents draw, and how far it is from the photos."""

    def __init__(self, module: FaceSpace, hyper: FaceSpaceHyper, networks: Networks):
        """Args: encoder and generator, the numbers, the frozen networks' modules."""
        self.module, self.hyper, self.networks = module, hyper, networks

    def codes(self, params: Any, frozen: Any) -> jax.Array:
        """The input of each photo [N, input_dim]."""
        if not self.hyper.code_dim:
            return frozen["inputs"]
        return with_constant(params[CODES])

    def encode(self, params: Any, v: jax.Array) -> jax.Array:
        """Maps inputs to latents [n, num_ws or 1, w_dim]."""
        encoder: Any = self.module.encoder
        w: jax.Array = encoder.apply({"params": params[ENCODER]}, v)
        return w

    def draw(self, frozen: Any, w: jax.Array) -> jax.Array:
        """Draws latents [n, num_ws or 1, w_dim], without noise."""
        generator: Any = self.module.generator
        shape = (len(w), generator.num_ws, generator.w_dim)
        x: jax.Array = generator.apply(
            frozen["generator"],
            jnp.broadcast_to(w, shape),
            noise_mode="none",
            method="synthesis",
        )
        return losses.shown(x)

    def compare(self, frozen: Any, x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        """The losses [n] of pictures against photos whose weight is not 0, by name."""
        found, weights = {}, self.hyper.weights
        networks = frozen["networks"]
        if "vgg" in weights:
            found["vgg"] = self._vgg(networks, looked_at(x), looked_at(y))
        if "lpips" in weights:
            found["lpips"] = self.networks.lpips(networks, looked_at(x), looked_at(y))
        if "pyramid" in weights:
            found["pyramid"] = losses.pyramid(x, y)
        if "pixel" in weights:
            found["pixel"] = losses.pixel(x, y)
        if "identity" in weights:
            found["identity"] = self.networks.identity(networks, x, y)
        return found

    def _vgg(self, networks: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        def features(pictures: jax.Array) -> Any:
            module = self.networks.opened[VGG].module
            pictures = inputs.imagenet(pictures)
            return module.apply(networks[VGG], pictures, losses.VGG_TAPS)

        return losses.feature(features(x), features(y))

    def weigh(self, found: Mapping[str, jax.Array], pixel: jax.Array) -> jax.Array:
        """The weighted sum of the means; ``pixel`` is a factor of that loss."""
        weights = self.hyper.weights
        parts = [
            weights[name] * jnp.mean(value) * (pixel if name == "pixel" else 1.0)
            for name, value in found.items()
        ]
        return sum(parts, jnp.zeros(()))


def with_constant(codes: jax.Array) -> jax.Array:
    """Learned codes [N, D] as inputs [N, D + 1]: a constant 1 behind each.

    Of an input only ratios count. Without something to compare with, a code of one
    number could tell two faces apart and no more.
    """
    return jnp.concatenate([codes, jnp.ones_like(codes[:, :1])], 1)


def looked_at(x: jax.Array) -> jax.Array:
    """Pictures [N, H, W, C] as feature networks see them: a side of 256 at most."""
    height, width = x.shape[1:3]
    longer = max(height, width)
    if longer <= LARGEST_LOOKED_AT:
        return x
    sides = [round(side * LARGEST_LOOKED_AT / longer) for side in (height, width)]
    shape = (x.shape[0], *sides, x.shape[3])
    return jax.image.resize(x, shape, "bilinear", antialias=False)


def make_step(own: Losses):
    """The step that trains encoder, codes and leaves."""
    hyper = own.hyper
    optimiser = make_optimiser()

    def step(
        state: FaceSpaceState, batch: Batch, key: jax.Array, frozen: Any
    ) -> tuple[FaceSpaceState, Metrics]:
        now = hyper.timeline.at(state.step)
        # Every tree that meets local data is made varying, see ``spmd``.
        local, local_frozen, local_now = spmd.varying((state, frozen, now))

        def gradient(trained, local_state, part, key):
            given = _Given(own, part, key, local_state.step, local_frozen, local_now)
            return jax.grad(given.loss, has_aux=True)(trained)

        trained = (local.params, local.leaves.w)
        found = accumulate(gradient, trained, local, batch, key, hyper.accumulate)
        seen = jnp.zeros(hyper.photos).at[batch["label"]].add(1.0)
        (gradients, aux), seen = spmd.mean((found, seen))
        gradients, bad = optim.replace_nonfinite(gradients)
        opt = jax.tree.map(lambda x: jnp.where(now.fresh, 0, x), state.opt)
        updates, opt = optimiser.update(gradients[0], opt)
        rate = hyper.learning_rate * now.rate
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        leaves = state.leaves
        if "propagation" in hyper.weights:
            moved = (seen > 0) & (now.propagation > 0)
            leaf_rate = hyper.leaf_learning_rate * now.rate
            leaves = move_leaves(leaves, gradients[1], moved, leaf_rate)
        metrics = {**aux, "nonfinite/facespace": bad, "schedule/rate": rate}
        return state.replace(params=params, opt=opt, leaves=leaves), metrics

    return step


class _Given:
    """The loss of one part of a batch."""

    def __init__(
        self,
        own: Losses,
        batch: Batch,
        key: jax.Array,
        step: jax.Array,
        frozen: Any,
        now: Moment,
    ):
        self._own, self._frozen, self._now = own, frozen, now
        self._label = batch["label"]
        self._target = to_model_range(batch["image"])
        keys = rngs.sample_keys(key, Stream.FACESPACE, step, batch["index"])
        self._keys = rngs.split(keys, Draw.BLEND)

    def loss(self, trained: Any) -> tuple[jax.Array, Metrics]:
        """Of (params, leaves): their gradients do not meet."""
        params, leaves = trained
        own, frozen, weights = self._own, self._frozen, self._own.hyper.weights
        codes = own.codes(params, frozen)
        w = own.encode(params, codes[self._label])
        found = own.compare(frozen, own.draw(frozen, w), self._target)
        total = own.weigh(found, self._now.pixel)
        metrics = {f"loss/{name}": jnp.mean(value) for name, value in found.items()}
        if "propagation" in weights:
            leaf = leaves[self._label]
            apart = jnp.mean(losses.pull(w, jax.lax.stop_gradient(leaf)))
            total += weights["propagation"] * self._now.propagation * apart
            total += self._leaf_loss(leaf)
            metrics["loss/propagation"] = apart
        w_avg = frozen["w_avg"]
        if "pull" in weights:
            pull = jnp.mean(losses.pull(w, w_avg))
            total += weights["pull"] * pull
            metrics["loss/pull"] = pull
        if "blend" in weights:
            blend = jnp.mean(self._blend_loss(params, codes))
            total += weights["blend"] * blend
            metrics["loss/blend"] = blend
        return total, {"loss/facespace": total, **metrics}

    def _leaf_loss(self, leaf: jax.Array) -> jax.Array:
        """What the leaves' own pictures lose; nothing once they are not sought."""
        own, frozen = self._own, self._frozen

        def loss(leaf: jax.Array) -> jax.Array:
            found = own.compare(frozen, own.draw(frozen, leaf), self._target)
            return own.weigh(found, jnp.ones(()))

        def nothing(leaf: jax.Array) -> jax.Array:
            return 0.0 * jnp.sum(leaf)

        return jax.lax.cond(self._now.propagation > 0, loss, nothing, leaf)

    def _blend_loss(self, params: Any, codes: jax.Array) -> jax.Array:
        """How far blends are from the straight way between the faces: [n]."""
        shares = jax.vmap(lambda key: jax.random.dirichlet(key, jnp.ones(len(codes))))(
            self._keys
        )
        own = self._own
        middle = own.encode(params, shares @ codes)
        ends = own.encode(params, codes)
        straight = jnp.einsum("ni,i...->n...", shares, ends)  # [n,num_ws,w_dim]
        return losses.pull(middle, straight)


def move_leaves(
    leaves: Leaves, gradient: jax.Array, moved: jax.Array, rate: jax.Array
) -> Leaves:
    """One step of Adam for the leaves whose photo was in the batch; others rest.

    Args:
        leaves: of all photos.
        gradient: [N, num_ws or 1, w_dim].
        moved: [N] bool.
        rate: scalar.
    """
    count = leaves.count + moved
    rows = moved[:, None, None]
    mu = jnp.where(rows, B1 * leaves.mu + (1 - B1) * gradient, leaves.mu)
    nu = jnp.where(rows, B2 * leaves.nu + (1 - B2) * jnp.square(gradient), leaves.nu)
    number = jnp.maximum(count, 1).astype(jnp.float32)[:, None, None]
    step = (mu / (1 - B1**number)) / (jnp.sqrt(nu / (1 - B2**number)) + EPS)
    w = jnp.where(rows, leaves.w - rate * step, leaves.w)
    return Leaves(w=w, mu=mu, nu=nu, count=count)


def end_step(state: FaceSpaceState, hyper: FaceSpaceHyper) -> FaceSpaceState:
    """Moves the counters."""
    return state.replace(step=state.step + 1, nimg=state.nimg + hyper.batch)
