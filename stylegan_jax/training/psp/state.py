"""The state of a pSp run: exactly what a checkpoint holds."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from stylegan_jax.models.psp import PSP
from stylegan_jax.training.rngs import Stream, stream_key
from stylegan_jax.types import Params

# The parts of `PSP`; the encoder is always trained.
ENCODER, DECODER = "encoder", "decoder"


class EncoderState(flax.struct.PyTreeNode):
    """Everything that training changes, and the decoder.

    Attributes:
        step: int32 scalar, updates done.
        nimg: int32 scalar, pairs seen.
        params: what is trained: ``encoder``, and ``decoder`` where that is trained too.
        frozen: the other parameters of the model.
        opt: the optimiser's state.
        ema_params: moving average of ``params``; what people use.
        batch_stats: running statistics of the encoder's batch norm.
        moving_stats: the mean latent, and the decoder's mean of w.
        noise: the decoder's constant noise maps.
    """

    step: jax.Array
    nimg: jax.Array
    params: Params
    frozen: Params
    opt: optax.OptState
    ema_params: Params
    batch_stats: Params
    moving_stats: Params
    noise: Params

    def variables(self, params: Params) -> dict[str, Any]:
        """Variables of the whole model with these trained parameters."""
        return {
            "params": {**self.frozen, **params},
            "batch_stats": self.batch_stats,
            "moving_stats": self.moving_stats,
            "noise": self.noise,
        }

    def ema_variables(self) -> dict[str, Any]:
        """Variables of the model that people use."""
        return self.variables(self.ema_params)


def split_params(params: Params, train_decoder: bool) -> tuple[Params, Params]:
    """What of a model's parameters is trained, and what is not."""
    trained = {ENCODER, DECODER} if train_decoder else {ENCODER}
    return (
        {name: tree for name, tree in params.items() if name in trained},
        {name: tree for name, tree in params.items() if name not in trained},
    )


def init_state(
    psp: PSP,
    optimiser: optax.GradientTransformation,
    key: jax.Array,
    *,
    train_decoder: bool,
) -> EncoderState:
    """Draws a fresh model and an empty optimiser.

    Args:
        psp: the model.
        optimiser: of what is trained.
        key: the run's root key.
        train_decoder: whether the decoder is trained too.
    """
    source = jnp.zeros((1, *psp.input_shape))
    variables = psp.init(stream_key(key, Stream.INIT_G), source)
    params, frozen = split_params(variables["params"], train_decoder)
    return EncoderState(
        step=jnp.zeros((), jnp.int32),
        nimg=jnp.zeros((), jnp.int32),
        params=params,
        frozen=frozen,
        opt=optimiser.init(params),
        # A copy: the two trees must not share buffers, which steps donate.
        ema_params=jax.tree.map(jnp.copy, params),
        batch_stats=variables["batch_stats"],
        moving_stats=variables["moving_stats"],
        noise=variables.get("noise", {}),
    )
