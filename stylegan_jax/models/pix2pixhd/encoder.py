"""pix2pixHD's instance encoder (Wang et al. 2018, section 3.4)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.models.pix2pixhd.generators import MAX_DOWNSAMPLINGS, Trunk
from stylegan_jax.models.pix2pixhd.layers import ToPicture


def instance_mean(x: jax.Array, instances: jax.Array) -> jax.Array:
    """Replaces every pixel by the mean over its instance, picture by picture.

    Args:
        x: [N, H, W, C] features.
        instances: [N, H, W] integers; pixels of a picture that have the same number
            are one instance. Any numbers will do.

    Returns:
        [N, H, W, C].
    """

    def pool(features: jax.Array, numbers: jax.Array) -> jax.Array:
        count = len(numbers)
        order = jnp.argsort(numbers)
        ascending = numbers[order]
        # Instance numbers are arbitrary: count them off, 0, 1, 2, ... by size.
        steps = (ascending[1:] != ascending[:-1]).astype(jnp.int32)
        ranks = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(steps)])
        segment = jnp.zeros(count, jnp.int32).at[order].set(ranks)
        sums = jax.ops.segment_sum(features, segment, count)  # [HW,C]
        sizes = jax.ops.segment_sum(jnp.ones((count, 1)), segment, count)
        return (sums / jnp.maximum(sizes, 1))[segment]

    n, h, w, c = x.shape
    flat = jax.vmap(pool)(x.reshape(n, h * w, c), instances.reshape(n, h * w))
    return flat.reshape(n, h, w, c)


class InstanceEncoder(nn.Module):
    """From a picture to low-dimensional features, constant within each instance.

    Attributes:
        input_channels: channels of the picture.
        feature_channels: channels of the features (3 in the paper).
        width: channels at the picture's own size (16 in the program).
        downsamplings: how often the size is halved.
        norm: one of `NORMS`.
        upsampling: transposed (the paper's) or resize.
    """

    input_channels: int = 3
    feature_channels: int = 3
    width: int = 16
    downsamplings: int = 4
    norm: str = "instance"
    upsampling: str = "transposed"

    @property
    def multiple(self) -> int:
        """What the height and width of an input must be a multiple of."""
        return 1 << min(self.downsamplings, MAX_DOWNSAMPLINGS)

    @nn.compact
    def __call__(self, x: jax.Array, instances: jax.Array, **mode: Any) -> jax.Array:
        """Encodes pictures.

        Args:
            x: [N, H, W, input_channels] in [-1, 1]; H and W are multiples of
                ``multiple``.
            instances: [N, H, W] integers, see `instance_mean`.
            **mode: ``train`` and ``axis_name`` of `Norm`.

        Returns:
            [N, H, W, feature_channels] in [-1, 1].

        Raises:
            ValueError: for more layers than any network has or an unknown option.
        """
        trunk = Trunk(
            self.width,
            self.downsamplings,
            0,
            self.norm,
            self.upsampling,
            name="trunk",
        )
        x = ToPicture(self.feature_channels, name="picture")(trunk(x, **mode))
        return instance_mean(x, instances)
