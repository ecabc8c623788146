"""pSp at work over all devices: pictures to latents, and latents to pictures.

A program takes a fixed number of pictures per device whatever is asked for, so that an
output depends on its picture and the options alone, not on its neighbours or on the
number of devices.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.drawing import pad, to_bytes
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.checkpoints.tiles import Tiles
from stylegan_jax.data.augment.pair_source import degrade_by, one_hot
from stylegan_jax.errors import UsageError
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.models.psp.model import MAX_ITERATIONS
from stylegan_jax.pipelines.stylize_inputs import Kind

# Pictures that a device encodes at a time. A CPU gains nothing by more than one, and
# would encode the padding of the last tile for nothing.
TILE, CPU_TILE = 8, 1
# Pictures that are degraded at a time, always as many.
DEGRADE_TILE = 8
MAX_FACTOR = 256


class PSPPictures:
    """A pSp that takes and gives pictures as they lie on disk.

    Attributes:
        model: the network.
        kind: what it sees.
        unit_range: whether grey is 0 to 1 for it; see `has_unit_range`.
        iterations: how often its encoder looks at a picture.
        noise_mode: of the decoder.
    """

    def __init__(
        self,
        model: PSPNetwork,
        *,
        noise_mode: str | None = None,
        iterations: int | None = None,
    ):
        """Compiles nothing yet.

        Args:
            model: the network.
            noise_mode: of the decoder, ``const`` or ``none``; None for what the model
                was trained with.
            iterations: passes of the encoder; None means the model's own number.

        Raises:
            UserError: an unknown noise mode, or passes that the model does not have.
        """
        self.model = model
        self.kind = kind_of(model)
        self.unit_range = has_unit_range(model)
        self.iterations = _passes(model, iterations)
        self.noise_mode = noise_mode or trained_noise(model)
        self._decoder = LatentPictures(model.decoder, noise_mode=self.noise_mode)
        self._tiles = Tiles(self._encode, model.variables)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the decoder's pictures."""
        return self.model.image_shape

    @property
    def mean(self) -> np.ndarray:
        """The latents that are nobody's: [num_ws, w_dim] float32.

        They are what the encoder's result is added to, or else the decoder's w_avg.
        """
        module, stats = self.model.module, self.model.variables["moving_stats"]
        mean = (
            stats["latent_avg"]
            if module.start_from_latent_avg
            else stats["decoder"]["mapping"]["w_avg"]
        )
        shape = (module.num_ws, module.w_dim)
        return np.broadcast_to(np.asarray(mean, np.float32), shape)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Finds the latents of pictures.

        Args:
            pictures: [N, *kind.shape] uint8, N ≥ 1, as `Kind.read` returns them.

        Returns:
            w_plus [N, num_ws, w_dim] float32.
        """
        tile = CPU_TILE if jax.default_backend() == "cpu" else TILE
        return self._tiles.run(pictures, tile)

    def mapped(self, z: np.ndarray) -> np.ndarray:
        """Latents of random numbers: [N, z_dim] to [N, num_ws, w_dim] float32."""
        return self._decoder.w_plus(z)

    def draw(self, w_plus: np.ndarray) -> np.ndarray:
        """Draws the pictures of latents: [N, H, W, C] uint8."""
        return self._decoder.images(w_plus)

    def _encode(self, variables: Any, pictures: jax.Array) -> Any:
        """Latents of one tile: [n, *kind.shape] uint8 to [n, num_ws, w_dim]."""
        x = model_input(pictures, self.kind, unit_range=self.unit_range)
        apply = partial(self.model.module.apply, variables)
        # An accelerator would round the dense layers' factors.
        with jax.default_matmul_precision("highest"):
            if self.iterations == 1:
                return apply(x, method="encode")

            def one(w_plus: Any, _: None) -> tuple[Any, None]:
                image = apply(w_plus, noise_mode=self.noise_mode, method="synthesis")
                return apply(x, w_plus, image, method="refine"), None

            # A loop: so many passes would be compiled one by one.
            start = jnp.broadcast_to(self.mean, (len(x), *self.mean.shape))
            return jax.lax.scan(one, start, length=self.iterations)[0]


def kind_of(model: PSPNetwork) -> Kind:
    """What a pSp sees: RGB, grey, or class maps.

    Its file says so where it was trained here. Of others the channels tell: RGB has 3,
    grey 1, class maps any other number.
    """
    size, _, channels = model.module.input_shape
    known = model.metadata.get("provenance", {}).get("source")
    if known == "pictures" or (known is None and channels in (1, 3)):
        return Kind(size, channels)
    return Kind(size, 1, classes=channels)


def trained_noise(model: PSPNetwork) -> str:
    """The decoder's noise that goes with how a model was trained.

    Models of pairs are trained without noise, as the pairs were drawn; noise would
    only add what the targets do not have.
    """
    trained = model.metadata.get("provenance", {}).get("noise_mode")
    return "none" if trained == "none" else "const"


def has_unit_range(model: PSPNetwork) -> bool:
    """Whether a model takes grey from 0 to 1 instead of -1 to 1.

    Models for drawings that the original program trained do; it leaves their input
    where it scales that of all others (`SketchToImageTransforms` of its
    ``transforms_config.py``).
    """
    return model.module.input_nc == 1 and (
        model.metadata.get("provenance", {}).get("made_by") == "convert"
    )


def model_input(x: jax.Array, kind: Kind, *, unit_range: bool = False) -> jax.Array:
    """What a model takes for pictures as they lie on disk.

    Args:
        x: [N, *kind.shape] uint8.
        kind: what the model sees.
        unit_range: whether pictures become 0 to 1 instead of -1 to 1.

    Returns:
        Float32: pictures [N, H, W, C], or class maps one-hot, [N, H, W, classes].
    """
    if kind.classes:
        return one_hot(x, kind.classes)
    values = x.astype(jnp.float32)
    return values / 255 if unit_range else values / 127.5 - 1


def degraded(pictures: np.ndarray, factor: int) -> np.ndarray:
    """Shrinks pictures by a factor and enlarges them again, as in training.

    Args:
        pictures: [N, H, W, C] uint8.
        factor: from 1 to `MAX_FACTOR`.

    Returns:
        The same shape, uint8.
    """
    padded = pad(pictures, DEGRADE_TILE)
    found = [
        np.asarray(_degraded(padded[i : i + DEGRADE_TILE], factor))
        for i in range(0, len(padded), DEGRADE_TILE)
    ]
    return np.concatenate(found)[: len(pictures)]


@partial(jax.jit, static_argnums=1)
def _degraded(pictures: jax.Array, factor: int) -> jax.Array:
    x = degrade_by(pictures.astype(jnp.float32) / 127.5 - 1, factor)
    return to_bytes(x)


def _passes(model: PSPNetwork, wanted: int | None) -> int:
    """How often the encoder looks; raises `UsageError` where it cannot so often."""
    own = model.module.iterations
    if wanted is None or wanted == own:
        return own
    if not 1 <= wanted <= MAX_ITERATIONS:
        raise UsageError(f"iterations are 1 to {MAX_ITERATIONS} passes, got {wanted}.")
    if own == 1:
        raise UsageError(
            f"iterations is {wanted} and this model was trained to encode in one pass: "
            "leave it out, or give a model that was trained with several."
        )
    return wanted
