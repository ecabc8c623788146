"""The state of a face space's run: exactly what a checkpoint holds."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from stylegan_jax.models.facespace import Encoder
from stylegan_jax.training import rngs
from stylegan_jax.training.rngs import Stream, stream_key
from stylegan_jax.types import Params

ENCODER, CODES = "encoder", "codes"


class Leaves(flax.struct.PyTreeNode):
    """The latents that are sought for each photo by themselves, and their Adam.

    Attributes:
        w: [N, num_ws or 1, w_dim].
        mu: the same shape, first moments.
        nu: the same shape, second moments.
        count: [N] int32, updates of each.
    """

    w: jax.Array
    mu: jax.Array
    nu: jax.Array
    count: jax.Array


class FaceSpaceState(flax.struct.PyTreeNode):
    """Everything that training changes.

    Attributes:
        step: int32 scalar, updates done.
        nimg: int32 scalar, photos seen.
        params: ``encoder``, and ``codes`` [N, code_dim] where they are learnt.
        opt: their optimiser's state.
        leaves: of target propagation.
    """

    step: jax.Array
    nimg: jax.Array
    params: Params
    opt: optax.OptState
    leaves: Leaves


def init_state(
    module: Encoder,
    optimiser: optax.GradientTransformation,
    key: jax.Array,
    *,
    photos: int,
    code_dim: int,
) -> FaceSpaceState:
    """Draws a fresh encoder, codes and empty optimisers; `start_at` sets the mean.

    Args:
        module: the encoder.
        optimiser: of what is trained.
        key: the run's root key.
        photos: how many there are.
        code_dim: numbers of a learned code; 0 where inputs are fixed.
    """
    v = jnp.ones((1, module.input_dim))
    encoder = module.init(stream_key(key, Stream.FACESPACE), v)["params"]
    params: dict[str, Any] = {ENCODER: encoder}
    if code_dim:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(
            stream_key(key, Stream.FACESPACE), jnp.arange(photos)
        )
        params[CODES] = rngs.normal(keys, (code_dim,))
    shape = (photos, module.num_ws, module.w_dim)
    return FaceSpaceState(
        step=jnp.zeros((), jnp.int32),
        nimg=jnp.zeros((), jnp.int32),
        params=params,
        opt=optimiser.init(params),
        leaves=Leaves(
            w=jnp.zeros(shape),
            mu=jnp.zeros(shape),
            nu=jnp.zeros(shape),
            count=jnp.zeros(photos, jnp.int32),
        ),
    )


def start_at(
    state: FaceSpaceState, module: Encoder, w_avg: jax.Array
) -> FaceSpaceState:
    """A fresh state whose encoder gives the mean latent for any input.

    Its last layer's weights are 0 and its bias is the mean, so the first pictures are
    all the generator's mean face, and no step has to find the way there first.

    Args:
        state: fresh.
        module: the encoder.
        w_avg: [w_dim].
    """
    last = f"fc{len(module.features)}"
    encoder = dict(state.params[ENCODER])
    old = encoder[last]
    encoder[last] = {
        "weight": jnp.zeros_like(old["weight"]),
        "bias": jnp.tile(jnp.asarray(w_avg, old["bias"].dtype), module.num_ws),
    }
    leaves = state.leaves
    w = jnp.broadcast_to(jnp.asarray(w_avg, leaves.w.dtype), leaves.w.shape)
    return state.replace(
        params={**state.params, ENCODER: encoder},
        leaves=leaves.replace(w=w),
    )
