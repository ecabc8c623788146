"""A FaceSpace encoder ready for use."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.network import Network
from stylegan_jax.errors import UserError
from stylegan_jax.models.facespace import Encoder


class FaceSpaceEncoder(Network):
    """An encoder with its weights.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = Encoder

    @staticmethod
    def example(module: Encoder) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape of an input."""
        return (jax.ShapeDtypeStruct((1, module.input_dim), jnp.float32),)

    def __call__(self, v: jax.Array) -> jax.Array:
        """Maps blends, codes or landmarks to latents.

        Args:
            v: [N, input_dim] numbers of which the ratios count: shares of the faces, a
                learned code, or 68 landmarks as x, y, x, y, …

        Returns:
            w_plus [N, num_ws, w_dim] float32.

        Raises:
            UserError: another shape, no rows, or a row of zeros, which means no face.
        """
        v = jnp.asarray(v, jnp.float32)
        self.check(v)
        return self._apply(self.variables, v)

    def check(self, v: Any) -> None:
        """Refuses what `__call__` does."""
        check_array(v, "v", ("N", self.module.input_dim))
        if not len(v):
            raise UserError("v holds no rows: give at least one.")
        if not isinstance(v, jax.core.Tracer) and (np.asarray(v) == 0).all(1).any():
            raise UserError(
                "v has a row of zeros, of which there is no face: give at least one "
                "number that is not 0 in every row."
            )
