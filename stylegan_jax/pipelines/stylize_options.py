"""What `stylize` can be told, and what of it goes with which models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.arguments import check_choice
from stylegan_jax.checkpoints.latent_pictures import NOISE_MODES
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UsageError
from stylegan_jax.pipelines.stylize_psp import MAX_FACTOR

MAX_SIDE = 8192
# What has a meaning for a model with latents alone, by its option.
OF_LATENTS = {
    "truncation_psi": "psi",
    "noise_mode": "noise",
    "mix_layers": "mix-layers",
    "mix_seeds": "mix-seeds",
    "mix_w": "mix-w",
    "mix_alpha": "mix-alpha",
    "iterations": "iterations",
}
# And for one that turns pictures into pictures.
OF_STUDENTS = {
    "size": "size",
    "keep_aspect": "keep-aspect",
    "second": "second",
    "classes": "classes",
}


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
        size: side that a pix2pixHD works at; None for the one it was trained at.
        keep_aspect: show it the whole of a picture that is not square, mirrored at the
            borders, instead of the central square.
        second: the picture, or the pictures by name, that a model for two people takes
            beside SRC.
        classes: of label maps, where a converted model's file does not tell.
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
    size: int | None = None
    keep_aspect: bool = False
    second: str | Path | None = None
    classes: int | None = None

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
        if self.size is not None and not 1 <= self.size <= MAX_SIDE:
            raise UsageError(f"sizes are from 1 to {MAX_SIDE}, got {self.size}.")
        if self.keep_aspect and self.second is not None:
            raise UsageError(
                "keep-aspect is for models of one picture: two pictures have one shape."
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

    def refuse(self, names: Mapping[str, str], kind: str) -> None:
        """Raises `UsageError` for options that have no meaning for a model.

        Args:
            names: fields and their options, `OF_LATENTS` or `OF_STUDENTS`.
            kind: what the model is, e.g. ``a pSp``.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = [o for f, o in names.items() if getattr(self, f) != defaults[f]]
        if given:
            raise UsageError(f"{kind} knows no {', '.join(given)}: leave them out.")

    def to_json(self) -> dict[str, Any]:
        """What ``stylize.json`` keeps; a file of latents counts by its content."""
        found = dataclasses.asdict(self)
        for name in OF_STUDENTS:
            # Folders from before these options go on as they are.
            found[name] = found[name] or None
        if self.second is not None:
            # What it holds is in the model's part of the record.
            found["second"] = Path(self.second).name
        if self.mix_w is not None:
            name, digest = Path(self.mix_w).name, sha256_of(Path(self.mix_w))
            found["mix_w"] = {"file": name, "sha256": digest}
        return found
