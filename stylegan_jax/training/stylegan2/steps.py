"""StyleGAN2's four phases as steps ``(state, batch, key) -> (state, metrics)``.

The phases differ in their loss alone; accumulation, the averaging over devices, the
optimiser and the guard against non-finite gradients exist once. All of them are written
against the axis ``data`` (see ``spmd``), and run under shard_map and under pmap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stylegan_jax.losses import adversarial, regularisers
from stylegan_jax.losses.correspondence import cross_domain_correspondence
from stylegan_jax.models.stylegan2.layers import BLOCK_OUTPUT
from stylegan_jax.models.stylegan2.synthesis import SynthesisLayer
from stylegan_jax.training import optim, rngs, spmd
from stylegan_jax.training.rngs import Draw, Stream
from stylegan_jax.training.run import Batch, Metrics, Phase
from stylegan_jax.training.stylegan2.augmentation import Augmentation
from stylegan_jax.training.stylegan2.freeze import Freeze
from stylegan_jax.training.stylegan2.scores import Scores
from stylegan_jax.training.stylegan2.state import GanState
from stylegan_jax.training.updates import (
    accumulate,
    average_decay,
    move_average,
    to_model_range,
)

Step = Callable[[GanState, Batch, jax.Array], tuple[GanState, Metrics]]


@dataclasses.dataclass(frozen=True)
class GanHyper:
    """Numbers of a run; defaults are the paper's (Karras et al. 2020, appendix B).

    Attributes:
        batch: images in the global batch.
        accumulate: parts that a device's share of the batch is processed in.
        r1_gamma: weight of the R1 penalty.
        pl_weight: weight of the path length penalty; 0 leaves the phase out.
        pl_decay: rate at which the mean path length follows.
        pl_batch_shrink: the path length phase uses 1/shrink of the batch.
        style_mixing_prob: share of images drawn from two latents.
        g_reg_interval: steps between path length steps.
        d_reg_interval: steps between R1 steps.
        g_learning_rate: generator's rate, before the lazy correction.
        d_learning_rate: discriminator's rate, before the lazy correction.
        ema_kimg: half-life of the averaged generator in thousands of images.
        ema_rampup: half-life is at most this share of the images seen; None for none.
        w_avg_beta: decay of the running mean of w.
        augmentation: what the discriminator's images go through.
        freeze: what is not trained.
        correspondence_weight: weight of the divergence from the generator that the run
            began from; 0 leaves it out.
        correspondence_group: images that it compares with each other.
        recompute: whether the backward pass computes what is inside the networks'
            blocks again instead of keeping it.
    """

    batch: int
    accumulate: int = 1
    r1_gamma: float = 10.0
    pl_weight: float = 2.0
    pl_decay: float = 0.01
    pl_batch_shrink: int = 2
    style_mixing_prob: float = 0.9
    g_reg_interval: int = 4
    d_reg_interval: int = 16
    g_learning_rate: float = 0.002
    d_learning_rate: float = 0.002
    ema_kimg: float = 10.0
    ema_rampup: float | None = 0.05
    w_avg_beta: float = 0.995
    augmentation: Augmentation = Augmentation()
    freeze: Freeze = Freeze()
    correspondence_weight: float = 0.0
    correspondence_group: int = 4
    recompute: bool = False


def optimisers(
    hyper: GanHyper,
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """The generator's and the discriminator's optimiser."""
    return (
        optim.lazy_adam(hyper.g_learning_rate, hyper.g_reg_interval),
        optim.lazy_adam(hyper.d_learning_rate, hyper.d_reg_interval),
    )


def make_phases(g: Any, d: Any, hyper: GanHyper) -> list[Phase]:
    """The phases of a step, in their order; those with weight 0 are left out."""
    losses = GanLosses(g, d, hyper)
    g_opt, d_opt = optimisers(hyper)
    phases = [Phase("g_main", 1, make_update("g", losses.g_main, g_opt, losses))]
    if hyper.pl_weight > 0:
        step = make_update("g", losses.g_reg, g_opt, losses)
        phases.append(Phase("g_reg", hyper.g_reg_interval, step))
    phases.append(Phase("d_main", 1, make_update("d", losses.d_main, d_opt, losses)))
    if hyper.r1_gamma > 0:
        step = make_update("d", losses.d_reg, d_opt, losses)
        phases.append(Phase("d_reg", hyper.d_reg_interval, step))
    return phases


@dataclasses.dataclass(frozen=True)
class GanLosses:
    """The phases' losses: ``(params, state, batch, key) -> (scalar, aux)``.

    ``batch`` holds one device's samples of one accumulation step: ``image`` [n,H,W,C]
    uint8, ``label`` [n,c_dim] float32, ``index`` [n] int. ``aux`` has ``metrics``
    (scalars) and the means that update the state. The networks are StyleGAN2's, or
    others with the same methods.
    """

    g: Any
    d: Any
    hyper: GanHyper

    def g_main(self, params, state, batch, key):
        """Non-saturating logistic loss, and the correspondence where asked for."""
        keys = rngs.sample_keys(key, Stream.G_MAIN, state.step, batch["index"])
        label = batch["label"]
        w, w_plus = self._latents(params, state, keys, label)
        keeps = self.hyper.correspondence_weight > 0
        if keeps:
            fake, features = self._draw_features(params, state, w_plus, keys)
        else:
            fake = self._draw(params, state, w_plus, keys)
        fake = self._augmented(fake, state, keys, Draw.AUGMENT_FAKE)
        logits = self._score(state.d_params, state, fake, label)
        loss = jnp.mean(self._g_loss(logits))
        metrics = {"loss/g_main": loss, "scores/fake": jnp.mean(logits)}
        if keeps:
            distance = self._correspondence(features, state, keys, label)
            metrics["reg/correspondence"] = distance
            loss += self.hyper.correspondence_weight * distance
        w_mean = jax.lax.stop_gradient(jnp.mean(w, 0))
        return loss, {"metrics": metrics, "w_mean": w_mean}

    def g_reg(self, params, state, batch, key):
        """Path length penalty on the first 1/shrink of the batch.

        DIFF(nv): the target is the running mean before this step, a constant; there it
        already holds 1 % of this batch's mean and is differentiated through. So the
        penalty does not depend on how a batch is split.
        """
        count = batch["index"].shape[0] // self.hyper.pl_batch_shrink
        batch = {name: value[:count] for name, value in batch.items()}
        keys = rngs.sample_keys(key, Stream.G_REG, state.step, batch["index"])
        _, w_plus = self._latents(params, state, keys, batch["label"])
        noise = rngs.normal(rngs.split(keys, Draw.PATH), self.g.image_shape)

        def synthesis(latents):
            return self._draw(params, state, latents, keys)

        lengths = regularisers.path_lengths(synthesis, w_plus, noise)
        penalty = jnp.mean(jnp.square(lengths - state.pl_mean))
        mean_length = jax.lax.stop_gradient(jnp.mean(lengths))
        metrics = {"reg/pl": penalty, "reg/path_length": mean_length}
        loss = penalty * self.hyper.pl_weight * self.hyper.g_reg_interval
        return loss, {"metrics": metrics, "path_length": mean_length}

    def d_main(self, params, state, batch, key):
        """Logistic loss of the discriminator."""
        keys = rngs.sample_keys(key, Stream.D_MAIN, state.step, batch["index"])
        label = batch["label"]
        _, w_plus = self._latents(state.g_params, state, keys, label)
        fake = self._draw(state.g_params, state, w_plus, keys)
        fake = jax.lax.stop_gradient(fake)
        real = self._reals(state, batch)
        score = Scores(
            lambda images, label: self._score(params, state, images, label),
            lambda images, draw: self._augmented(images, state, keys, draw),
            label,
            self.d.mbstd_group_size,
        )
        loss, real_logits, penalty, found = self._d_loss(score, real, fake, keys)
        real_sign = jnp.mean(jnp.sign(real_logits))
        metrics = {
            **found,
            "loss/d_main": loss,
            "scores/real": jnp.mean(real_logits),
            "scores/real_sign": real_sign,
        }
        if self.hyper.augmentation.active:
            metrics["augment/p"] = state.augment.p
        return loss + penalty, {"metrics": metrics, "real_sign": real_sign}

    def d_reg(self, params, state, batch, key):
        """R1 penalty, on the pictures before they are augmented."""
        keys = rngs.sample_keys(key, Stream.D_REG, state.step, batch["index"])

        def logits(x):
            x = self._augmented(x, state, keys, Draw.AUGMENT_REAL)
            return self._score(params, state, x, batch["label"])

        penalties, _ = regularisers.r1_penalty(logits, self._reals(state, batch))
        penalty = jnp.mean(penalties)
        loss = penalty * (self.hyper.r1_gamma / 2) * self.hyper.d_reg_interval
        return loss, {"metrics": {"reg/r1": penalty}}

    def _latents(self, params, state, keys, label):
        """W [n,w_dim] of the first latents, and w_plus with style mixing.

        DIFF(nv): the crossover is drawn for every image, not once for the batch.
        """
        z_shape = (self.g.z_dim,)
        w = self._w(
            params, state, rngs.normal(rngs.split(keys, Draw.Z), z_shape), label
        )
        w_plus = self.g.broadcast(w)
        if self.hyper.style_mixing_prob <= 0:
            return w, w_plus
        mix_z = rngs.normal(rngs.split(keys, Draw.MIX_Z), z_shape)
        mixed = self.g.broadcast(self._w(params, state, mix_z, label))
        cutoff = jax.vmap(self._cutoff)(rngs.split(keys, Draw.MIX_CUTOFF))  # [n]
        layer = jnp.arange(self.g.num_ws)
        first = (layer[None, :] < cutoff[:, None])[:, :, None]
        return w, jnp.where(first, w_plus, mixed)

    def _cutoff(self, key):
        """First layer that takes the second latent; num_ws where there is no mixing."""
        chance, place = jax.random.split(key)
        mixes = jax.random.uniform(chance) < self.hyper.style_mixing_prob
        cutoff = jax.random.randint(place, (), 1, self._num_layers())
        return jnp.where(mixes, cutoff, self.g.num_ws)

    def _num_layers(self):
        """Layers that latents reach."""
        return self.g.num_ws

    def _w(self, params, state, z, label):
        variables = {"params": params, "moving_stats": state.moving_stats}
        return self.g.apply(variables, z, label, method="w")

    def _draw(self, params, state, w_plus, keys):
        def synthesis(variables, w_plus, noise_keys):
            return self.g.apply(
                variables,
                w_plus,
                noise_mode="random",
                noise_keys=noise_keys,
                method="synthesis",
            )

        variables = {"params": params, "noise": state.noise}
        noise_keys = rngs.split(keys, Draw.NOISE)
        return self._lean(synthesis)(variables, w_plus, noise_keys)

    def _draw_features(self, params, state, w_plus, keys):
        """Images, and what every layer but ToRGB gives, the lowest first."""
        images, kept = self.g.apply(
            {"params": params, "noise": state.noise},
            w_plus,
            noise_mode="random",
            noise_keys=rngs.split(keys, Draw.NOISE),
            method="synthesis",
            capture_intermediates=lambda m, _: isinstance(m, SynthesisLayer),
            mutable=["intermediates"],
        )
        return images, jax.tree.leaves(kept["intermediates"])

    def _correspondence(self, features, state, keys, label):
        """Divergence from the source generator at the same latents and noise."""
        _, w_plus = self._latents(state.source_params, state, keys, label)
        _, source = self._draw_features(state.source_params, state, w_plus, keys)
        return cross_domain_correspondence(
            features,
            jax.lax.stop_gradient(source),
            self.hyper.correspondence_group,
        )

    def _augmented(self, images, state, keys, draw):
        keys = rngs.split(keys, draw)
        return self.hyper.augmentation.apply(images, keys, state.augment)

    def _reals(self, state, batch):
        del state
        return to_model_range(batch["image"])

    def _d_loss(self, score, real, fake, keys):
        """Loss, the reals' logits, a penalty that adds to the loss, and its metrics.

        ``score`` augments and gives logits, see `Scores`.
        """
        del keys
        fake_logits, real_logits = score.both(fake, real)
        loss = jnp.mean(adversarial.discriminator_fake(fake_logits))
        loss += jnp.mean(adversarial.discriminator_real(real_logits))
        return loss, real_logits, 0.0, {}

    def _g_loss(self, logits):
        return adversarial.generator_nonsaturating(logits)

    def _score(self, params, state, images, label):
        del state  # a network that grows depends on it
        return self._lean(self.d.apply)({"params": params}, images, label)

    def _lean(self, function):
        """Keeps a network's blocks' outputs alone for the backward pass, if asked to.

        Chen et al. 2016 ("Training deep nets with sublinear memory cost").
        """
        if not self.hyper.recompute:
            return function
        kept = jax.checkpoint_policies.save_only_these_names(BLOCK_OUTPUT)
        return jax.checkpoint(function, policy=kept)


def make_update(
    network: str,
    loss: Callable,
    optimiser: optax.GradientTransformation,
    losses: GanLosses,
) -> Step:
    """Turns one of ``losses`` into a step that updates ``network`` ("g" or "d")."""
    hyper = losses.hyper

    def step(state: GanState, batch: Batch, key: jax.Array):
        # Every tree that meets local data is made varying, see ``spmd``.
        local_state = spmd.varying(state)
        params = getattr(local_state, f"{network}_params")
        gradient = jax.grad(loss, has_aux=True)
        gradients, aux = accumulate(
            gradient, params, local_state, batch, key, hyper.accumulate
        )
        gradients, aux = spmd.mean((gradients, aux))
        gradients, bad = optim.replace_nonfinite(gradients)
        gradients = hyper.freeze.still(gradients, network, losses.d)
        metrics = {**aux["metrics"], f"nonfinite/{network}": bad}
        opt_state = getattr(state, f"{network}_opt")
        params = getattr(state, f"{network}_params")
        updates, opt_state = optimiser.update(gradients, opt_state, params)
        params = optax.apply_updates(params, updates)
        changes = {f"{network}_params": params, f"{network}_opt": opt_state}
        changes |= _running_means(state, aux, hyper)
        return state.replace(**changes), metrics

    return step


def _running_means(state: GanState, aux: Any, hyper: GanHyper) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    # w_avg belongs to the mapping network: where that stands still, so does it.
    if "w_mean" in aux and not hyper.freeze.g_mapping:
        w_avg = state.moving_stats["mapping"]["w_avg"]
        w_avg = aux["w_mean"] + hyper.w_avg_beta * (w_avg - aux["w_mean"])
        changes["moving_stats"] = {"mapping": {"w_avg": w_avg}}
    if "real_sign" in aux:
        changes["augment"] = hyper.augmentation.observe(state.augment, aux["real_sign"])
    if "path_length" in aux:
        shift = hyper.pl_decay * (aux["path_length"] - state.pl_mean)
        # A broken batch must not poison the mean for the rest of the run.
        shift = jnp.where(jnp.isfinite(shift), shift, 0.0)
        changes["pl_mean"] = state.pl_mean + shift
    return changes


def end_step(state: GanState, hyper: GanHyper) -> GanState:
    """Moves the averaged generator and the counters."""
    decay = average_decay(hyper.batch, state.nimg, hyper.ema_kimg, hyper.ema_rampup)
    return state.replace(
        ema_params=move_average(state.ema_params, state.g_params, decay),
        step=state.step + 1,
        nimg=state.nimg + hyper.batch,
        augment=hyper.augmentation.adapt(state.augment, hyper.batch),
    )
