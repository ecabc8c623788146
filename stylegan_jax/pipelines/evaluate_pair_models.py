"""Models that are measured on pairs, behind one face, and the pairs that fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stylegan_jax.checkpoints.pix2pixhd import Pix2PixHDGlobal, Pix2PixHDLocal
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.dataset import ImageDataset, open_dataset
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.metrics.paired import MEASURED_SIZE
from stylegan_jax.pipelines.stylize_inputs import Kind, TwoPictures
from stylegan_jax.pipelines.stylize_pix2pixhd import Student, StudentPictures
from stylegan_jax.pipelines.stylize_psp import PSPPictures

# The classes of models that pairs are for.
MODELS = (PSPNetwork, Pix2PixHDGlobal, Pix2PixHDLocal)


class PairModel(Protocol):
    """A model that turns sources into pictures.

    Attributes:
        kind: what it sees.
        image_shape: (H, W, C) of its pictures.
        sides: of pairs, as the model was trained on them: ``source``, ``target`` and,
            where it takes two pictures, ``second``, each ``a``, ``b`` or ``c``.
        baseline: the word for what it is compared with.
        compared: the metrics that the baseline is measured by too.
        default_metrics: those that are measured where none are named.
        document: JSON values about how it draws.
    """

    kind: Kind
    image_shape: tuple[int, int, int]
    sides: Mapping[str, str]
    baseline: str
    compared: Sequence[str]
    default_metrics: Sequence[str]
    document: dict[str, Any]

    def draw(
        self, sources: np.ndarray, items: Sequence[Mapping[str, np.ndarray]]
    ) -> np.ndarray:
        """Draws [N, *image_shape] uint8 from sources [N, h, w, c] uint8.

        Args:
            sources: what it is shown.
            items: the pairs that they are of, with further pictures of each.
        """
        ...

    def base(self, sources: np.ndarray) -> np.ndarray | None:
        """The baseline's pictures [N, H, W, C] uint8; None where there are none."""
        ...


class PSPOnPairs:
    """A pSp; the baseline is the picture of the mean latent. See `PairModel`."""

    baseline = "mean_latent"
    compared: Sequence[str] = ("l1", "l2")
    default_metrics: Sequence[str] = ("l2",)

    def __init__(self, model: PSPNetwork):
        """Compiles nothing yet.

        Args:
            model: the network.
        """
        self._pictures = PSPPictures(model)
        self.kind, self.image_shape = self._pictures.kind, model.image_shape
        self.sides = _sides(model, self.kind)
        self._mean: np.ndarray | None = None
        self.document = {
            "iterations": self._pictures.iterations,
            "dtype": model.module.decoder_dtype,
            "noise_mode": self._pictures.noise_mode,
        }

    def draw(
        self, sources: np.ndarray, items: Sequence[Mapping[str, np.ndarray]]
    ) -> np.ndarray:
        """Encodes and draws; see `PairModel.draw`."""
        return self._pictures.draw(self._pictures.encode(sources))

    def base(self, sources: np.ndarray) -> np.ndarray:
        """The picture of the mean latent, for every source."""
        if self._mean is None:
            self._mean = self._pictures.draw(self._pictures.mean[None])
        return np.repeat(self._mean, len(sources), axis=0)


class StudentOnPairs:
    """A pix2pixHD student; the baseline is what it is shown. See `PairModel`."""

    baseline = "identity"
    compared: Sequence[str] = ("l1", "l2", "lpips", "identity")
    default_metrics: Sequence[str] = ("l1", "l2")

    def __init__(
        self, model: Student, *, size: int | None = None, classes: int | None = None
    ):
        """Compiles nothing yet.

        Args:
            model: the network.
            size: side to work at; None for the one it was trained at.
            classes: of label maps; None for what the model's file tells.

        Raises:
            UserError: as of `StudentPictures`.
        """
        self._pictures = StudentPictures(model, size=size, classes=classes)
        self.kind, self.image_shape = self._pictures.kind, self._pictures.image_shape
        self.sides = _sides(model, self.kind)
        self.document: dict[str, Any] = {"input_size": self.kind.size}

    def draw(
        self, sources: np.ndarray, items: Sequence[Mapping[str, np.ndarray]]
    ) -> np.ndarray:
        """Translates, with the second picture where the model takes one."""
        if isinstance(self.kind, TwoPictures):
            seconds = np.stack([item["second"] for item in items])
            sources = np.concatenate([sources, seconds], axis=3)
        return self._pictures.draw(sources)

    def base(self, sources: np.ndarray) -> np.ndarray | None:
        """The sources, where they are pictures as the model draws them."""
        if self.kind.classes or sources.shape[3] != self.image_shape[2]:
            return None
        return sources


def _sides(model: Any, kind: Kind) -> Mapping[str, str]:
    """The sides of pairs that a model's file tells, and the usual ones otherwise."""
    told = model.metadata.get("provenance", {}).get("sides", {})
    usual = {"source": "a", "target": "b"}
    if isinstance(kind, TwoPictures):
        usual["second"] = "c"
    return {name: told.get(name) or side for name, side in usual.items()}


def open_pairs(
    data: str | Path, model: PairModel, held_out: float, reconstruct: bool
) -> Any:
    """The pairs in the model's sizes; only those held out, where a share is given.

    Args:
        data: a set of pairs, or with ``reconstruct`` plain pictures.
        model: what they are for.
        held_out: the share that training held out; 0 takes all.
        reconstruct: sources may be the targets.

    Returns:
        Random access to ``source``, ``target`` and, where the model takes two pictures,
        ``second``; with ``fingerprint`` and ``entry(i)``.

    Raises:
        UserError: data that do not fit the model, or a share that is none or all.
    """
    height, width, channels = model.image_shape
    if height != width:
        raise UserError(
            f"this model draws {height}x{width} and pairs are square: measure another."
        )
    if not 0 <= held_out < 1:
        raise UsageError(f"the share held out is from 0 to 1, got {held_out:g}.")
    size, kind = min(height, MEASURED_SIZE), model.kind
    two = isinstance(kind, TwoPictures)
    sides: dict[str, Any] = dict(model.sides)
    # Both kinds of data have what the split needs.
    opened: Any
    if Path(data, "manifest.json").is_file():
        _check_labels(data, model)
        opened = open_training_pairs(
            data,
            target_size=size,
            source_size=kind.size,
            source_channels=kind.channels,
            source_labels=kind.classes,
            reconstruct=reconstruct,
            **sides,
        )
    elif not reconstruct or kind.classes or two:
        also = "" if kind.classes or two else ", or plain pictures with --reconstruct"
        raise UserError(
            f"{data} is no set of pairs (it has no manifest.json): give one that "
            f"`stylegan-jax pairs` or `stylegan-jax data pairs` made{also}."
        )
    else:
        own = open_dataset(data, resolution=size, channels=channels)
        opened = OwnSources(own, kind, np.arange(own.num_images))
    if not held_out:
        return opened
    if not 0 < round(len(opened) * held_out) < len(opened):
        raise UserError(
            f"a share of {held_out:g} of the {len(opened)} pairs of {data} is none or "
            "all of them: give another one."
        )
    # Split as training splits any data set: by the pairs' number alone.
    held: Any = hold_out([(opened, 1.0)], held_out)[1]
    return held[0][0]


def _check_labels(data: str | Path, model: PairModel) -> None:
    """Refuses label maps for a model of pictures, and the other way round."""
    document = manifest.read_document(Path(data)) or {}
    labels = manifest.has_labels(document) and model.sides["source"] == "a"
    if labels and not model.kind.classes:
        also = ""
        if isinstance(model, StudentOnPairs):
            also = (
                ", or, where the model was trained on label maps and its file does not "
                "tell, say how many classes they have with --classes"
            )
        raise UserError(
            f"the sources in {data} are label maps and this model takes pictures: "
            f"give pairs of pictures{also}."
        )
    if model.kind.classes and not labels:
        raise UserError(
            f"the sources in {data} are pictures and this model takes label maps of "
            f"{model.kind.classes} classes: give pairs with label maps (`stylegan-jax "
            "data pairs MAPS PICTURES OUT --labels-a`)."
        )


class OwnSources:
    """Plain pictures, each of which is its own target."""

    def __init__(self, pictures: ImageDataset, kind: Kind, places: np.ndarray):
        """Wraps pictures of one shape.

        Args:
            pictures: the data set.
            kind: what the model sees of them.
            places: int [N], the number of each picture before it was split.
        """
        self._pictures, self._kind, self._places = pictures, kind, places
        self.name, self.fingerprint = pictures.name, pictures.fingerprint
        self.num_images = pictures.num_images

    def part(self, places: np.ndarray) -> OwnSources:
        """Some of the pictures, as a set of its own."""
        chosen = self._pictures.part(places)
        return OwnSources(chosen, self._kind, self._places[places])

    def __len__(self) -> int:
        """Number of pictures."""
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """``source`` uint8 [h, w, c] and ``target`` uint8 [H, W, C]."""
        target = self._pictures[index]["image"]
        return {"source": self._kind.fit(target), "target": target}

    def entry(self, index: int) -> dict[str, Any]:
        """The ``index`` of a picture before the set was split."""
        return {"index": int(self._places[index])}
