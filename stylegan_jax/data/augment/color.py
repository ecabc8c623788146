"""Colour: one 4x4 matrix per image, on homogeneous colours (r, g, b, 1)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.data.augment.draws import Draws, Op
from stylegan_jax.data.augment.spec import AugmentSpec
from stylegan_jax.errors import UsageError

# Projection of a homogeneous colour on the grey axis, and the cross product with that
# axis' unit vector: a rotation about it is made of these two.
_GREY = np.zeros((4, 4), np.float32)
_GREY[:3, :3] = 1.0 / 3.0
_CROSS = np.zeros((4, 4), np.float32)
_CROSS[:3, :3] = np.asarray([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3.0)
_ONE = np.diag(np.asarray([0, 0, 0, 1], np.float32))
_COLOURS = np.diag(np.asarray([1, 1, 1, 0], np.float32))


def check_channels(spec: AugmentSpec, channels: int) -> None:
    """Refuses colour operations on what is neither grey, RGB nor RGBA.

    Raises:
        UsageError: naming the pipelines that work.
    """
    if spec.colour and channels not in (1, 3, 4):
        raise UsageError(
            f"Colour augmentation needs 1, 3 or 4 channels, the images have "
            f"{channels}: choose the pipeline blit, geom or bg."
        )


def draw_matrix(
    draws: Draws, p: jax.Array, spec: AugmentSpec, *, grey: bool
) -> jax.Array:
    """One image's [4, 4] float32, from the source's colour to the result's.

    Brightness, contrast, luma flip, hue, saturation, in this order (StyleGAN2-ADA,
    appendix B).

    Args:
        draws: the image's random numbers.
        p: probability multiplier.
        spec: the operations.
        grey: leaves out hue and saturation, which a grey image does not have.
    """
    matrix = jnp.eye(4, dtype=jnp.float32)
    for step in _steps(draws, p, spec, grey):
        matrix = jnp.matmul(step, matrix, precision=jax.lax.Precision.HIGHEST)
    return matrix


def _steps(draws, p, spec, grey):
    if spec.has("brightness"):
        added = draws.normal(Op.BRIGHTNESS) * spec.brightness_std
        added *= draws.happens(Op.BRIGHTNESS, spec.brightness * p)
        yield jnp.eye(4, dtype=jnp.float32).at[:3, 3].set(added)
    if spec.has("contrast"):
        exponent = draws.normal(Op.CONTRAST) * spec.contrast_std
        exponent *= draws.happens(Op.CONTRAST, spec.contrast * p)
        yield _COLOURS * jnp.exp2(exponent) + _ONE
    if spec.has("lumaflip"):
        flips = jnp.floor(draws.uniform(Op.LUMAFLIP) * 2.0)
        flips *= draws.happens(Op.LUMAFLIP, spec.lumaflip * p)
        # Mirrors the colour in the plane through black that is normal to the grey axis.
        yield _COLOURS + _ONE - 2.0 * _GREY * flips
    if spec.has("hue") and not grey:
        angle = (draws.uniform(Op.HUE) * 2.0 - 1.0) * (math.pi * spec.hue_max)
        angle *= draws.happens(Op.HUE, spec.hue * p)
        across = (_COLOURS - _GREY) * jnp.cos(angle) + _CROSS * jnp.sin(angle)
        yield _GREY + across + _ONE
    if spec.has("saturation") and not grey:
        exponent = draws.normal(Op.SATURATION) * spec.saturation_std
        exponent *= draws.happens(Op.SATURATION, spec.saturation * p)
        yield _GREY + (_COLOURS - _GREY) * jnp.exp2(exponent) + _ONE


def recolour(images: jax.Array, matrices: jax.Array) -> jax.Array:
    """Applies every image's matrix to its pixels.

    Args:
        images: [N, H, W, C] float32; C = 3, or 4 whose last channel (alpha) is left as
            it is, or 1, which stands for three equal channels: the result is the mean
            of the three that the matrix gives.
        matrices: [N, 4, 4] float32.

    Returns:
        [N, H, W, C] float32.
    """
    linear, added = matrices[:, :3, :3], matrices[:, None, None, :3, 3]
    if images.shape[3] == 1:
        gain = jnp.sum(linear, (1, 2))[:, None, None, None] / 3.0
        return images * gain + jnp.mean(added, 3, keepdims=True)
    colours, alpha = images[..., :3], images[..., 3:]
    # Not a matrix product: accelerators round those, and three terms gain nothing.
    columns = linear.transpose(2, 0, 1)[:, :, None, None, :]  # [in, N, 1, 1, out]
    mixed = sum(colours[..., c : c + 1] * columns[c] for c in range(3)) + added
    return jnp.concatenate([mixed, alpha], 3) if alpha.shape[3] else mixed
