"""Optimisers with the correction for lazy regularisation; non-finite gradients."""

from __future__ import annotations

from typing import Any

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
