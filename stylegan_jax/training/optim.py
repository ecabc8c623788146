"""Optimisers: Adam with the correction for lazy regularisation, and Ranger.

Also the mending of non-finite gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


def lazy_adam(
    learning_rate: float,
    interval: int,
    *,
    b1: float = 0.0,
    b2: float = 0.99,
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Adam for a network that takes an extra regularisation step now and then.

    With one regularisation step every ``interval`` steps, learning rate and decay
    rates are corrected by c = k / (k + 1): lr * c, b1**c, b2**c, so that a main and its
    share of a regularisation step move the weights as far as one plain step (Karras et
    al. 2020, appendix B).

    Args:
        learning_rate: uncorrected rate.
        interval: k; 0 for no separate regularisation step.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root of the second moment.
    """
    c = interval / (interval + 1) if interval > 0 else 1.0
    return optax.adam(learning_rate * c, b1=b1**c, b2=b2**c, eps=eps)


class RangerState(NamedTuple):
    """State of `ranger`.

    Attributes:
        inner: the state of lookahead around rectified Adam.
        slow: the slow weights, a tree like the parameters.
    """

    inner: Any
    slow: Any


def ranger(
    learning_rate: float,
    *,
    b1: float = 0.95,
    b2: float = 0.999,
    eps: float = 1e-5,
    alpha: float = 0.5,
    k: int = 6,
) -> optax.GradientTransformation:
    """Ranger: lookahead around rectified Adam on centralised gradients.

    The gradient of every kernel is centralised (`centralise`, Yong et al. 2020), Adam
    takes its rectified step (Liu et al. 2020, algorithm 2: no division by the second
    moment while fewer than 5 samples count), and every k-th step goes back from the
    fast weights to the slow ones after these went alpha of the way to the fast (Zhang
    et al. 2019, algorithm 1).

    The parameters are the fast weights, a plain tree; the slow ones are in the state.
    After every k-th step both are equal.

    DIFF(psp): eps stands next to the root of the corrected second moment, as in the
    paper of Adam, and not next to the uncorrected one's: there it weighs
    1 / sqrt(1 - b2**t) times as much, 13 times at step 6 and twice at step 290.
    DIFF(psp): centralised over all axes but the last, the output channels of every
    kernel here. There the first axis is kept: the modulated convolutions of its decoder
    have one of length 1, so that their gradients lose a single mean.

    Args:
        learning_rate: rate of the fast weights.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root of the second moment.
        alpha: how far the slow weights go to the fast ones, (0, 1]; 1 is no lookahead.
        k: steps of the fast weights for one of the slow.

    Returns:
        A transformation whose ``update`` needs the parameters.
    """
    fast = optax.radam(learning_rate, b1=b1, b2=b2, eps=eps, threshold=5.0)
    inner = optax.lookahead(fast, sync_period=k, slow_step_size=alpha)

    def init(params: Any) -> RangerState:
        pair = optax.LookaheadParams.init_synced(params)
        # A copy: one buffer in two places of a state cannot be donated to a step.
        return RangerState(inner.init(pair), jax.tree.map(jnp.copy, params))

    def update(gradients: Any, state: RangerState, params: Any = None):
        if params is None:
            raise ValueError("ranger's update needs the parameters.")
        pair = optax.LookaheadParams(fast=params, slow=state.slow)
        updates, new = inner.update(centralise(gradients), state.inner, pair)
        slow = optax.apply_updates(state.slow, updates.slow)
        return updates.fast, RangerState(new, slow)

    return optax.GradientTransformation(init, update)


def centralise(gradients: Any) -> Any:
    """Takes from a kernel's gradient its mean over all axes but the last.

    Gradient centralisation (Yong et al. 2020, arXiv:2004.01461, equation 1): the
    weights of an output channel, the last axis of HWIO and [in, out] kernels, keep
    their mean. Vectors and scalars stay as they are.
    """

    def centred(g: jax.Array) -> jax.Array:
        return g if g.ndim < 2 else g - g.mean(range(g.ndim - 1), keepdims=True)

    return jax.tree.map(centred, gradients)


def replace_nonfinite(gradients: Any) -> tuple[Any, jax.Array]:
    """Replaces NaN by 0 and +-inf by +-1e5, as NVIDIA's loop does.

    Returns:
        The mended gradients and the number of elements replaced, float32 (a count of
        millions must not overflow an int on its way through an average).
    """
    bad = sum(
        jnp.sum(~jnp.isfinite(g), dtype=jnp.float32) for g in jax.tree.leaves(gradients)
    )
    mended = jax.tree.map(
        lambda g: jnp.nan_to_num(g, nan=0.0, posinf=1e5, neginf=-1e5), gradients
    )
    return mended, jnp.asarray(bad, jnp.float32)
