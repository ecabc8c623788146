"""Which parameters a fine-tuning run leaves as they are.

Freezing the first layers of the discriminator is Freeze-D (Mo et al. 2020); freezing
the generator's mapping and lower blocks keeps its parent's poses and shapes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.errors import UsageError
from stylegan_jax.models.stylegan2 import Discriminator, Generator


@dataclasses.dataclass(frozen=True)
class Freeze:
    """What is not trained.

    Attributes:
        d_layers: how many of the discriminator's layers, from the image on, in the
            order fromrgb, conv0, conv1, skip of every block.
        g_mapping: whether the generator's mapping network.
        g_affine: whether the layers that turn w into styles.
        g_below: blocks of a lower nominal resolution than this; 0 for none.
    """

    d_layers: int = 0
    g_mapping: bool = False
    g_affine: bool = False
    g_below: int = 0

    def still(self, gradients: Any, network: str, d: Discriminator) -> Any:
        """Gradients with zeros for what is frozen; Adam then never moves it.

        Args:
            gradients: of the network's parameters.
            network: ``g`` or ``d``.
            d: the discriminator, which knows its layers.
        """
        if self == Freeze():
            return gradients
        layers = set(d_layers(d)[: self.d_layers])

        def mask(path, leaf):
            names = tuple(step.key for step in path)
            frozen = names[:2] in layers if network == "d" else self._g(names)
            return jnp.zeros_like(leaf) if frozen else leaf

        return jax.tree_util.tree_map_with_path(mask, gradients)

    def settle(self, g_params: Any, ema_params: Any) -> Any:
        """The generator to train, with what is frozen from the averaged one.

        So both have the same there and keep it: the average follows what is trained.
        """

        def choose(path, trained, averaged):
            names = tuple(step.key for step in path)
            return jnp.copy(averaged) if self._g(names) else trained

        return jax.tree_util.tree_map_with_path(choose, g_params, ema_params)

    def check(self, g: Generator, d: Discriminator) -> None:
        """Refuses what these networks do not have.

        Raises:
            UsageError: naming every offender.
        """
        wrong = []
        most = len(d_layers(d)) - 1
        if self.d_layers > most:
            wrong.append(
                f"freeze.d_layers={self.d_layers} must be at most {most}, which leaves "
                "the discriminator its last layer"
            )
        sides = [4 << i for i in range(g.num_blocks)]
        if self.g_below and self.g_below not in sides:
            known = ", ".join(map(str, sides))
            wrong.append(f"freeze.g_below={self.g_below} must be 0 or one of {known}")
        if wrong:
            raise UsageError(f"The configuration is out of range: {'; '.join(wrong)}.")

    def __str__(self) -> str:
        """What is frozen, in words; "" for nothing."""
        parts = [
            (self.g_mapping, "the generator's mapping"),
            (self.g_affine, "its styles"),
            (self.g_below > 4, f"its blocks below {self.g_below} px"),
            (self.d_layers, f"the discriminator's first {self.d_layers} layers"),
        ]
        return ", ".join(text for frozen, text in parts if frozen)

    def _g(self, names: tuple[str, ...]) -> bool:
        if names[0] == "mapping":
            return self.g_mapping
        low = int(names[1].removeprefix("b")) < self.g_below
        return low or (self.g_affine and "affine" in names)


def d_layers(d: Discriminator) -> list[tuple[str, str]]:
    """The discriminator's layers from the image on, as (block, layer)."""
    found = []
    for k in range(d.num_blocks - 1, 0, -1):
        block = f"b{4 << k}"
        if k == d.num_blocks - 1 or d.architecture == "skip":
            found.append((block, "fromrgb"))
        found += [(block, "conv0"), (block, "conv1")]
        if d.architecture == "resnet":
            found.append((block, "skip"))
    if d.architecture == "skip":
        found.append(("b4", "fromrgb"))
    return [*found, ("b4", "conv"), ("b4", "fc"), ("b4", "out")]
