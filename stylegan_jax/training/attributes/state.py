"""The state of a run that trains an attribute network: what a checkpoint holds."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from stylegan_jax.models.attributes import AttributeNet
from stylegan_jax.training.rngs import Stream, stream_key
from stylegan_jax.types import Params


class AttributeState(flax.struct.PyTreeNode):
    """Everything that training changes.

    Attributes:
        step: int32 scalar, updates done.
        nimg: int32 scalar, pictures seen.
        params: of the network.
        opt: the optimiser's state.
        ema_params: moving average of ``params``; what people use.
        batch_stats: running statistics of batch norm.
    """

    step: jax.Array
    nimg: jax.Array
    params: Params
    opt: optax.OptState
    ema_params: Params
    batch_stats: Params

    def ema_variables(self) -> dict[str, Any]:
        """Variables of the network that people use."""
        return {"params": self.ema_params, "batch_stats": self.batch_stats}


def init_state(
    module: AttributeNet, optimiser: optax.GradientTransformation, key: jax.Array
) -> AttributeState:
    """Draws a fresh network and an empty optimiser.

    Args:
        module: the network.
        optimiser: of its parameters.
        key: the run's root key.
    """
    picture = jnp.zeros((1, *module.input_shape))
    variables = module.init(stream_key(key, Stream.ATTRIBUTES), picture)
    params = variables["params"]
    return AttributeState(
        step=jnp.zeros((), jnp.int32),
        nimg=jnp.zeros((), jnp.int32),
        params=params,
        opt=optimiser.init(params),
        # A copy: the two trees must not share buffers, which steps donate.
        ema_params=jax.tree.map(jnp.copy, params),
        batch_stats=variables["batch_stats"],
    )
