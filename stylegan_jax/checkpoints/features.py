"""Feature networks ready for use: named features of pictures, and LPIPS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.checkpoints.arguments import check_choice
from stylegan_jax.checkpoints.network import Network, check_pictures
from stylegan_jax.errors import UserError
from stylegan_jax.models import features
from stylegan_jax.models.features import alexnet, inception, inputs, lpips, vgg

# What may be done to pictures in [-1, 1] before a network of torchvision's sees them.
NORMALISATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "imagenet": inputs.imagenet,
    "none": lambda x: x,
}


class FeatureNetwork(Network):
    """A network with its weights, called for features by their names."""

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all features, from the image up."""
        return self.module.taps

    def _wanted(self, taps: Sequence[str] | None) -> tuple[str, ...] | None:
        """The names as jit needs them; raises `UserError` for unknown ones."""
        if taps is None:
            return None
        wanted = (taps,) if isinstance(taps, str) else tuple(taps)
        unknown = [str(name) for name in wanted if name not in self.taps]
        if unknown or not wanted:
            raise UserError(
                f"this network has no features {', '.join(unknown) or 'without a name'}"
                f": choose from {', '.join(self.taps)}."
            )
        return wanted


class InceptionV3Features(FeatureNetwork):
    """Inception v3 of FID with its weights.

    Attributes:
        module: the Linen module.
        variables: the collections ``params`` and ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = features.InceptionV3

    def __init__(
        self,
        module: features.InceptionV3,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)
        self._floats = jax.jit(self._run, static_argnums=(2, 3))
        self._bytes = jax.jit(self._run_bytes, static_argnums=(2, 3, 4))

    @staticmethod
    def example(module: features.InceptionV3) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape of the smallest picture."""
        return (_picture(inception.SMALLEST),)

    def __call__(
        self,
        x: jax.Array,
        *,
        taps: Sequence[str] | None = None,
        resize: str = "bilinear",
    ) -> dict[str, jax.Array]:
        """Computes features.

        Args:
            x: [N, H, W, 3] float32 in [-1, 1].
            taps: names of the wanted features, see `taps`; others cost nothing. None
                means ``pool3`` [N, 2048], and ``logits`` where the weights have them.
            resize: how the pictures become 299x299: ``bilinear`` (as pytorch-fid),
                ``tensorflow`` (as the first FID programs and NVIDIA's) or ``none``.

        Returns:
            The features by name, float32, in the order of ``taps``.

        Raises:
            UserError: no such pictures, names or way to resize.
        """
        x = check_pictures(x)
        check_choice(resize, "resize", inputs.RESIZES)
        _check_size(x, inception.SMALLEST if resize == "none" else 1)
        wanted = self._wanted(taps)
        return _ordered(self._floats(self.variables, x, wanted, resize), wanted)

    def from_uint8(
        self,
        x: Any,
        *,
        taps: Sequence[str] | None = None,
        resize: str = "bilinear",
        scaling: str = "tensorflow",
    ) -> dict[str, jax.Array]:
        """Computes features of pictures as they lie on disk.

        Args:
            x: [N, H, W, 3] uint8.
            taps: as for a call.
            resize: as for a call.
            scaling: ``tensorflow`` for (x - 128) / 128, ``pytorch`` for x / 127.5 - 1;
                see `stylegan_jax.models.features.inputs.from_uint8`.

        Returns:
            The features by name, float32, in the order of ``taps``.

        Raises:
            UserError: no such pictures, names, way to resize or scaling.
        """
        x = jnp.asarray(x)
        if x.dtype != jnp.uint8 or x.ndim != 4 or not len(x):
            raise UserError(
                "x must be [N, H, W, 3] uint8 with at least one picture, got "
                f"{list(x.shape)} {x.dtype}."
            )
        check_choice(resize, "resize", inputs.RESIZES)
        check_choice(scaling, "scaling", inputs.SCALINGS)
        _check_size(x, inception.SMALLEST if resize == "none" else 1)
        wanted = self._wanted(taps)
        found = self._bytes(self.variables, x, wanted, resize, scaling)
        return _ordered(found, wanted)

    def _run(
        self, variables: Any, x: jax.Array, taps: tuple[str, ...] | None, resize: str
    ) -> dict[str, jax.Array]:
        x = inputs.resize(x, inception.SIZE, resize)
        found: Any = self.module.apply(variables, x, taps)
        return found

    def _run_bytes(
        self,
        variables: Any,
        x: jax.Array,
        taps: tuple[str, ...] | None,
        resize: str,
        scaling: str,
    ) -> dict[str, jax.Array]:
        return self._run(variables, inputs.from_uint8(x, scaling), taps, resize)


class TorchvisionFeatures(FeatureNetwork):
    """What VGG, AlexNet and ResNet have in common: ImageNet's normalisation.

    Attributes:
        SMALLEST: side below which pictures are refused, in pixels.
    """

    SMALLEST = 1

    def __init__(
        self,
        module: Any,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)
        self._apply = jax.jit(self._run, static_argnums=(2, 3))

    @staticmethod
    def example(module: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape of a small picture."""
        return (_picture(32),)

    def __call__(
        self,
        x: jax.Array,
        *,
        taps: Sequence[str] | None = None,
        normalise: str = "imagenet",
    ) -> dict[str, jax.Array]:
        """Computes features.

        Args:
            x: [N, H, W, 3] float32 in [-1, 1].
            taps: names of the wanted features, see `taps`; others cost nothing. None
                means the last one (a ResNet's ``pool``, and ``logits`` where the
                weights have them).
            normalise: ``imagenet`` for the mean and deviation that the weights were
                trained with; ``none`` hands x on as it is, as pix2pixHD does.

        Returns:
            The features by name, float32, in the order of ``taps``.

        Raises:
            UserError: no such pictures, names or normalisation.
        """
        x = check_pictures(x)
        _check_size(x, self.SMALLEST)
        check_choice(normalise, "normalisation", tuple(NORMALISATIONS))
        wanted = self._wanted(taps)
        return _ordered(self._apply(self.variables, x, wanted, normalise), wanted)

    def _run(
        self, variables: Any, x: jax.Array, taps: tuple[str, ...] | None, normalise: str
    ) -> dict[str, jax.Array]:
        found: Any = self.module.apply(variables, NORMALISATIONS[normalise](x), taps)
        return found


class VGGFeatures(TorchvisionFeatures):
    """VGG16 or VGG19 with its weights; features ``conv1_1``, ``relu1_1`` and so on."""

    MODULE = features.VGG
    SMALLEST = vgg.SMALLEST


class AlexNetFeatures(TorchvisionFeatures):
    """AlexNet with its weights; features ``conv1``, ``relu1`` and so on."""

    MODULE = features.AlexNet
    SMALLEST = alexnet.SMALLEST


class ResNetFeatures(TorchvisionFeatures):
    """A ResNet with its weights; features ``layer1`` … ``layer4``, ``pool``…"""

    MODULE = features.ResNet


class LPIPSDistance(Network):
    """LPIPS with its weights.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = features.LPIPS

    @staticmethod
    def example(module: features.LPIPS) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shapes of two small pictures."""
        return _picture(32), _picture(32)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Compares pictures one by one.

        Args:
            x: [N, H, W, 3] float32 in [-1, 1].
            y: the same shape and range.

        Returns:
            [N] float32, 0 for equal pictures.

        Raises:
            UserError: no such pictures, or shapes that differ.
        """
        x, y = check_pictures(x), check_pictures(y, "y")
        for pictures, name in ((x, "x"), (y, "y")):
            _check_size(pictures, lpips.SMALLEST[self.module.trunk], name)
        if x.shape != y.shape:
            raise UserError(
                f"x and y must have one shape, got {list(x.shape)} and {list(y.shape)}."
            )
        found: Any = self._apply(self.variables, x, y)
        return found


def _picture(side: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)


def _ordered(
    found: dict[str, jax.Array], wanted: tuple[str, ...] | None
) -> dict[str, jax.Array]:
    """The features in the order in which they were asked for: jit sorts dicts."""
    return found if wanted is None else {name: found[name] for name in wanted}


def _check_size(x: jax.Array, smallest: int, name: str = "x") -> None:
    """Raises `UserError` unless pictures are RGB and large enough."""
    _, height, width, channels = x.shape
    if channels != 3:
        raise UserError(f"{name} must have 3 channels (RGB), got {channels}.")
    if min(height, width) < smallest:
        raise UserError(
            f"{name} must be at least {smallest}x{smallest} pixels for this network, "
            f"got {height}x{width}: resize the pictures first."
        )
