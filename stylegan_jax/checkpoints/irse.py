"""Identity networks ready for use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.network import Network, check_pictures
from stylegan_jax.models.features.irse import IRSE, crop_aligned


class IdentityNetwork(Network):
    """What identity networks have in common: faces become vectors of length 1.

    Attributes:
        module: the Linen module, with the fields ``input_size`` and ``embedding_dim``.
        variables: the collections ``params`` and ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    def __init__(
        self,
        module: Any,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)
        self._embed_aligned = jax.jit(self.embed_aligned)

    @staticmethod
    def crop(x: jax.Array, size: int) -> jax.Array:
        """Cuts the face out of pictures aligned as FFHQ, as the training did.

        Args:
            x: [N, H, W, 3] float32, of any size.
            size: side of the result.

        Returns:
            [N, size, size, 3] float32.
        """
        raise NotImplementedError

    @staticmethod
    def example(module: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
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

    def embed_aligned(self, variables: Any, x: jax.Array) -> jax.Array:
        """What `aligned` computes, for use inside a compiled function.

        The weights are an argument: as constants of a large program they would be
        compiled into it.

        Args:
            variables: the network's, `variables`.
            x: [N, H, W, 3] float32 in [-1, 1], aligned as FFHQ, of any size.

        Returns:
            [N, embedding_dim] float32 of length 1.
        """
        face = self.crop(x, self.module.input_size)
        embedding: jax.Array = self.module.apply(variables, face)
        return embedding


class IRSEFeatures(IdentityNetwork):
    """An IR or IR-SE network with its weights; see `IdentityNetwork`."""

    MODULE = IRSE

    @staticmethod
    def crop(x: jax.Array, size: int) -> jax.Array:
        """The rows and columns of pSp's loss, averaged down; see `crop_aligned`."""
        return crop_aligned(x, size)
