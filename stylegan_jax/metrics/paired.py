"""Figures of pictures against the pictures that they should be.

Those that pSp is judged by (Richardson et al. 2021, section 4): mean squared
difference, LPIPS, and how alike two faces are to an identity network; and the mean
absolute difference. Every function of pictures gives one value per pair; frozen
networks come in as functions. And what becomes of attributes that are read from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.losses.encoder import l2
from stylegan_jax.models.features.irse import adaptive_average_pool

__all__ = [
    "MEASURED_SIZE",
    "compare",
    "cosine",
    "l1",
    "l2",
    "retention",
    "shrink",
    "summary",
]

# pSp compares pictures at 256 pixels, whatever its decoder draws.
MEASURED_SIZE = 256


def l1(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean absolute difference: 0 for equal pictures, 2 for black and white.

    Args:
        x: [N, H, W, C] float32 in [-1, 1].
        y: the same shape and range.

    Returns:
        [N] float32.

    Raises:
        ValueError: shapes that differ.
    """
    if x.shape != y.shape:
        raise ValueError(
            f"l1 compares pictures [N, H, W, C] of one shape, got {list(x.shape)} and "
            f"{list(y.shape)}."
        )
    return jnp.mean(jnp.abs(x - y), (1, 2, 3))


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    """Cosine of the angle between features, 1 for one direction.

    Args:
        a: [N, D], of any length above 0.
        b: the same shape.

    Returns:
        [N] float32 from -1 to 1.
    """
    a, b = (x.astype(jnp.float32) for x in (a, b))
    lengths = jnp.linalg.norm(a, axis=1) * jnp.linalg.norm(b, axis=1)
    return jnp.sum(a * b, axis=1) / jnp.maximum(lengths, 1e-12)


def shrink(x: jax.Array, size: int = MEASURED_SIZE) -> jax.Array:
    """Averages pictures down to a side; smaller ones stay as they are.

    Args:
        x: [N, H, W, C] float32.
        size: the largest side that is left.

    Returns:
        [N, min(H, size), min(W, size), C] float32.
    """
    height, width = x.shape[1:3]
    if max(height, width) <= size:
        return x
    return adaptive_average_pool(x, (min(height, size), min(width, size)))


def compare(
    x: jax.Array,
    y: jax.Array,
    *,
    lpips: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    embed: Callable[[jax.Array], jax.Array] | None = None,
    size: int = MEASURED_SIZE,
) -> dict[str, jax.Array]:
    """Compares pictures with those that they should be.

    Args:
        x: [N, H, W, C] float32 in [-1, 1].
        y: the same shape and range.
        lpips: from two such pictures to [N]; None leaves it out.
        embed: from pictures to identities [N, D]; None leaves it out.
        size: both are averaged down to this side first, see `shrink`.

    Returns:
        By name, [N] float32: ``l1``, ``l2``, and where there is a network ``lpips``
        (less is better) and ``identity`` (cosine; more is better).
    """
    x, y = shrink(x, size), shrink(y, size)
    found = {"l1": l1(x, y), "l2": l2(x, y)}
    if lpips is not None:
        found["lpips"] = lpips(x, y)
    if embed is not None:
        found["identity"] = cosine(embed(x), embed(y))
    return found


def summary(values: Mapping[str, Sequence[float] | np.ndarray]) -> dict[str, float]:
    """Means and standard deviations of figures.

    Args:
        values: by name, one per pair, at least one.

    Returns:
        ``<name>`` the mean and ``<name>_std`` the standard deviation over the pairs.
    """
    found: dict[str, float] = {}
    for name, each in values.items():
        array = np.asarray(each, np.float64)
        found[name] = float(array.mean())
        found[f"{name}_std"] = float(array.std())
    return found


def retention(
    output: np.ndarray,
    target: np.ndarray,
    source: np.ndarray | None,
    *,
    binary: bool,
) -> dict[str, float | None]:
    """What became of one attribute on the way through a model.

    Args:
        output: [N] float, read from the model's pictures.
        target: [N], read from the pictures that they should be.
        source: [N], read from what the model was shown; None where that is no picture.
        binary: whether readings are probabilities.

    Returns:
        The means ``output``, ``target`` and ``source``; ``correlation_target`` and
        ``correlation_source`` of the output with these over the pairs, None where one
        of the two does not vary; of binary ones ``kept_target`` and ``kept_source``,
        the share of pairs that lie on the same side of 1/2.
    """
    others = {"target": target, "source": source}
    readings = {"output": np.asarray(output, np.float64)} | {
        name: np.asarray(each, np.float64)
        for name, each in others.items()
        if each is not None
    }
    own = readings["output"]
    found: dict[str, float | None] = {k: float(v.mean()) for k, v in readings.items()}
    for name, each in readings.items():
        if name == "output":
            continue
        varies = min(own.std(), each.std()) > 0
        alike = float(np.corrcoef(own, each)[0, 1]) if varies else None
        found[f"correlation_{name}"] = alike
        if binary:
            found[f"kept_{name}"] = float(np.mean((own > 0.5) == (each > 0.5)))
    return found
