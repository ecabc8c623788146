"""An identity network ready for use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.network import Network, check_pictures
from stylegan_jax.models.features.irse import IRSE, crop_aligned


class IRSEFeatures(Network):
    """An identity network with its weights.

    Attributes:
        module: the Linen module.
        variables: the collections ``params`` and ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = IRSE

    def __init__(
        self,
        module: IRSE,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)

        def embed_aligned(variables: Any, x: jax.Array) -> Any:
            return module.apply(variables, crop_aligned(x, module.input_size))

        self._embed_aligned = jax.jit(embed_aligned)

    @staticmethod
    def example(module: IRSE) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shape of a picture."""
        side = module.input_size
        return (jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32),)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Embeds cut-out faces.

        Args:
            x: [N, input_size, input_size, 3] float32 in [-1, 1].

        Returns:
            ``embedding``: [N, embedding_dim] float32 of length 1.

        Raises:
            UserError: integers, another shape, or no pictures.
        """
        x = check_pictures(x)
        side = self.module.input_size
        check_array(x, "x", ("N", side, side, 3))
        return {"embedding": self._apply(self.variables, x)}

    def aligned(self, x: jax.Array) -> dict[str, jax.Array]:
        """Embeds pictures that are aligned as FFHQ, after cutting the faces out.

        Args:
            x: [N, H, W, 3] float32 in [-1, 1], of any size.

        Returns:
            ``embedding``: [N, embedding_dim] float32 of length 1.

        Raises:
            UserError: integers, another shape, or no pictures.
        """
        x = check_pictures(x)
        check_array(x, "x", ("N", "H", "W", 3))
        return {"embedding": self._embed_aligned(self.variables, x)}
