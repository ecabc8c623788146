"""Losses of encoders: how far a decoded picture is from the wanted one.

Richardson et al. 2021, "Encoding in Style: a StyleGAN Encoder for Image-to-Image
Translation" (pSp), section 3.2. Every function returns one value per sample; weights
and means over a batch are the training step's. Frozen networks come in as functions, so
that their parameters stay arguments of the compiled step.

LPIPS (equation 2) is such a function itself, `stylegan_jax.models.features.LPIPS`; on
the inner face it is taken of `inner_face` of both pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stylegan_jax.models.features import inputs
from stylegan_jax.models.features.irse import (
    ALIGNED_COLUMNS,
    ALIGNED_ROWS,
    ALIGNED_SIZE,
)

# From pictures [N, H, W, 3] in [-1, 1] to features [N, D].
Features = Callable[[jax.Array], jax.Array]

# Pictures as MoCo's network was trained with them.
MOCO_SIZE = 224
# Below it the crop of the inner face could reach beyond the picture.
SMALLEST_FACE = 8


def l2(x: jax.Array, y: jax.Array) -> jax.Array:
    """Mean squared difference (equation 1; DIFF(paper): the norm there).

    Args:
        x: [N, H, W, C] in [-1, 1].
        y: the same shape and range.

    Returns:
        [N] float32, the mean over pixels and channels.

    Raises:
        ValueError: shapes that differ, or another rank.
    """
    _check_pair(x, y, "l2")
    difference = x.astype(jnp.float32) - y.astype(jnp.float32)
    return jnp.mean(jnp.square(difference), (1, 2, 3))


def w_norm(w_plus: jax.Array, w_avg: jax.Array) -> jax.Array:
    """Length of what an encoder adds to the mean latent (equation 3).

    Args:
        w_plus: [N, num_ws, w_dim], the mean included.
        w_avg: what to measure from: [w_dim], [num_ws, w_dim], or zeros for an encoder
            that does not begin at the mean.

    Returns:
        [N] float32, the Frobenius norm of the difference; its gradient is 0 where the
        difference is 0.

    Raises:
        ValueError: another rank, or a mean of another width.
    """
    if w_plus.ndim != 3:
        raise ValueError(
            f"w_norm takes w_plus [N, num_ws, w_dim], got {list(w_plus.shape)}."
        )
    if w_avg.shape not in (w_plus.shape[2:], w_plus.shape[1:]):
        raise ValueError(
            f"w_norm takes w_avg {list(w_plus.shape[2:])} or {list(w_plus.shape[1:])}, "
            f"got {list(w_avg.shape)}."
        )
    difference = w_plus.astype(jnp.float32) - w_avg.astype(jnp.float32)
    squares = jnp.sum(jnp.square(difference), (1, 2))
    # The root's slope at 0 is infinite; the inner `where` keeps NaN out of the
    # gradient. An encoder that begins at the mean is there in its first step.
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def identity(embed: Features, x: jax.Array, y: jax.Array) -> jax.Array:
    """How unlike two pictures are as persons (equation 4): 1 - cosine.

    Args:
        embed: an identity network that cuts the face out itself, e.g. `embed_aligned`
            of an `IRSEFeatures` or a `MobileFaceNetFeatures`; to [N, D] of length 1.
        x: [N, H, W, 3] in [-1, 1], the decoded pictures.
        y: the same shape and range, the wanted ones; no gradient reaches them.

    Returns:
        [N] float32: 0 for the same embedding, 1 for strangers, 2 at most.

    Raises:
        ValueError: shapes that differ, or another rank.
    """
    _check_pair(x, y, "identity")
    return _cosine_distance(embed(x), embed(jax.lax.stop_gradient(y)))


def moco(features: Features, x: jax.Array, y: jax.Array) -> jax.Array:
    """How unlike two pictures of any kind are, to MoCo's ResNet-50: 1 - cosine.

    Tov et al. 2021, "Designing an Encoder for StyleGAN Image Manipulation" (e4e),
    section 4: the identity loss for everything that is no face. Features are of MoCo
    v2 (Chen et al. 2020, arXiv:2003.04297), brought to length 1 here.

    DIFF(pSp's and e4e's programs): pictures are resized with antialiasing and have
    ImageNet's mean and deviation taken off, as the network was trained. There it sees
    the nearest pixels, in [-1, 1].

    Args:
        features: the network from normalised pictures [N, 224, 224, 3] to pooled
            features [N, D], e.g. ``pool`` of the module of a `ResNetFeatures`.
        x: [N, H, W, 3] in [-1, 1], the decoded pictures.
        y: the same shape and range, the wanted ones; no gradient reaches them.

    Returns:
        [N] float32: 0 for the same features, 1 for unrelated ones.

    Raises:
        ValueError: shapes that differ, or another rank.
    """
    _check_pair(x, y, "moco")

    def embed(pictures: jax.Array) -> jax.Array:
        return _unit_length(features(moco_input(pictures)))

    return _cosine_distance(embed(x), embed(jax.lax.stop_gradient(y)))


def moco_input(x: jax.Array) -> jax.Array:
    """Pictures as MoCo's network takes them.

    Args:
        x: [N, H, W, 3] in [-1, 1].

    Returns:
        [N, 224, 224, 3] float32 with ImageNet's mean and deviation taken off.
    """
    shape = (x.shape[0], MOCO_SIZE, MOCO_SIZE, x.shape[3])
    x = x.astype(jnp.float32)
    if x.shape != shape:
        # Exact factors, as everywhere in front of frozen networks.
        x = jax.image.resize(x, shape, "linear", precision=jax.lax.Precision.HIGHEST)
    return inputs.imagenet(x)


def inner_face(x: jax.Array) -> jax.Array:
    """The middle of a face aligned as FFHQ, without most of hair and background.

    pSp's crop for the inner L2 and LPIPS: rows 35 to 223 and columns 32 to 220 of 256.
    In pictures of another size the first row and column and the length are these,
    scaled and rounded (halves up), so that the crop of a square picture is square.

    Args:
        x: [N, H, W, C], H and W at least 8.

    Returns:
        [N, 188 H / 256, 188 W / 256, C], rounded.

    Raises:
        ValueError: smaller pictures, or another rank.
    """
    if x.ndim != 4 or min(x.shape[1:3]) < SMALLEST_FACE:
        raise ValueError(
            f"inner_face takes pictures [N, H, W, C] of at least {SMALLEST_FACE} "
            f"pixels a side, got {list(x.shape)}."
        )
    rows = _scaled(ALIGNED_ROWS, x.shape[1])
    columns = _scaled(ALIGNED_COLUMNS, x.shape[2])
    return x[:, rows, columns]


def _scaled(ends: tuple[int, int], side: int) -> slice:
    """Where a stretch of 256 lies in a side of any length."""

    def rounded(part: int) -> int:
        return (2 * part * side + ALIGNED_SIZE) // (2 * ALIGNED_SIZE)

    start = rounded(ends[0])
    return slice(start, start + rounded(ends[1] - ends[0]))


def _cosine_distance(x: jax.Array, y: jax.Array) -> jax.Array:
    """1 - the scalar product of each pair of vectors [N, D] of length 1."""
    x, y = x.astype(jnp.float32), y.astype(jnp.float32)
    return 1 - jnp.sum(x * y, 1)


def _unit_length(x: jax.Array) -> jax.Array:
    """Vectors [N, D] brought to length 1; zeros stay zeros, with a gradient of 0."""
    squares = jnp.sum(jnp.square(x), 1, keepdims=True)
    positive = squares > 0
    return jnp.where(positive, x * jax.lax.rsqrt(jnp.where(positive, squares, 1)), 0)


def _check_pair(x: jax.Array, y: jax.Array, name: str) -> None:
    """Raises `ValueError` unless both are pictures of one shape."""
    if x.ndim != 4 or x.shape != y.shape:
        raise ValueError(
            f"{name} compares pictures [N, H, W, C] of one shape, got {list(x.shape)} "
            f"and {list(y.shape)}."
        )
