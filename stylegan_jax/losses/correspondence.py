"""Cross-domain correspondence: what is alike before fine-tuning stays alike after it.

Ojha et al. 2021, "Few-shot Image Generation via Cross-domain Correspondence".
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

# Added to squared lengths, so that features of zeros have a gradient.
_TINY = 1e-12


def cross_domain_correspondence(
    adapted: Sequence[jax.Array], source: Sequence[jax.Array], group: int
) -> jax.Array:
    """How differently two generators place the same latents towards each other.

    In a group, picture i's cosine similarities to the others are made a distribution by
    a softmax, at every layer and for both generators (equations 1 to 3). The result is
    the divergence of the adapted generator's from the source's.

    Args:
        adapted: features [N, ...] of each layer, of the generator in training.
        source: the same of the generator that it began from, for the same latents.
        group: pictures that are compared with each other; sample i is in group
            i mod (N / group), as for the minibatch statistics.

    Returns:
        Float32 scalar: the Kullback-Leibler divergence, mean over pictures and layers
        (DIFF(paper): a sum over layers there). 0 where the generators agree.

    Raises:
        ValueError: groups of fewer than three pictures, whose distributions are all
            the same, or that do not divide N.
    """
    n = adapted[0].shape[0]
    if group < 3 or n % group:
        raise ValueError(
            f"groups of {group} pictures among {n}: at least 3, and a divisor, needed"
        )
    divergences = []
    for new, old in zip(adapted, source, strict=True):
        p, q = _log_similarities(new, group), _log_similarities(old, group)
        divergences.append(jnp.mean(jnp.sum(jnp.exp(p) * (p - q), -1)))
    return jnp.mean(jnp.stack(divergences))


def _log_similarities(features: jax.Array, group: int) -> jax.Array:
    """Log-distributions [N / group, group, group - 1] over a picture's others."""
    n = features.shape[0]
    # Float32: cosines of nearly equal features differ in their last digits.
    rows = features.astype(jnp.float32).reshape(group, n // group, -1)
    length = jnp.sqrt(jnp.sum(jnp.square(rows), -1, keepdims=True) + _TINY)
    rows = rows / length
    cosines = jnp.einsum(
        "igd,jgd->gij", rows, rows, precision=jax.lax.Precision.HIGHEST
    )
    # Without the diagonal: a picture's similarity to itself says nothing.
    away = jnp.arange(group)[:, None]
    others = (away + jnp.arange(1, group)) % group  # [group, group - 1]
    cosines = jnp.take_along_axis(cosines, others[None], axis=2)
    return jax.nn.log_softmax(cosines, -1)
