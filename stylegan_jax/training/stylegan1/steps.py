"""The two updates of a step of the StyleGAN of 2018, at one stage of its growth.

What differs from StyleGAN2's steps: networks and real pictures of the stage's
resolution, the fade, and a gradient penalty at every step in the discriminator's own
update instead of a lazy one.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.losses import adversarial, regularisers
from stylegan_jax.models.stylegan1.growth import growth_variables, mixed
from stylegan_jax.models.stylegan1.layers import double_nearest, halve_mean
from stylegan_jax.training import rngs
from stylegan_jax.training.rngs import Draw
from stylegan_jax.training.run import Phase
from stylegan_jax.training.stylegan1.schedule import Stage
from stylegan_jax.training.stylegan2 import steps as gan_steps
from stylegan_jax.training.stylegan2.state import GanState
from stylegan_jax.training.stylegan2.steps import (
    GanHyper,
    GanLosses,
    make_update,
    optimisers,
)

OBJECTIVES = ("logistic", "wgan-gp")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrowHyper(GanHyper):
    """Numbers of a stage; ``batch`` and the rates are the stage's.

    Attributes:
        stage: where in its growth the run is.
        objective: logistic (non-saturating, with R1) or wgan-gp.
        gp_weight: weight of WGAN's gradient penalty.
        gp_target: gradient norm that it wants.
        drift: weight of the squared logits of real pictures, with wgan-gp.
        reset_optimisers: whether Adam forgets when a fade begins and when it ends.
    """

    stage: Stage
    objective: str = "logistic"
    gp_weight: float = 10.0
    gp_target: float = 1.0
    drift: float = 0.001
    reset_optimisers: bool = True


def make_phases(g: Any, d: Any, hyper: GrowHyper) -> list[Phase]:
    """The phases of a step.

    Args:
        g: generator at the stage's level of detail.
        d: discriminator at the same.
        hyper: numbers of the stage.

    DIFF(nv): the generator moves first, and the average of its weights last; there the
    discriminator moves first, and the average before the generator.
    """
    losses = GrowLosses(g, d, hyper)
    g_opt, d_opt = optimisers(hyper)
    return [
        Phase("g_main", 1, make_update("g", losses.g_main, g_opt, losses)),
        Phase("d_main", 1, make_update("d", losses.d_main, d_opt, losses)),
    ]


@dataclasses.dataclass(frozen=True)
class GrowLosses(GanLosses):
    """The phases' losses, see `GanLosses`.

    DIFF(nv): the level of detail moves at every step; there every four steps.
    """

    hyper: GrowHyper

    def d_main(self, params, state, batch, key):
        """The discriminator's loss and penalty; notes how far the run has grown."""
        loss, aux = super().d_main(params, state, batch, key)
        stage = self.hyper.stage
        lod = stage.top_lod + stage.fade(state.nimg)
        grown = {
            "grow/lod": lod,
            "grow/resolution": jnp.full_like(lod, stage.resolution),
        }
        return loss, {**aux, "metrics": {**aux["metrics"], **grown}}

    def _num_layers(self):
        return 2 * self.hyper.stage.blocks

    def _growth(self, state):
        stage = self.hyper.stage
        return growth_variables(stage.fade(state.nimg)) if stage.fades else {}

    def _draw(self, params, state, w_plus, keys):
        images: jax.Array = self.g.apply(
            {"params": params, "noise": state.noise, **self._growth(state)},
            w_plus,
            noise_mode="random",
            noise_keys=rngs.split(keys, Draw.NOISE),
            full_size=False,
            method="synthesis",
        )
        return images

    def _score(self, params, state, images, label):
        variables = {"params": params, **self._growth(state)}
        return self.d.apply(variables, images, label)

    def _reals(self, state, batch):
        """Real pictures, faded in as the generated ones are (Karras et al. 2018, 2)."""
        images = super()._reals(state, batch)
        stage = self.hyper.stage
        if not stage.fades:
            return images
        low = double_nearest(halve_mean(images))
        return mixed(images, low, stage.fade(state.nimg))

    def _g_loss(self, logits):
        if self.hyper.objective == "wgan-gp":
            return adversarial.generator_wasserstein(logits)
        return super()._g_loss(logits)

    def _d_loss(self, score, real, fake, keys):
        """As `GanLosses._d_loss`, with the penalty in the same step."""
        fake_logits = score(fake, Draw.AUGMENT_FAKE)
        if self.hyper.objective == "wgan-gp":
            return self._wasserstein(score, real, fake, fake_logits, keys)
        penalties, real_logits = regularisers.r1_penalty(
            lambda x: score(x, Draw.AUGMENT_REAL), real
        )
        loss = jnp.mean(adversarial.discriminator_fake(fake_logits))
        loss += jnp.mean(adversarial.discriminator_real(real_logits))
        penalty = jnp.mean(penalties)
        weighted = penalty * (self.hyper.r1_gamma / 2)
        return loss, real_logits, weighted, {"reg/r1": penalty}

    def _wasserstein(self, score, real, fake, fake_logits, keys):
        """WGAN-GP (Gulrajani et al. 2017) with a drift term."""
        hyper = self.hyper
        real_logits = score(real, Draw.AUGMENT_REAL)
        loss = jnp.mean(
            adversarial.discriminator_wasserstein(real_logits, fake_logits, hyper.drift)
        )
        share = jax.vmap(jax.random.uniform)(rngs.split(keys, Draw.BETWEEN))
        between = mixed(real, fake, share[:, None, None, None])
        penalty = jnp.mean(
            regularisers.gradient_norm_penalty(
                lambda x: score(x, Draw.AUGMENT_REAL), between, hyper.gp_target
            )
        )
        return loss, real_logits, penalty * hyper.gp_weight, {"reg/gp": penalty}


def end_step(state: GanState, hyper: GrowHyper) -> GanState:
    """Moves the averaged generator and the counters; Adam forgets where it shall."""
    after = gan_steps.end_step(state, hyper)
    turns = hyper.stage.turns
    if not hyper.reset_optimisers or not turns:
        return after
    met = [(state.nimg < turn) & (turn <= after.nimg) for turn in turns]
    forget = jnp.any(jnp.stack(met))

    def settled(tree):
        return jax.tree.map(lambda x: jnp.where(forget, jnp.zeros_like(x), x), tree)

    return after.replace(g_opt=settled(after.g_opt), d_opt=settled(after.d_opt))
