"""What a face space's file says beside its tensors, and the checks of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.mobilestylegan import MobileStyleGANGenerator
from stylegan_jax.checkpoints.structure import build_module, config_of
from stylegan_jax.checkpoints.stylegan1 import StyleGAN1Generator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UserError
from stylegan_jax.models.facespace import FaceSpace

# The generators that a face space may be in front of.
GENERATORS: Mapping[str, type[GeneratorNetwork]] = {
    "stylegan2.generator": StyleGAN2Generator,
    "stylegan1.generator": StyleGAN1Generator,
    "mobilestylegan": MobileStyleGANGenerator,
}
KINDS = ("one_hot", "code", "landmarks")
SPACES = ("w", "w_plus")
LANDMARKS = 68
LARGEST_THUMBNAIL = 64
MAX_NAMES = 100_000

FIELDS = {
    "kind",
    "space",
    "names",
    "landmark_origin",
    "encoder",
    "generator",
    "generator_family",
}


@dataclasses.dataclass(frozen=True)
class Faces:
    """Whose photos a face space is made of.

    Attributes:
        names: the photos' names, in the order in which they were given.
        kind: what the inputs are, one of `KINDS`.
        landmark_origin: of kind ``landmarks``: the point that coordinates are counted
            from, as a share of the picture's sides: 0.5, or 0 in encoders of the
            original program. What remains is scaled to unit mean square, so with 0 the
            face's place in the picture outweighs its pose.
    """

    names: tuple[str, ...]
    kind: str = "one_hot"
    landmark_origin: float = 0.5


def original_faces(width: int) -> Faces:
    """What is known of an encoder of the original program with inputs so wide."""
    if width == 2 * LANDMARKS:
        return Faces((), "landmarks", 0.0)
    return Faces(tuple(str(i + 1) for i in range(width)))


def facade_of(module: Any) -> type[GeneratorNetwork]:
    """The class that a generator's module is used through."""
    return GENERATORS[family_of(module)]


def family_of(module: Any) -> str:
    """The family of a generator's module."""
    for family, facade in GENERATORS.items():
        if type(module) is facade.MODULE:
            return family
    raise UserError(
        f"a {type(module).__name__} cannot stand behind a face space: give a generator "
        f"of the families {', '.join(GENERATORS)}."
    )


def document_of(module: FaceSpace, faces: Faces) -> dict[str, Any]:
    """The config of a face space, as JSON values and tuples."""
    return {
        "kind": faces.kind,
        "space": module.space,
        "names": faces.names,
        "landmark_origin": faces.landmark_origin,
        "encoder": config_of(module.encoder),
        "generator_family": family_of(module.generator),
        "generator": config_of(module.generator),
    }


def build(config: Mapping[str, Any], *, where: object) -> tuple[FaceSpace, Faces]:
    """Makes module and faces of a config.

    Raises:
        UserError: it has other fields, or values that no face space has.
    """
    if unknown := sorted(set(config) - FIELDS):
        raise UserError(
            f"the config of {where} has unknown fields ({', '.join(unknown)}): update "
            "stylegan_jax."
        )
    wrong = [name for name, fits in _checks(config).items() if not fits]
    if wrong:
        raise UserError(
            f"the config of {where} has values of {', '.join(wrong)} that no face "
            "space has: the file is damaged, copy or make it again."
        )
    encoder: Any = build_module(
        FaceSpaceEncoder.MODULE, config["encoder"], where=f"{where} (encoder)"
    )
    generator: Any = build_module(
        GENERATORS[config["generator_family"]].MODULE,
        config["generator"],
        where=f"{where} (generator)",
    )
    num_ws = 1 if config["space"] == "w" else generator.num_ws
    if (encoder.num_ws, encoder.w_dim) != (num_ws, generator.w_dim):
        raise UserError(
            f"the encoder of {where} gives latents [{encoder.num_ws}, {encoder.w_dim}] "
            f"and its generator takes [{num_ws}, {generator.w_dim}]: the file is "
            "damaged, copy or make it again."
        )
    faces = Faces(
        tuple(config["names"]), config["kind"], float(config["landmark_origin"])
    )
    return FaceSpace(encoder=encoder, generator=generator), faces


def _checks(config: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each field has a value that one can have."""
    names: Any = config.get("names")
    origin: Any = config.get("landmark_origin")
    return {
        "kind": config.get("kind") in KINDS,
        "space": config.get("space") in SPACES,
        "names": isinstance(names, list | tuple)
        and len(names) <= MAX_NAMES
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names),
        "landmark_origin": type(origin) in (int, float) and 0 <= origin <= 1,
        "encoder": isinstance(config.get("encoder"), Mapping),
        "generator": isinstance(config.get("generator"), Mapping),
        "generator_family": config.get("generator_family") in GENERATORS,
    }


def check_codes(
    given: Any, faces: Faces, width: int, *, where: object
) -> dict[str, np.ndarray]:
    """The photos' codes and thumbnails, checked.

    Args:
        given: the collection ``codes`` of a file.
        faces: whose they are.
        width: of the encoder's input.
        where: what to name in errors.

    Raises:
        UserError: there are none, or they have another shape or type.
    """
    codes = dict(given) if isinstance(given, Mapping) else {}
    wrong, want = [], (len(faces.names), width)
    vectors = codes.pop("vectors", None)
    if np.shape(vectors) != want or np.asarray(vectors).dtype != np.float32:
        wrong.append(f"codes/vectors is not float32 {list(want)}")
    photos = codes.pop("photos", None)
    if photos is not None and not _are_thumbnails(np.asarray(photos), len(faces.names)):
        wrong.append(f"codes/photos is not uint8 [{len(faces.names)}, h, w, 3]")
    wrong += [f"codes/{name} is unknown" for name in sorted(codes)]
    if wrong:
        raise UserError(
            f"the tensors of {where} do not fit its config; {'; '.join(wrong)}"
        )
    found = {"vectors": np.asarray(vectors)}
    return found if photos is None else {**found, "photos": np.asarray(photos)}


def _are_thumbnails(photos: np.ndarray, number: int) -> bool:
    return (
        photos.dtype == np.uint8
        and photos.ndim == 4
        and photos.shape[0] == number
        and photos.shape[3] == 3
        and all(1 <= side <= LARGEST_THUMBNAIL for side in photos.shape[1:3])
    )


def pose_vectors(points: np.ndarray, shape: Sequence[int], origin: float) -> np.ndarray:
    """Landmarks as inputs.

    Args:
        points: [M, 68, 2] x and y in pixels.
        shape: (H, W) of the pictures.
        origin: see `Faces.landmark_origin`.

    Returns:
        [M, 136] float32, x, y, x, y, … in halves of the longer side.
    """
    height, width = shape[:2]
    middle = np.array([width, height], np.float32) * np.float32(origin)
    scaled = (np.asarray(points, np.float32) - middle) * (2 / max(height, width))
    return scaled.reshape(len(points), -1).astype(np.float32)  # [M,136]
