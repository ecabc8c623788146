"""The state of a GAN run: exactly what a checkpoint holds."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from stylegan_jax.training.rngs import Stream, stream_key
from stylegan_jax.training.stylegan2.augmentation import Augmentation, AugmentState
from stylegan_jax.types import Params


class GanState(flax.struct.PyTreeNode):
    """Everything that training changes.

    Attributes:
        step: int32 scalar, updates done.
        nimg: int32 scalar, real images seen (a fine-tuned run may start above 0).
        g_params: generator.
        d_params: discriminator.
        g_opt: Adam's state for the generator, shared by its two phases.
        d_opt: Adam's state for the discriminator, shared by its two phases.
        ema_params: moving average of ``g_params``; the generator that people use.
        moving_stats: running mean of w.
        noise: constant noise maps; drawn once and never trained.
        pl_mean: float32 scalar, running mean of the path lengths.
        augment: what of the discriminator's augmentation moves.
        source_params: the generator that the run began from, where a loss compares
            with it; else empty. Kept here, so that going on needs no other file.
    """

    step: jax.Array
    nimg: jax.Array
    g_params: Params
    d_params: Params
    g_opt: optax.OptState
    d_opt: optax.OptState
    ema_params: Params
    moving_stats: Params
    noise: Params
    pl_mean: jax.Array
    augment: AugmentState
    source_params: Params

    def g_ema_variables(self) -> dict:
        """Variables of the averaged generator."""
        return {
            "params": self.ema_params,
            "moving_stats": self.moving_stats,
            "noise": self.noise,
        }

    def g_variables(self) -> dict:
        """Variables of the generator in training."""
        return {**self.g_ema_variables(), "params": self.g_params}


def init_state(
    g: Any,
    d: Any,
    g_opt: optax.GradientTransformation,
    d_opt: optax.GradientTransformation,
    key: jax.Array,
    *,
    augmentation: Augmentation,
    nimg: int = 0,
    keep_source: bool = False,
) -> GanState:
    """Draws fresh networks and empty optimisers.

    Args:
        g: generator, StyleGAN2's or another with the same methods.
        d: discriminator.
        g_opt: the generator's optimiser.
        d_opt: the discriminator's optimiser.
        key: the run's root key.
        augmentation: of the discriminator's images.
        nimg: images that count as already seen (``init.resume_kimg``).
        keep_source: whether the state keeps the generator that the run begins from.
    """
    z = jnp.zeros((1, g.z_dim))
    g_label = jnp.zeros((1, g.c_dim))
    image = jnp.zeros((1, *d.image_shape))
    g_variables = g.init(stream_key(key, Stream.INIT_G), z, g_label)
    d_variables = d.init(stream_key(key, Stream.INIT_D), image, g_label)
    g_params, d_params = g_variables["params"], d_variables["params"]
    return GanState(
        step=jnp.zeros((), jnp.int32),
        nimg=jnp.full((), nimg, jnp.int32),
        g_params=g_params,
        d_params=d_params,
        g_opt=g_opt.init(g_params),
        d_opt=d_opt.init(d_params),
        # A copy: the two trees must not share buffers, which steps donate.
        ema_params=jax.tree.map(jnp.copy, g_params),
        moving_stats=g_variables["moving_stats"],
        noise=g_variables.get("noise", {}),
        pl_mean=jnp.zeros((), jnp.float32),
        augment=augmentation.init(),
        source_params=jax.tree.map(jnp.copy, g_params) if keep_source else {},
    )
