"""A StyleGAN2 discriminator ready for use."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.network import Network
from stylegan_jax.errors import UserError
from stylegan_jax.models.stylegan2 import Discriminator


class StyleGAN2Discriminator(Network):
    """A discriminator with its weights.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE: ClassVar[type[nn.Module]] = Discriminator

    @staticmethod
    def example(module: Discriminator) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shapes of a picture and a label."""
        x = jax.ShapeDtypeStruct((1, *module.image_shape), jnp.float32)
        return x, jax.ShapeDtypeStruct((1, module.c_dim), jnp.float32)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of a picture."""
        return self.module.image_shape

    def __call__(self, x: jax.Array, c: jax.Array | None = None) -> jax.Array:
        """Scores pictures; the score depends on the others of its minibatch group.

        Args:
            x: [N, H, W, C] float32 in [-1, 1].
            c: [N, c_dim] float32 labels, where the model is conditional.

        Returns:
            [N] float32 logits, high for what looks real.

        Raises:
            UserError: another shape, integers, no pictures, a missing label, or an N
                that groups do not divide.
        """
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise UserError(
                f"x must be floats in [-1, 1], got {x.dtype}: convert with "
                "x / 127.5 - 1."
            )
        x = x.astype(jnp.float32)
        check_array(x, "x", ("N", *self.image_shape))
        if not len(x):
            raise UserError("x holds no pictures: give at least one.")
        if self.module.c_dim > 0:
            if c is None:
                raise UserError(
                    f"this discriminator needs labels: give c [N, {self.module.c_dim}]."
                )
            c = jnp.asarray(c, jnp.float32)
            check_array(c, "c", (len(x), self.module.c_dim))
        group = min(self.module.mbstd_group_size, len(x))
        if self.module.mbstd_num_channels and len(x) % group:
            raise UserError(
                f"the discriminator looks at groups of {group} pictures, got {len(x)}: "
                "give a multiple."
            )
        return self._apply(self.variables, x, c)
