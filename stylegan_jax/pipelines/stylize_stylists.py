"""What `stylize` does with pictures, one class for each family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.load import model_from
from stylegan_jax.checkpoints.model_file import read_metadata, read_model, sha256_of
from stylegan_jax.checkpoints.pictures import PNG_MODES
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import parse_layers
from stylegan_jax.models.psp import inject_layers
from stylegan_jax.pipelines.generate import parse_seeds
from stylegan_jax.pipelines.latent_files import check_width, read_latents
from stylegan_jax.pipelines.stylize_inputs import Kind
from stylegan_jax.pipelines.stylize_options import OF_STUDENTS, Options
from stylegan_jax.pipelines.stylize_pix2pixhd import Pix2PixHDStylist
from stylegan_jax.pipelines.stylize_psp import PSPPictures, degraded

# More pictures in a row than anyone looks at.
MAX_MIXED = 64


class Stylist(Protocol):
    """A model at work.

    Attributes:
        kind: what it sees.
        heads: a name for each picture that it makes of one.
        image_shape: (H, W, C) of each.
        has_latents: whether pictures become latents first.
        document: JSON values about how it works, for the record.
    """

    has_latents: bool
    kind: Kind
    heads: list[str]
    image_shape: tuple[int, int, int]
    document: dict[str, Any]

    def degrade(self, pictures: np.ndarray, factor: int) -> np.ndarray:
        """Shrinks pictures [N, *kind.shape] uint8 by a factor and enlarges them."""
        ...

    def work(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Makes outputs.

        Args:
            pictures: [N, *kind.shape] uint8.

        Returns:
            [N, len(heads), *image_shape] uint8, and the latents
            [N, num_ws, w_dim] float32 of a model that has any.
        """
        ...


class PSPStylist:
    """pSp: encodes pictures, mixes latents where wanted, and draws them."""

    has_latents = True

    def __init__(self, model: PSPNetwork, options: Options):
        """Reads the latents to mix with.

        Args:
            model: the network.
            options: see there.

        Raises:
            UserError: options that do not fit the model.
        """
        options.refuse(OF_STUDENTS, "a pSp")
        self._pictures = PSPPictures(
            model, noise_mode=options.noise_mode, iterations=options.iterations
        )
        self.kind = self._pictures.kind
        self.image_shape = self._pictures.image_shape
        if self.image_shape[2] not in PNG_MODES:
            raise UserError(
                f"this model draws {self.image_shape[2]} channels and a PNG holds 1 to "
                "4."
            )
        if options.factors and self.kind.classes:
            raise UsageError(
                "factors shrink pictures, and this model takes class maps: leave them "
                "out."
            )
        self._psi = np.float32(options.truncation_psi)
        self._alpha = options.mix_alpha
        self._layers: list[int] = []
        self._others, self.heads = None, ["output"]
        if options.mix_layers is not None:
            self._layers = parse_layers(options.mix_layers, model.num_ws)
            self._others, self.heads = self._latents(options)
        self.document = {
            "input_size": self.kind.size,
            "input_channels": self.kind.channels,
            "classes": self.kind.classes,
            "input_range": [0, 1] if self._pictures.unit_range else [-1, 1],
            "iterations": self._pictures.iterations,
            "image_shape": list(self.image_shape),
        }
        if self.kind.classes:
            self.document["input_range"] = "one-hot"

    def degrade(self, pictures: np.ndarray, factor: int) -> np.ndarray:
        """Shrinks pictures [N, H, W, C] uint8 by a factor and enlarges them again."""
        return degraded(pictures, factor)

    def work(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Makes outputs; the latents are those before mixing. See `Stylist.work`."""
        w_plus, mean = self._pictures.encode(pictures), self._pictures.mean
        if self._psi != 1:
            w_plus = mean + self._psi * (w_plus - mean)
        number, wanted = len(pictures), w_plus
        if self._others is not None:
            # Every picture with all of the other latents: [N·V,num_ws,w_dim].
            own = np.repeat(w_plus, len(self._others), axis=0)
            others = np.tile(self._others, (number, 1, 1))
            mixed = inject_layers(
                jnp.asarray(own), self._layers, jnp.asarray(others), self._alpha
            )
            wanted = np.asarray(mixed)
        drawn = self._pictures.draw(wanted)
        return drawn.reshape(number, -1, *self.image_shape), w_plus

    def _latents(self, options: Options) -> tuple[np.ndarray, list[str]]:
        """The latents to mix with, [V, num_ws, w_dim], and a name for each."""
        model, file = self._pictures.model, options.mix_w
        if options.mix_seeds is not None:
            seeds = parse_seeds(options.mix_seeds)
            _check_number(len(seeds))
            z = model.decoder.latents(seeds)
            return self._pictures.mapped(z), [f"seed {seed}" for seed in seeds]
        assert file is not None  # see `Options.check`
        space, array = read_latents(file)
        check_width(array, space, model.decoder, file)
        _check_number(len(array))
        heads = [f"w {i}" for i in range(len(array))]
        if space == "z":
            return self._pictures.mapped(array), heads
        if space == "w":
            array = np.repeat(array[:, None], model.num_ws, axis=1)
        return array, heads


# The class that works with a family of models: called with the model and `Options`.
STYLISTS: Mapping[str, Callable[[Any, Options], Stylist]] = {
    "psp": PSPStylist,
    "pix2pixhd.global": Pix2PixHDStylist,
    "pix2pixhd.local": Pix2PixHDStylist,
}


def open_stylist(file: Path, options: Options) -> tuple[Stylist, dict[str, Any]]:
    """Opens a model for work.

    Args:
        file: a model file.
        options: see there.

    Returns:
        What works, and what the record says of the model: ``file``, ``sha256``,
        ``family``, ``provenance``, ``licence``.

    Raises:
        UserError: a model that takes no pictures (says which command is meant), a
            damaged one, or options that do not fit it.
    """
    family = read_metadata(file)["family"]
    if family not in STYLISTS:
        raise UserError(f"{file} is a {family}: {_meant(family)}.")
    opened = read_model(file)
    model = model_from(opened, where=file)
    document = {
        "file": str(file),
        "sha256": sha256_of(file),
        "family": family,
        "provenance": opened.metadata.get("provenance", {}),
        "licence": opened.metadata.get("licence", ""),
    }
    return STYLISTS[family](model, options), document


def _meant(family: str) -> str:
    """What to do with a model that `stylize` does not take."""
    if family in ("stylegan2.generator", "stylegan1.generator", "mobilestylegan"):
        return (
            "a generator draws pictures from seeds (stylegan-jax generate) and takes "
            "none; give a pSp or a pix2pixHD model"
        )
    if family == "psp.encoder":
        return "an encoder alone has no decoder: give the whole pSp"
    return f"stylize takes models of the families {', '.join(STYLISTS)}"


def _check_number(number: int) -> None:
    if number > MAX_MIXED:
        raise UsageError(
            f"{number} latents to mix with would make a row of as many pictures for "
            f"each: give at most {MAX_MIXED}."
        )
