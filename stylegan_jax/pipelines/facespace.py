"""Face spaces from Python, and what ``facespace fit`` does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.load import load_generator
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data import sources
from stylegan_jax.errors import UsageError, UserError, printable
from stylegan_jax.faces.align import Settings, align
from stylegan_jax.faces.records import read_entries
from stylegan_jax.pipelines.facespace_open import open_space
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.facespace.observer import likeness, likeness_sheet
from stylegan_jax.training.facespace.photos import open_photos
from stylegan_jax.training.loop import Outcome, train

SUFFIX = ".safetensors"
# Landmarks are found in crops of at least this side.
SMALLEST_CROP = 256


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a space is fitted with; None leaves it to the configuration.

    Attributes:
        base: the configuration: ``facespace``, ``facespace_toy``, or a Python file.
        kind: ``one_hot``, ``code`` or ``landmarks``.
        space: ``w_plus`` or ``w``.
        code_dim: numbers of a learned code, 1 to 10.
        epochs: of every phase.
        cycles: phases behind the first.
        seed: of the encoder's first weights and the order of photos.
        landmarks: of kind ``landmarks``: a file that has them, or ``dlib``.
        align: cut the faces out of raw photos first.
        words: further ``--config.SECTION.KEY=VALUE``.
    """

    base: str = "facespace"
    kind: str | None = None
    space: str | None = None
    code_dim: int | None = None
    epochs: int | None = None
    cycles: int | None = None
    seed: int | None = None
    landmarks: str | None = None
    align: bool = False
    words: Sequence[str] = ()

    def config(self, photos: str | Path, model: str | Path) -> ConfigDict:
        """The configuration of a run.

        Raises:
            UsageError: options that contradict each other, or unknown words.
        """
        if self.landmarks is not None and self.kind != "landmarks":
            raise UsageError("--landmarks is for --kind landmarks: give both.")
        if self.landmarks not in (None, "dlib") and self.align:
            raise UsageError(
                "--align finds the landmarks of the faces that it cuts out: leave "
                "--landmarks out, or align the photos first with data align."
            )
        if self.code_dim is not None and self.kind != "code":
            raise UsageError("--code-dim is for --kind code: give both.")
        config = load_config(self.base, list(self.words))
        if config.trainer != "facespace":
            raise UsageError(
                f"--config {self.base} trains a {config.trainer}: give facespace, or "
                "a configuration made of it."
            )
        given = {
            ("model", "kind"): self.kind,
            ("model", "space"): self.space,
            ("model", "code_dim"): self.code_dim,
            ("train", "epochs"): self.epochs,
            ("train", "cycles"): self.cycles,
            ("train", "seed"): self.seed,
            ("data", "landmarks"): self.landmarks,
        }
        for (section, key), value in given.items():
            if value is not None:
                config[section][key] = value
        config.data.path, config.init.model = str(photos), str(model)
        return config


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What `fit_file` did.

    Attributes:
        outcome: how training ended; nothing else is there where a signal ended it.
        out: the space's file.
        picture: photos above their faces.
        names: of the photos.
        l2: [N] of each face, on [-1, 1].
        l2_mean: [N] of the generator's mean face.
        workdir: the run's folder.
    """

    outcome: Outcome
    workdir: Path
    out: Path | None = None
    picture: Path | None = None
    names: tuple[str, ...] = ()
    l2: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    l2_mean: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        ratios = self.l2_mean / np.maximum(self.l2, 1e-12)
        return {
            "out": str(self.out),
            "picture": str(self.picture),
            "workdir": str(self.workdir),
            "photos": [
                {"name": n, "l2": float(a), "l2_mean_face": float(b), "ratio": float(r)}
                for n, a, b, r in zip(
                    self.names, self.l2, self.l2_mean, ratios, strict=True
                )
            ],
            "worst_ratio": float(ratios.min()),
        }


class FaceSpace:
    """A face space: `fit` it or `load` it, `generate` faces, `save` it.

    Attributes:
        model: encoder, generator and codes; see `FaceSpaceModel`.
    """

    def __init__(self, model: FaceSpaceModel):
        """Wraps a model."""
        self.model = model

    @classmethod
    def fit(
        cls,
        photos: str | Path,
        model: str | Path,
        workdir: str | Path,
        options: Fit | None = None,
        *,
        shown: bool = True,
    ) -> FaceSpace:
        """Fits a space to a few photos.

        Args:
            photos: folder, zip, … of photos, aligned as the generator's pictures.
            model: the generator: a model file or a run's folder.
            workdir: the run's folder; with a run in it, the run goes on.
            options: how; None for the usual.
            shown: write lines and a bar to stderr.

        Raises:
            UserError: what `fit_file` refuses.
            KeyboardInterrupt: a signal ended it; call it again to go on.
        """
        workdir = Path(workdir)
        options = options or Fit()
        config, _ = _prepared(photos, model, workdir, options, progress=None)
        if train(config, workdir, show_progress=shown).signal is not None:
            raise KeyboardInterrupt
        return cls.load(workdir)

    @classmethod
    def load(cls, path: str | Path) -> FaceSpace:
        """Opens a space's file, or the newest of a run's folder.

        Raises:
            UserError: what `load` refuses, and models of other families.
        """
        return cls(open_space(path, faces=0))

    @classmethod
    def join(
        cls, encoder: FaceSpaceEncoder, generator: GeneratorNetwork, **parts: Any
    ) -> FaceSpace:
        """Makes a space of an encoder and its generator; see `FaceSpaceModel.join`."""
        return cls(FaceSpaceModel.join(encoder, generator, **parts))

    def generate(
        self,
        weights: Any = None,
        codes: Any = None,
        *,
        batch: int | None = None,
        noise_mode: str = "none",
    ) -> np.ndarray:
        """Draws blends of the photos, or inputs of one's own.

        Args:
            weights: [M, N] shares of the photos, of which the ratios count; None with
                codes, and without either for the photos themselves.
            codes: [M, input_dim] inputs.
            batch: about how many pictures are computed at a time.
            noise_mode: ``none`` or ``const``.

        Returns:
            [M, H, W, C] uint8.

        Raises:
            UserError: both are given, or what `FaceSpaceModel.images` refuses.
        """
        if weights is not None and codes is not None:
            raise UserError("weights and codes are two ways to say it: give one.")
        v = self.model.codes if codes is None else codes
        if weights is not None:
            v = self.model.vectors(weights)
        return self.model.images(v, batch=batch, noise_mode=noise_mode)

    def save(self, path: str | Path, **about: Any) -> None:
        """Writes the space as one file; see `FaceSpaceModel.save`."""
        self.model.save(path, **about)


def fit_file(
    photos: str | Path,
    model: str | Path,
    out: str | Path,
    options: Fit | None = None,
    *,
    workdir: str | Path | None = None,
    overwrite: bool = False,
    shown: bool = True,
    progress: Callable[[int, int], Any] | None = None,
) -> Fitted:
    """Fits a space and writes it as one file, with a picture of how like it is.

    Args:
        photos: folder, zip, … of photos.
        model: the generator: a model file or a run's folder.
        out: a name ending in ``.safetensors``; a ``.png`` of the same name is written
            beside it.
        options: how; None for the usual.
        workdir: the run's folder; None for ``OUT-run`` beside OUT. With a run in it,
            the run goes on.
        overwrite: replace an OUT, or a picture beside it, that another run wrote; the
            run in ``workdir`` stays.
        shown: write training's lines and bar to stderr.
        progress: called with (photos aligned, photos).

    Returns:
        What was done.

    Raises:
        UserError: unusable photos or generators, faces that are not found, or a place
            that cannot be written.
        UsageError: options that contradict each other.
    """
    out = Path(out)
    if out.suffix != SUFFIX:
        raise UsageError(f"OUT={out} is one model file: end its name in {SUFFIX}.")
    folder = out.with_name(f"{out.stem}-run") if workdir is None else Path(workdir)
    picture = out.with_suffix(".png")
    _check_places(out, picture, folder, overwrite)
    options = options or Fit()
    config, aligned = _prepared(photos, model, folder, options, progress=progress)
    outcome = train(config, folder, show_progress=shown)
    if outcome.signal is not None:
        return Fitted(outcome, folder)
    space = open_space(folder)
    height, width, _ = space.image_shape
    given = open_photos(aligned, (height, width)).given()
    found = likeness(space, given)
    # The note first: a run that is killed behind it still knows its own files.
    note = json.dumps({"out": str(out.resolve())})
    write_text(folder / "fitted.json", note + "\n")
    provenance = {**space.provenance, "made_by": "stylegan-jax facespace fit"}
    space.save(out, provenance=provenance)
    save_png(picture, likeness_sheet(found, given, space.names))
    return Fitted(
        outcome, folder, out, picture, space.names, found["l2"], found["l2_mean"]
    )


def _prepared(
    photos: str | Path,
    model: str | Path,
    workdir: Path,
    options: Fit,
    *,
    progress: Callable[[int, int], Any] | None,
) -> tuple[ConfigDict, str | Path]:
    """The run's configuration, and where its photos lie."""
    config = options.config(photos, model)
    if not options.align:
        return config, photos
    side = max(load_generator(model).image_shape[:2])
    if options.kind == "landmarks":
        side = max(side, SMALLEST_CROP)
    folder = workdir / "aligned"
    done = align(photos, folder, Settings(size=side), progress=progress)
    if done.failed:
        said = "; ".join(
            f"{printable(name)}: {printable(reason)}"
            for name, reason in done.failed.items()
        )
        raise UserError(
            f"no face was cut out of {len(done.failed)} of the {done.pictures} photos "
            f"in {photos} ({said}): leave them out, or give the photos aligned."
        )
    drop_strays(folder, set(sources.open_source(photos).names))
    config.data.path = str(folder)
    return config, folder


def drop_strays(folder: Path, names: set[str]) -> None:
    """Removes crops of photos that are no longer given.

    Args:
        folder: of a run's crops, with their ``align.json``; nothing else lies there.
        names: of the photos that are given now.
    """
    entries = read_entries(folder)[1].items()
    faces = [
        face for name, entry in entries if name in names for face in entry["faces"]
    ]
    kept = {(folder / face["output"]).resolve() for face in faces}
    for crop in sorted(folder.rglob("*.png")):
        if crop.resolve() not in kept:
            crop.unlink()


def _check_places(out: Path, picture: Path, folder: Path, overwrite: bool) -> None:
    """Refuses places that cannot be written, or hold what is somebody else's."""
    for parent in out.absolute().parents:
        if parent.exists() and not parent.is_dir():
            raise UserError(f"{parent} is a file: OUT={out} cannot lie in it.")
    for place in (out, picture):
        if place.is_dir():
            raise UserError(f"{place} is a folder: choose another name for OUT.")
    taken = [str(place) for place in (out, picture) if place.exists()]
    if taken and not overwrite and not _wrote(folder, out):
        raise UserError(
            f"{' and '.join(taken)} is there already and not of the run in {folder}: "
            "choose another name, or give --overwrite."
        )


def _wrote(folder: Path, out: Path) -> bool:
    """Whether the run of a folder wrote this file before."""
    try:
        note = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(note, dict) and note.get("out") == str(out.resolve())
