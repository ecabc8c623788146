"""pix2pixHD's networks ready for use: two generators, discriminator, encoder."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.network import Network, check_pictures
from stylegan_jax.errors import UserError
from stylegan_jax.models.pix2pixhd import (
    GlobalGenerator,
    InstanceEncoder,
    LocalEnhancer,
    MultiscaleDiscriminator,
)

# Reflection by 3 pixels needs a side of 4.
LEAST_SIDE = 4


class _Translator(Network):
    """A generator: picture (or labels and edges) in, picture out."""

    @staticmethod
    def example(module: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape of an input."""
        return (_example_input(module),)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Translates pictures.

        Args:
            x: [N, H, W, input_channels] float32, pictures in [-1, 1] or labels and
                edges; H and W are multiples of the module's ``multiple``.

        Returns:
            [N, H, W, img_channels] float32 in [-1, 1].

        Raises:
            UserError: integers, another number of channels, or a size that the network
                cannot halve as often as it does.
        """
        return self._apply(self.variables, _check_input(self.module, x))


class Pix2PixHDGlobal(_Translator):
    """A global generator with its weights.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``, with batch norm also ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = GlobalGenerator


class Pix2PixHDLocal(_Translator):
    """A local enhancer, its global trunk included, with its weights.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``, with batch norm also ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = LocalEnhancer


class Pix2PixHDDiscriminator(Network):
    """A multiscale discriminator with its weights.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``, with batch norm also ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = MultiscaleDiscriminator

    @staticmethod
    def example(module: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape of an input and a picture together."""
        return (jax.ShapeDtypeStruct((1, 64, 64, module.input_channels), jnp.float32),)

    def __call__(self, x: jax.Array) -> tuple[tuple[jax.Array, ...], ...]:
        """Scores pictures.

        Args:
            x: [N, H, W, input_channels] float32: the input and a real or made picture,
                one behind the other on the channels.

        Returns:
            For every scale, the full size first, the features of all layers, float32;
            the last of each scale are the scores [N, h, w, 1], high for real.

        Raises:
            UserError: integers, no pictures or another number of channels.
        """
        x = check_pictures(x)
        _check_channels(x, self.module.input_channels)
        return self._apply(self.variables, x)


class Pix2PixHDEncoder(Network):
    """An instance encoder with its weights.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``, with batch norm also ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = InstanceEncoder

    @staticmethod
    def example(module: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shapes of a picture and its instance numbers."""
        x = _example_input(module)
        return x, jax.ShapeDtypeStruct(x.shape[:3], jnp.int32)

    def __call__(self, x: jax.Array, instances: jax.Array) -> jax.Array:
        """Encodes pictures into features that are constant within each instance.

        Args:
            x: [N, H, W, input_channels] float32 in [-1, 1]; H and W are multiples of
                the module's ``multiple``.
            instances: [N, H, W] integers; equal numbers are one instance.

        Returns:
            [N, H, W, feature_channels] float32 in [-1, 1].

        Raises:
            UserError: integers for x, floats for instances, or shapes that do not fit.
        """
        x = _check_input(self.module, x)
        numbers = np.asarray(instances)
        if numbers.dtype.kind not in "iu" or numbers.shape != x.shape[:3]:
            raise UserError(
                f"instances must be integers {list(x.shape[:3])}, got {numbers.dtype} "
                f"{list(numbers.shape)}."
            )
        # Numbers of any width, as dense ones that fit 32 bits.
        numbers = np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape)
        return self._apply(self.variables, x, jnp.asarray(numbers, jnp.int32))


def _example_input(module: Any) -> jax.ShapeDtypeStruct:
    side = LEAST_SIDE * module.multiple
    return jax.ShapeDtypeStruct((1, side, side, module.input_channels), jnp.float32)


def _check_input(module: Any, x: Any) -> jax.Array:
    """An input as float32; raises `UserError` unless the network can take it."""
    x = check_pictures(x)
    _check_channels(x, module.input_channels)
    multiple = module.multiple
    # The smallest features are mirrored by one pixel, so there are at least two.
    least = max(LEAST_SIDE, 2 * multiple)
    if any(side % multiple or side < least for side in x.shape[1:3]):
        raise UserError(
            f"this network takes heights and widths that are multiples of {multiple}, "
            f"{least} or more, got {x.shape[1]}x{x.shape[2]}: resize or crop the "
            "pictures."
        )
    return x


def _check_channels(x: jax.Array, channels: int) -> None:
    if x.shape[3] != channels:
        raise UserError(
            f"this network takes {channels} channels, got {x.shape[3]}: give "
            f"[N, H, W, {channels}]."
        )
