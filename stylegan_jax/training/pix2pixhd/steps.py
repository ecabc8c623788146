"""pix2pixHD's one phase ``(state, batch, key, networks) -> (state, metrics)``.

Wang et al. 2018, section 3. Generator and discriminator are moved at once, both by what
they were before the step, as in their program. Written against the axis ``data`` (see
``spmd``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stylegan_jax.data.augment import wild
from stylegan_jax.losses import translation
from stylegan_jax.training import optim, rngs, spmd
from stylegan_jax.training.networks import Networks
from stylegan_jax.training.pix2pixhd import pool
from stylegan_jax.training.pix2pixhd.inputs import Inputs, Seen
from stylegan_jax.training.pix2pixhd.state import (
    BATCH_STATS,
    TRUNK,
    D,
    E,
    G,
    Modules,
    TranslatorState,
    averaged,
    from_groups,
    groups,
)
from stylegan_jax.training.rngs import Stream
from stylegan_jax.training.run import Batch, Metrics
from stylegan_jax.training.updates import accumulate, average_decay, move_average

# Losses that compare the output with the target and need no discriminator.
DISTANCES = ("l1", "vgg", "lpips")


@dataclasses.dataclass(frozen=True)
class TranslatorHyper:
    """Numbers of a run.

    Attributes:
        batch: pairs in the global batch.
        weights: of every loss that counts: ``gan``, ``features`` and `DISTANCES`.
        gan: ``lsgan`` or ``logistic``.
        vgg_normalise: whether VGG sees pictures as it was trained with them.
        accumulate: parts that a device's share of the batch is processed in.
        learning_rate: of all networks, before it falls.
        total: pairs at which the rate is 0.
        decay: pairs before the end over which it falls linearly; 0 for never.
        fix_global: pairs up to which a local enhancer's trunk stands still.
        pool_size: earlier pictures that the discriminator is shown; 0 for none.
        blind_spot: side of the square that no loss looks at; 0 for none.
        ema_kimg: half-life of the averaged generator in thousands of pairs; 0 for none.
        ema_rampup: half-life is at most this share of the pairs seen; None for none.
    """

    batch: int
    weights: Mapping[str, float]
    gan: str = "lsgan"
    vgg_normalise: bool = True
    accumulate: int = 1
    learning_rate: float = 2e-4
    total: int = 1
    decay: int = 0
    fix_global: int = 0
    pool_size: int = 0
    blind_spot: int = 0
    ema_kimg: float = 0.0
    ema_rampup: float | None = 0.05

    def rate(self, nimg: jax.Array) -> jax.Array:
        """The learning rate behind ``nimg`` pairs: constant, then linear to 0.

        It follows from the counter alone, so a resumed run has the rate of the run that
        it continues. DIFF(hd): it falls with every step, there with every epoch.
        """
        left = jnp.float32(self.total) - nimg.astype(jnp.float32)
        share = jnp.clip(left / self.decay, 0.0, 1.0) if self.decay > 0 else 1.0
        return jnp.float32(self.learning_rate) * share


def make_optimiser() -> optax.GradientTransformation:
    """Adam as the program has it, without the rate, which `TranslatorHyper` knows."""
    return optax.scale_by_adam(b1=0.5, b2=0.999)


class Losses:
    """Outputs and distances of the networks, for training and for validation."""

    def __init__(
        self,
        modules: Modules,
        inputs: Inputs,
        hyper: TranslatorHyper,
        networks: Networks,
    ):
        """Args: the networks, what they see, the numbers, frozen networks' modules."""
        self.modules, self.inputs = modules, inputs
        self.hyper, self.networks = hyper, networks

    def generate(self, state: TranslatorState, params: Any, seen: Seen, **mode: Any):
        """Outputs [N, H, W, C], and the statistics that moved by network."""
        moved: dict[str, Any] = {}
        x = seen.x
        if self.modules.e is not None:
            features, stats = self._apply(
                state, params, E, seen.target, seen.instances, **mode
            )
            moved |= stats
            x = jnp.concatenate([x, features], -1)
        output, stats = self._apply(state, params, G, x, **mode)
        return output, {**moved, **stats}

    def score(self, state: TranslatorState, params: Any, x: jax.Array, **mode: Any):
        """The discriminator's features of inputs and pictures [N, H, W, C + 3]."""
        return self._apply(state, params, D, x, **mode)

    def distances(
        self, output: jax.Array, target: jax.Array, frozen: Any
    ) -> dict[str, jax.Array]:
        """The distances whose weight is not 0, each [N], by name."""
        found: dict[str, jax.Array] = {}
        for name in DISTANCES:
            if name not in self.hyper.weights:
                continue
            if name == "l1":
                found[name] = translation.per_picture(jnp.abs(output - target))
            elif name == "lpips":
                found[name] = self.networks.lpips(frozen, output, target)
            else:
                found[name] = self.networks.vgg(
                    frozen, output, target, normalise=self.hyper.vgg_normalise
                )
        return found

    def _apply(self, state, params, name: str, *inputs: Any, **mode: Any):
        variables = state.variables(name, params)
        module = self.modules.all()[name]
        if not mode.get("train"):
            return module.apply(variables, *inputs, **mode), {}
        result, moved = module.apply(variables, *inputs, mutable=[BATCH_STATS], **mode)
        stats = moved.get(BATCH_STATS)
        return result, {name: stats} if stats else {}


def make_step(losses: Losses):
    """The step that moves all networks."""
    hyper = losses.hyper
    optimiser = make_optimiser()

    def step(
        state: TranslatorState, batch: Batch, key: jax.Array, frozen: Any
    ) -> tuple[TranslatorState, Metrics]:
        # Every tree that meets local data is made varying, see ``spmd``.
        local_state, local_frozen = spmd.varying((state, frozen))

        def gradient(params, state, part, key):
            return _Part(losses, state, part, key, local_frozen).gradient(params)

        gradients, aux = accumulate(
            gradient, local_state.params, local_state, batch, key, hyper.accumulate
        )
        gradients, aux = spmd.mean((gradients, aux))
        gradients, bad = optim.replace_nonfinite(gradients)
        rate = hyper.rate(state.nimg)
        frozen_trunk = state.nimg < hyper.fix_global
        params, opt = _move(state, gradients, optimiser, rate, frozen_trunk)
        metrics = {**aux["metrics"], "nonfinite/pix2pixhd": bad, "train/rate": rate}
        changes = {"params": params, "opt": opt, "batch_stats": aux["batch_stats"]}
        if hyper.pool_size:
            shares = jax.lax.axis_size(spmd.AXIS) * hyper.accumulate
            images = pool.store(state.pool["images"], aux["pool"], shares)
            changes["pool"] = {"images": images}
        return state.replace(**changes), metrics

    return step


def _move(state, gradients, optimiser, rate, frozen_trunk):
    """Parameters and optimisers after a step; the trunk's stand still while frozen."""
    params, opt = {}, {}
    own, found = groups(state.params), groups(gradients)
    for name, tree in own.items():
        updates, opt[name] = optimiser.update(found[name], state.opt[name], tree)
        params[name] = jax.tree.map(lambda p, u: p - rate * u, tree, updates)
    # Its optimiser counts from where it begins: what it corrects for bias would be
    # wrong otherwise. DIFF(hd): there all optimisers begin anew at that moment.
    for new, old in ((params, own), (opt, state.opt)):
        new[TRUNK] = jax.tree.map(
            lambda o, n: jnp.where(frozen_trunk, o, n), old[TRUNK], new[TRUNK]
        )
    return from_groups(params), opt


class _Part:
    """The gradients of one part of a batch."""

    def __init__(self, losses: Losses, state, batch: Batch, key: jax.Array, frozen):
        self._losses, self._state, self._frozen = losses, state, frozen
        self._index, self._key = batch["index"], key
        self._keys = rngs.sample_keys(key, Stream.PIX2PIXHD, state.step, self._index)
        self._seen = losses.inputs(batch, self._keys)
        self._mode = {"train": True, "axis_name": spmd.AXIS}

    def gradient(self, params: Any) -> Any:
        """Gradients by network and aux."""
        makers = averaged(params)
        found, (aux, shown) = jax.grad(self._g_loss, has_aux=True)(makers, params)
        made = jax.lax.stop_gradient(shown)
        pooled: dict[str, Any] = {}
        hyper = self._losses.hyper
        if hyper.pool_size:
            step_key = rngs.stream_key(self._key, Stream.POOL)
            step_key = jax.random.fold_in(step_key, self._state.step)
            chosen, full = pool.places(
                step_key,
                self._state.step * hyper.batch,
                self._index,
                hyper.pool_size,
                hyper.batch,
            )
            made, pooled["pool"] = pool.show(
                self._state.pool["images"], made, self._keys, chosen, full
            )
        own, (metrics, moved) = jax.grad(self._d_loss, has_aux=True)(params[D], made)
        return {**found, D: own}, {
            "metrics": aux["metrics"] | metrics,
            "batch_stats": aux["moved"] | moved,
            **pooled,
        }

    def _g_loss(self, makers, params):
        losses, seen, state = self._losses, self._seen, self._state
        hyper, weights = losses.hyper, losses.hyper.weights
        output, moved = losses.generate(state, makers, seen, **self._mode)
        output = wild.blind_spot(output, seen.shown, hyper.blind_spot)
        behind = jnp.concatenate([seen.label, output], -1)
        terms = losses.distances(output, seen.target, self._frozen)
        if "gan" in weights or "features" in weights:
            fake, _ = losses.score(state, params, behind, **self._mode)
            if "gan" in weights:
                terms["gan"] = translation.gan(fake, 1.0, hyper.gan)
            if "features" in weights:
                real, _ = losses.score(state, params, self._real, **self._mode)
                terms["features"] = translation.feature_matching(fake, real)
        means = {name: jnp.mean(value) for name, value in terms.items()}
        loss = sum(
            (weights[name] * value for name, value in means.items()), jnp.zeros(())
        )
        metrics = {f"loss/{name}": value for name, value in means.items()}
        aux = {"metrics": {"loss/g": loss, **metrics}, "moved": moved}
        return loss, (aux, behind)

    @property
    def _real(self) -> jax.Array:
        return jnp.concatenate([self._seen.label, self._seen.target], -1)

    def _d_loss(self, own, made):
        losses, kind = self._losses, self._losses.hyper.gan
        fake, moved = losses.score(self._state, {D: own}, made, **self._mode)
        # The statistics of batch norm move twice, as in the program.
        state = self._state.replace(batch_stats=self._state.batch_stats | moved)
        real, moved = losses.score(state, {D: own}, self._real, **self._mode)
        on_fake = jnp.mean(translation.gan(fake, 0.0, kind))
        on_real = jnp.mean(translation.gan(real, 1.0, kind))
        loss = (on_fake + on_real) / 2
        metrics = {"loss/d": loss, "loss/d_fake": on_fake, "loss/d_real": on_real}
        return loss, (metrics, moved)


def end_step(state: TranslatorState, hyper: TranslatorHyper) -> TranslatorState:
    """Moves the averaged networks and the counters."""
    decay = average_decay(hyper.batch, state.nimg, hyper.ema_kimg, hyper.ema_rampup)
    return state.replace(
        ema_params=move_average(state.ema_params, averaged(state.params), decay),
        step=state.step + 1,
        nimg=state.nimg + hyper.batch,
    )
