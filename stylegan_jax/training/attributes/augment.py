"""What happens to a picture before the network in training sees it.

Faces lie otherwise in other people's pictures: larger, smaller, turned, in other light,
blurred. Every draw for a sample comes from its own key.
"""

from __future__ import annotations

import dataclasses
import enum
import math

import jax
import jax.numpy as jnp

from stylegan_jax.data.augment import pair_source

# Grey of a colour, as sRGB pictures are commonly weighted (Rec. 601).
_LUMA = (0.299, 0.587, 0.114)


class Op(enum.IntEnum):
    """What a draw is for. The numbers are part of a run: never reuse one."""

    PLACE = 0
    LIGHT = 1
    SHRINK = 2
    NOISE = 3
    NOISE_LEVEL = 4


@dataclasses.dataclass(frozen=True)
class Jitter:
    """How far pictures are changed; every draw is uniform.

    Attributes:
        mirror: half of the pictures are flipped left to right.
        zoom: smallest and largest factor by which the picture is enlarged.
        shift: largest move up, down and to the sides, as a share of the side.
        turn: largest rotation, in degrees.
        light: largest change of brightness (in units of [-1, 1]); contrast, saturation
            and the channels' gains change by factors up to exp(±light), the gains by a
            third of that.
        shrink: the picture is shrunk by one of these factors and enlarged again.
        noise: largest deviation of noise, in units of [-1, 1].
    """

    mirror: bool = True
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    turn: float = 0.0
    light: float = 0.0
    shrink: tuple[int, ...] = ()
    noise: float = 0.0


def jitter_pictures(
    images: jax.Array, keys: jax.Array, size: int, jitter: Jitter
) -> jax.Array:
    """Changes pictures at random.

    Args:
        images: [N, H, W, 3] float32 in [-1, 1], square.
        keys: [N] keys.
        size: side of the result.
        jitter: how far.

    Returns:
        [N, size, size, 3] float32 in [-1, 1].
    """

    def own(op: Op) -> jax.Array:
        return jax.vmap(jax.random.fold_in, (0, None))(keys, int(op))

    x = jax.vmap(lambda i, k: _place(i, k, size, jitter))(images, own(Op.PLACE))
    if jitter.light > 0:
        x = jax.vmap(lambda i, k: _light(i, k, jitter.light))(x, own(Op.LIGHT))
    if jitter.shrink:
        x = pair_source.degrade(jnp.clip(x, -1, 1), own(Op.SHRINK), jitter.shrink)
    if jitter.noise > 0:
        shape = (size, size, 3)
        grain = jax.vmap(lambda k: jax.random.normal(k, shape))(own(Op.NOISE))
        level = jax.vmap(jax.random.uniform)(own(Op.NOISE_LEVEL)) * jitter.noise
        x = x + grain * level[:, None, None, None]
    return jnp.clip(x, -1.0, 1.0)


def _place(image: jax.Array, key: jax.Array, size: int, jitter: Jitter) -> jax.Array:
    """One picture zoomed, turned, moved and flipped; its border is drawn out."""
    low, high = (math.log(factor) for factor in jitter.zoom)
    u = jax.random.uniform(key, (5,))
    zoom = jnp.exp(low + (high - low) * u[0])
    angle = (2 * u[1] - 1) * math.radians(jitter.turn)
    move = (2 * u[2:4] - 1) * jitter.shift
    flip = jnp.where(jitter.mirror & (u[4] < 0.5), -1.0, 1.0)
    # Twice as fine as the result, whose pixels are means of four samples: a picture
    # that is made smaller would otherwise shimmer. From -1/2 to 1/2 of the side.
    fine = 2 * size
    line = (jnp.arange(fine) + 0.5) / fine - 0.5
    x, y = line[None, :] * flip / zoom, line[:, None] / zoom
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    side = image.shape[0]
    columns = (cos * x - sin * y + move[0] + 0.5) * side - 0.5
    rows = (sin * x + cos * y + move[1] + 0.5) * side - 0.5
    found = _sample(image, rows, columns)
    return found.reshape(size, 2, size, 2, 3).mean((1, 3))


def _sample(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Bilinear values [h, w, 3] at places [h, w]; the border goes on outside."""
    last = image.shape[0] - 1
    rows, columns = jnp.clip(rows, 0, last), jnp.clip(columns, 0, last)
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    i, j = top.astype(jnp.int32), left.astype(jnp.int32)
    below, beside = jnp.minimum(i + 1, last), jnp.minimum(j + 1, last)
    upper = image[i, j] * (1 - right) + image[i, beside] * right
    lower = image[below, j] * (1 - right) + image[below, beside] * right
    return upper * (1 - down) + lower * down


def _light(image: jax.Array, key: jax.Array, amount: float) -> jax.Array:
    """One picture in other light: brightness, contrast, saturation, channels' gains."""
    u = jax.random.uniform(key, (6,), minval=-1.0) * amount
    # Not a matrix product: accelerators round those.
    grey = sum(image[..., c : c + 1] * weight for c, weight in enumerate(_LUMA))
    x = grey + (image - grey) * jnp.exp(u[0])
    x = x * jnp.exp(u[1]) * jnp.exp(u[2:5] / 3)
    return x + u[5]
