"""The state of a pix2pixHD run: exactly what a checkpoint holds."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from stylegan_jax.models.pix2pixhd import MultiscaleDiscriminator
from stylegan_jax.training.rngs import Stream, stream_key
from stylegan_jax.types import Params

# Networks by what they are: generator, discriminator, encoder of instances.
G, D, E = "g", "d", "e"
# The generator's part that is a global generator of its own.
TRUNK = "trunk"
BATCH_STATS = "batch_stats"


@dataclasses.dataclass(frozen=True)
class Modules:
    """The networks of a run.

    Attributes:
        g: global generator or local enhancer.
        d: discriminator of several scales.
        e: encoder of instances; None for none.
    """

    g: Any
    d: MultiscaleDiscriminator
    e: Any = None

    def all(self) -> dict[str, nn.Module]:
        """The networks by name."""
        found = {G: self.g, D: self.d}
        return found if self.e is None else {**found, E: self.e}


class TranslatorState(flax.struct.PyTreeNode):
    """Everything that training changes.

    Attributes:
        step: int32 scalar, updates done.
        nimg: int32 scalar, pairs seen.
        params: of every network, by name.
        opt: the optimiser's state of every group of `groups`.
        ema_params: moving average of the generator and of the encoder.
        batch_stats: running statistics by network, with batch norm.
        pool: made pictures behind their inputs, ``images`` [pool_size, H, W, C], of
            which the discriminator is shown some; empty without a pool.
    """

    step: jax.Array
    nimg: jax.Array
    params: Params
    opt: dict[str, optax.OptState]
    ema_params: Params
    batch_stats: Params
    pool: dict[str, jax.Array]

    def variables(self, name: str, params: Params) -> dict[str, Any]:
        """Variables of a network with these parameters, given by network."""
        found = {"params": params[name]}
        stats = self.batch_stats.get(name)
        return {**found, BATCH_STATS: stats} if stats else found

    def ema_variables(self, name: str) -> dict[str, Any]:
        """Variables of the generator or the encoder that people use."""
        return self.variables(name, self.ema_params)


def groups(params: Params) -> dict[str, Params]:
    """Parameters by the optimiser that moves them.

    A generator's trunk has one of its own: it may begin later than the rest.
    """
    found = {name: params[name] for name in params if name != G}
    found[G] = {name: tree for name, tree in params[G].items() if name != TRUNK}
    return {**found, TRUNK: params[G][TRUNK]}


def from_groups(found: dict[str, Params]) -> Params:
    """The inverse of `groups`."""
    params = {name: found[name] for name in found if name not in (G, TRUNK)}
    return {**params, G: {**found[G], TRUNK: found[TRUNK]}}


def averaged(params: Params) -> Params:
    """The networks that have a moving average: those that people use."""
    return {name: tree for name, tree in params.items() if name != D}


def init_state(
    modules: Modules,
    optimiser: optax.GradientTransformation,
    key: jax.Array,
    *,
    inputs: dict[str, tuple[Any, ...]],
    pool: tuple[int, int, int, int],
) -> TranslatorState:
    """Draws fresh networks and empty optimisers.

    Args:
        modules: the networks.
        optimiser: of every group.
        key: the run's root key.
        inputs: example inputs of every network, by name.
        pool: shape of the pool of made pictures.
    """
    streams = {G: Stream.INIT_G, D: Stream.INIT_D, E: Stream.INIT_E}
    variables = {
        name: module.init(stream_key(key, streams[name]), *inputs[name])
        for name, module in modules.all().items()
    }
    params = {name: tree["params"] for name, tree in variables.items()}
    stats = {
        name: tree[BATCH_STATS]
        for name, tree in variables.items()
        if BATCH_STATS in tree
    }
    return TranslatorState(
        step=jnp.zeros((), jnp.int32),
        nimg=jnp.zeros((), jnp.int32),
        params=params,
        opt={name: optimiser.init(tree) for name, tree in groups(params).items()},
        # A copy: the two trees must not share buffers, which steps donate.
        ema_params=jax.tree.map(jnp.copy, averaged(params)),
        batch_stats=stats,
        # A checkpoint cannot hold an array of no elements.
        pool={"images": jnp.zeros(pool)} if pool[0] else {},
    )
