"""DiffAugment (Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN
Training"): weak, always applied, and without a probability to steer.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from stylegan_jax.data.augment.pipeline import check_images
from stylegan_jax.errors import UsageError

_TRANSLATION = 1 / 8  # largest move, as a share of the side
_CUTOUT = 1 / 2  # side of the square, as a share of the image's


def parse_policy(policy: str) -> tuple[str, ...]:
    """Reads names such as ``color,translation,cutout``, in the order of application.

    Raises:
        UsageError: for unknown names, a name given twice, or none at all.
    """
    names = tuple(name.strip() for name in policy.split(","))
    unknown = [name for name in names if name not in _CHANGES]
    if unknown or len(set(names)) < len(names):
        raise UsageError(
            f"The augmentation policy '{policy}' is not understood: give some of "
            f"{', '.join(_CHANGES)}, each once, with commas between them."
        )
    return names


def diffaugment(
    images: jax.Array, keys: jax.Array, policy: str = "color,translation,cutout"
) -> jax.Array:
    """Augments every image by the policy; an image's result needs its own key alone.

    ``color``: adds from [-0.5, 0.5] to all channels, scales the distance from the
    pixel's grey by [0, 2], and the distance from the image's mean by [0.5, 1.5].
    ``translation``: moves by up to an eighth of the sides, 0 where nothing is left.
    ``cutout``: sets a rectangle of half the sides to 0; its middle is anywhere.

    Args:
        images: [N, H, W, C] float32 in [-1, 1].
        keys: [N] keys.
        policy: see ``parse_policy``.

    Returns:
        [N, H, W, C] float32.

    Raises:
        ValueError: for images of another shape or type, or the wrong number of keys.
        UsageError: for a policy that is not understood.
    """
    check_images(images, keys)
    numbers = {name: i for i, name in enumerate(_CHANGES)}
    for name in parse_policy(policy):
        own = jax.vmap(jax.random.fold_in, (0, None))(keys, numbers[name])
        images = jax.vmap(_CHANGES[name])(images, own)
    return images


def _color(image, key):
    brightness, saturation, contrast = jax.random.uniform(key, (3,), jnp.float32)
    image += brightness - 0.5
    grey = jnp.mean(image, 2, keepdims=True)
    image = grey + (image - grey) * (2.0 * saturation)
    mean = jnp.mean(image)
    return mean + (image - mean) * (0.5 + contrast)


def _translation(image, key):
    moves = [int(side * _TRANSLATION + 0.5) for side in image.shape[:2]]
    padded = jnp.pad(image, [(move, move) for move in moves] + [(0, 0)])
    most = 2 * jnp.asarray(moves)
    start = jax.random.randint(key, (2,), 0, most + 1)
    return jax.lax.dynamic_slice(padded, (start[0], start[1], 0), image.shape)


def _cutout(image, key):
    sides = [int(side * _CUTOUT + 0.5) for side in image.shape[:2]]
    # An even rectangle's middle lies between two pixels, or on the image's border.
    places = jnp.asarray(
        [n + 1 - s % 2 for n, s in zip(image.shape[:2], sides, strict=True)]
    )
    first = jax.random.randint(key, (2,), 0, places) - jnp.asarray(sides) // 2
    y = jnp.arange(image.shape[0])[:, None, None] - first[0]
    x = jnp.arange(image.shape[1])[None, :, None] - first[1]
    inside = (y >= 0) & (y < sides[0]) & (x >= 0) & (x < sides[1])
    return image * (1.0 - inside.astype(jnp.float32))


_CHANGES = {"color": _color, "translation": _translation, "cutout": _cutout}
