"""Attribute networks ready for use: readings of pictures by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.network import Network
from stylegan_jax.errors import UserError
from stylegan_jax.models.attributes import AttributeNet

# Pictures that are read together, always as many: one program serves all, and what is
# read off a picture does not depend on its company.
AT_A_TIME = 32


class AttributeNetwork(Network):
    """A network that reads attributes, with its weights.

    Attributes:
        module: the Linen module.
        variables: the collections ``params`` and ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = AttributeNet

    def __init__(
        self,
        module: AttributeNet,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)

        def run(variables: Any, pictures: jax.Array) -> jax.Array:
            share, drop = module.read_share, module.read_drop
            x = fit_pictures(pictures, module.input_size, share, drop)
            return module.values(read_outputs(module, variables, x))

        self._read = jax.jit(run)

    @staticmethod
    def example(module: AttributeNet) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shape of a picture."""
        return (jax.ShapeDtypeStruct((1, *module.input_shape), jnp.float32),)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes."""
        return self.module.names

    @property
    def kinds(self) -> dict[str, str]:
        """``binary`` or ``number`` by attribute."""
        return dict(zip(self.names, self.module.kinds, strict=True))

    @property
    def document(self) -> dict[str, Any]:
        """What this reader is, as JSON values, for what is made with its readings."""
        made = self.metadata.get("provenance", {})
        return {
            "reader": "attributes",
            "kinds": self.kinds,
            "input_size": self.module.input_size,
            "read_share": self.module.read_share,
            "read_drop": self.module.read_drop,
            "licence": self.metadata.get("licence", "not stated"),
            "framing": made.get("framing", ""),
            "data": made.get("data", []),
            "measured": made.get("measured", {}),
        }

    def read(self, pictures: Any) -> dict[str, np.ndarray]:
        """Reads every attribute off pictures of any size.

        The square that the module's ``read_share`` and ``read_drop`` tell is resized to
        the network's input, antialiased. A picture's readings do not depend on the
        pictures that it is read with.

        Args:
            pictures: [N, H, W, C] uint8; C is 1, 3 or 4, whose last channel is left
                out. Faces should fill that square as they filled the training pictures.

        Returns:
            float32 [N] by name: probabilities of binary attributes, numbers in the
            data's units.

        Raises:
            UserError: no such pictures.
        """
        pictures = check_bytes(pictures)
        parts = [
            np.asarray(self._read(self.variables, batch))[:count]
            for batch, count in fixed_batches(pictures, AT_A_TIME)
        ]
        values = np.concatenate(parts)
        return {name: values[:, i] for i, name in enumerate(self.names)}


def read_outputs(module: AttributeNet, variables: Any, x: jax.Array) -> jax.Array:
    """The network's outputs, over both mirror images where it is made so.

    Args:
        module: the network.
        variables: its weights.
        x: [N, input_size, input_size, 3] float32 in [-1, 1].

    Returns:
        [N, A] float32.
    """
    # An accelerator would round the dense layer's factors.
    with jax.default_matmul_precision("highest"):
        if not module.mirrored:
            outputs: Any = module.apply(variables, x)
            return outputs
        both: Any = module.apply(variables, jnp.concatenate([x, x[:, :, ::-1]]))
        return (both[: len(x)] + both[len(x) :]) / 2


def check_bytes(pictures: Any) -> np.ndarray:
    """Pictures as [N, H, W, 3] uint8.

    Raises:
        UserError: another type, rank or number of channels, or no pictures.
    """
    pictures = np.asarray(pictures)
    if (
        pictures.dtype != np.uint8
        or pictures.ndim != 4
        or not pictures.size
        or pictures.shape[3] not in (1, 3, 4)
    ):
        raise UserError(
            "pictures must be [N, H, W, C] uint8 with 1, 3 or 4 channels and at least "
            f"one picture, got {list(pictures.shape)} {pictures.dtype}."
        )
    if pictures.shape[3] == 1:
        return np.repeat(pictures, 3, axis=3)
    return pictures[..., :3]


def fixed_batches(pictures: np.ndarray, size: int) -> Iterable[tuple[np.ndarray, int]]:
    """Batches of one size, filled up with the last picture, and how many count."""
    for start in range(0, len(pictures), size):
        rows = np.minimum(np.arange(start, start + size), len(pictures) - 1)
        yield pictures[rows], min(size, len(pictures) - start)


def fit_pictures(
    pictures: jax.Array, size: int, share: float = 1.0, drop: float = 0.0
) -> jax.Array:
    """A square of pictures as a network takes it.

    Args:
        pictures: [N, H, W, 3] uint8.
        size: side of the result.
        share: side of the square, as a share of the pictures' shorter side.
        drop: how far below the pictures' centre it lies, as such a share.

    Returns:
        [N, size, size, 3] float32 in [-1, 1].
    """
    height, width = pictures.shape[1:3]
    shorter = min(height, width)
    side = max(1, round(shorter * share))
    top = (height - side) // 2 + round(shorter * drop)
    top, left = min(max(top, 0), height - side), (width - side) // 2
    x = pictures[:, top : top + side, left : left + side].astype(jnp.float32)
    x = x / 127.5 - 1.0
    if side == size:
        return x
    shape = (len(x), size, size, 3)
    # Resizing is a product of matrices, which accelerators would round.
    return jax.image.resize(
        x, shape, "linear", antialias=True, precision=jax.lax.Precision.HIGHEST
    )
