"""The one phase: a step ``(state, batch, key) -> (state, metrics)``.

Written against the axis ``data`` (see ``spmd``). Batch norm takes its statistics over
all devices and, where gradients are accumulated, part by part.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stylegan_jax.models.attributes import BINARY, AttributeNet
from stylegan_jax.training import optim, rngs, spmd
from stylegan_jax.training.attributes.augment import Jitter, jitter_pictures
from stylegan_jax.training.attributes.state import AttributeState
from stylegan_jax.training.rngs import Stream
from stylegan_jax.training.run import Batch, Metrics
from stylegan_jax.training.updates import (
    accumulate,
    average_decay,
    move_average,
    to_model_range,
)


@dataclasses.dataclass(frozen=True)
class AttributeHyper:
    """Numbers of a run.

    Attributes:
        batch: pictures in the global batch.
        total: pictures of the whole run, which the rate falls over.
        balance: weights of 0 and of 1 for each attribute; (1, 1) for numbers.
        number_loss: ``huber`` or ``mse``.
        jitter: how pictures are changed.
        accumulate: parts that a device's share of the batch is processed in.
        learning_rate: the highest.
        schedule: ``constant``, or ``cosine``, which falls to 0.
        warmup: pictures over which the rate rises from 0.
        weight_decay: of kernels, decoupled from the gradient.
        ema_kimg: half-life of the averaged network in thousands of pictures.
        ema_rampup: half-life is at most this share of the pictures seen; None for none.
    """

    batch: int
    total: int
    balance: tuple[tuple[float, float], ...]
    number_loss: str = "huber"
    jitter: Jitter = dataclasses.field(default_factory=Jitter)
    accumulate: int = 1
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 0
    weight_decay: float = 0.0
    ema_kimg: float = 1.0
    ema_rampup: float | None = 0.05


def make_optimiser(hyper: AttributeHyper) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), at rate 1.

    `rate` scales its updates: it follows the pictures seen, not the steps.
    """
    kernels = lambda params: jax.tree.map(lambda x: x.ndim > 1, params)  # noqa: E731
    decay = optax.add_decayed_weights(hyper.weight_decay, kernels)
    return optax.chain(optax.scale_by_adam(), decay)


def rate(hyper: AttributeHyper, nimg: jax.Array) -> jax.Array:
    """The learning rate after so many pictures, float32 scalar."""
    seen = nimg.astype(jnp.float32)
    found = jnp.asarray(hyper.learning_rate, jnp.float32)
    if hyper.schedule == "cosine":
        share = jnp.minimum(seen / hyper.total, 1.0)
        found = found * 0.5 * (1 + jnp.cos(math.pi * share))
    if hyper.warmup > 0:
        found = found * jnp.minimum((seen + hyper.batch) / hyper.warmup, 1.0)
    return found


def losses(
    module: AttributeNet, hyper: AttributeHyper, outputs: Any, values: Any
) -> dict[str, jax.Array]:
    """The loss of every attribute and picture, by name.

    Cross-entropy with weights for 0 and 1 for what is binary; Huber's loss (1964), with
    1 standard deviation as its bend, or half the squared error for numbers.

    Args:
        module: tells kinds, means and deviations.
        hyper: weights, and the numbers' loss.
        outputs: [N, A] of the network.
        values: [N, A] of the data.

    Returns:
        [N] float32 for each attribute.
    """
    found = {}
    for a, name in enumerate(module.names):
        out, value = outputs[:, a], values[:, a]
        if module.kinds[a] == BINARY:
            zero, one = hyper.balance[a]
            weight = zero + (one - zero) * value
            found[name] = weight * optax.sigmoid_binary_cross_entropy(out, value)
            continue
        target = (value - module.means[a]) / module.stds[a]
        if hyper.number_loss == "huber":
            found[name] = optax.huber_loss(out, target)
        else:
            found[name] = 0.5 * jnp.square(out - target)
    return found


def total_of(by_name: Mapping[str, Any]) -> Any:
    """The mean over attributes of their mean losses."""
    return sum(jnp.mean(x) for x in by_name.values()) / len(by_name)


def balanced(values: np.ndarray, kinds: tuple[str, ...], wanted: bool) -> Any:
    """Weights of 0 and of 1 for each attribute.

    Args:
        values: [N, A], of the pictures that are trained on.
        kinds: of the attributes.
        wanted: whether both classes of an attribute shall weigh the same in sum; a
            weight is 10 at most.
    """
    found = []
    for a, kind in enumerate(kinds):
        share = float(values[:, a].mean())
        if not wanted or kind != BINARY:
            found.append((1.0, 1.0))
            continue
        weights = [min(10.0, 0.5 / max(p, 1e-6)) for p in (1 - share, share)]
        found.append((weights[0], weights[1]))
    return tuple(found)


def make_step(module: AttributeNet, hyper: AttributeHyper):
    """The step that trains the network."""
    optimiser = make_optimiser(hyper)

    def step(
        state: AttributeState, batch: Batch, key: jax.Array
    ) -> tuple[AttributeState, Metrics]:
        # Every tree that meets local data is made varying, see ``spmd``.
        local = spmd.varying(state)

        def gradient(params, state, part, key):
            keys = rngs.sample_keys(key, Stream.ATTRIBUTES, state.step, part["index"])
            images = to_model_range(part["image"])
            x = jitter_pictures(images, keys, module.input_size, hyper.jitter)

            def loss(params):
                outputs, moved = module.apply(
                    {"params": params, "batch_stats": state.batch_stats},
                    x,
                    train=True,
                    axis_name=spmd.AXIS,
                    mutable=["batch_stats"],
                )
                by_name = losses(module, hyper, outputs, part["values"])
                total = total_of(by_name)
                means = {f"loss/{n}": jnp.mean(v) for n, v in by_name.items()}
                metrics = {"loss/attributes": total, **means}
                stats = moved["batch_stats"]
                return total, {"metrics": metrics, "batch_stats": stats}

            return jax.grad(loss, has_aux=True)(params)

        gradients, aux = accumulate(
            gradient, local.params, local, batch, key, hyper.accumulate
        )
        gradients, aux = spmd.mean((gradients, aux))
        gradients, bad = optim.replace_nonfinite(gradients)
        updates, opt = optimiser.update(gradients, state.opt, state.params)
        now = rate(hyper, state.nimg)
        params = jax.tree.map(lambda p, u: p - now * u, state.params, updates)
        metrics = {**aux["metrics"], "nonfinite/attributes": bad, "rate": now}
        # Each part moved the same running statistics a little: their average is what
        # the average of the parts' statistics would have made of them.
        state = state.replace(params=params, opt=opt, batch_stats=aux["batch_stats"])
        return state, metrics

    return step


def end_step(state: AttributeState, hyper: AttributeHyper) -> AttributeState:
    """Moves the averaged network and the counters."""
    decay = average_decay(hyper.batch, state.nimg, hyper.ema_kimg, hyper.ema_rampup)
    return state.replace(
        ema_params=move_average(state.ema_params, state.params, decay),
        step=state.step + 1,
        nimg=state.nimg + hyper.batch,
    )
