"""What `stylize` does with pictures, one class for each family of models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.arguments import check_choice
from stylegan_jax.checkpoints.load import model_from
from stylegan_jax.checkpoints.model_file import read_metadata, read_model, sha256_of
from stylegan_jax.checkpoints.pictures import PNG_MODES
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import NOISE_MODES, parse_layers
from stylegan_jax.models.psp import inject_layers
from stylegan_jax.pipelines.generate import parse_seeds
from stylegan_jax.pipelines.latent_files import check_width, read_latents
from stylegan_jax.pipelines.stylize_inputs import Kind
from stylegan_jax.pipelines.stylize_psp import MAX_FACTOR, PSPPictures, degraded

MAX_SIDE = 8192
# More pictures in a row than anyone looks at.
MAX_MIXED = 64


@dataclasses.dataclass(frozen=True)
class Options:
    """What outputs depend on besides model and picture.

    Attributes:
        couple: put what the model saw in front of the outputs.
        resize_output: side, or height where it is not square, of an output in pixels;
            None leaves the model's.
        truncation_psi: 1 leaves the latents as they were encoded, 0 gives the mean
            picture.
        noise_mode: of the decoder, ``const`` or ``none``; None for what the model was
            trained with.
        mix_layers: layers such as ``8-17`` that other latents give; None mixes none.
        mix_seeds: seeds such as ``1-5`` of those latents, an output for each.
        mix_w: an ``.npz`` of latents instead.
        mix_alpha: the share of the other latents in these layers; 1 replaces.
        factors: shrink the picture by each of these and enlarge it again first, an
            output for each; () leaves it as it is.
        iterations: passes of the encoder; None means the model's own number.
    """

    couple: bool = False
    resize_output: int | None = None
    truncation_psi: float = 1.0
    noise_mode: str | None = None
    mix_layers: str | None = None
    mix_seeds: str | None = None
    mix_w: str | Path | None = None
    mix_alpha: float = 1.0
    factors: tuple[int, ...] = ()
    iterations: int | None = None

    def check(self) -> None:
        """Raises `UserError` where values make no sense, before anything is read."""
        if self.noise_mode is not None:
            check_choice(self.noise_mode, "noise", NOISE_MODES)
        for name, value in (("psi", self.truncation_psi), ("alpha", self.mix_alpha)):
            if not np.isfinite(value):
                raise UsageError(f"{name} is a number such as 0.7, got {value}.")
        if self.resize_output is not None and not 1 <= self.resize_output <= MAX_SIDE:
            raise UsageError(
                f"outputs have 1 to {MAX_SIDE} pixels a side, got {self.resize_output}."
            )
        wrong = [f for f in self.factors if not 1 <= f <= MAX_FACTOR]
        if wrong or len({*self.factors}) < len(self.factors):
            raise UsageError(
                f"factors are different whole numbers from 1 to {MAX_FACTOR}, got "
                f"{', '.join(map(str, self.factors))}."
            )
        if self.mix_seeds is not None and self.mix_w is not None:
            raise UsageError("mix with latents of seeds or of a file, not with both.")
        given = self.mix_seeds is not None or self.mix_w is not None
        if given and self.mix_layers is None:
            raise UsageError(
                "say which layers the other latents give: --mix-layers 8-17."
            )
        if self.mix_layers is not None and not given:
            raise UsageError(
                f"layers {self.mix_layers} are mixed with other latents: give "
                "--mix-seeds 1-5 or --mix-w FILE.npz."
            )
        if self.mix_alpha != 1.0 and not given:
            raise UsageError(
                "a share (--mix-alpha) is of other latents: give --mix-layers and "
                "--mix-seeds too."
            )

    def to_json(self) -> dict[str, Any]:
        """What ``stylize.json`` keeps; a file of latents counts by its content."""
        found = dataclasses.asdict(self)
        if self.mix_w is not None:
            name, digest = Path(self.mix_w).name, sha256_of(Path(self.mix_w))
            found["mix_w"] = {"file": name, "sha256": digest}
        return found


class Stylist(Protocol):
    """A model at work.

    Attributes:
        kind: what it sees.
        heads: a name for each picture that it makes of one.
        image_shape: (H, W, C) of each.
        document: JSON values about how it works, for the record.
    """

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

    def __init__(self, model: PSPNetwork, options: Options):
        """Reads the latents to mix with.

        Args:
            model: the network.
            options: see there.

        Raises:
            UserError: options that do not fit the model.
        """
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
STYLISTS: Mapping[str, Callable[[Any, Options], Stylist]] = {"psp": PSPStylist}


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
    if family in ("stylegan2.generator", "stylegan1.generator"):
        return (
            "a generator draws pictures from seeds (stylegan-jax generate) and takes "
            "none; give a pSp"
        )
    if family == "psp.encoder":
        return "an encoder alone has no decoder: give the whole pSp"
    return f"stylize takes models of the family {', '.join(STYLISTS)}"


def _check_number(number: int) -> None:
    if number > MAX_MIXED:
        raise UsageError(
            f"{number} latents to mix with would make a row of as many pictures for "
            f"each: give at most {MAX_MIXED}."
        )
