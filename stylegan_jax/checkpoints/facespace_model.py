"""A face space ready for use: encoder, frozen generator and the photos' codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints import facespace_config as configs
from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.checkpoints.facespace_config import Faces
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.latent_pictures import LatentDrawing
from stylegan_jax.checkpoints.model_file import ModelFile, save_model
from stylegan_jax.checkpoints.network import Network
from stylegan_jax.checkpoints.structure import fit_variables, variable_shapes
from stylegan_jax.checkpoints.tiles import Tiles
from stylegan_jax.errors import UserError
from stylegan_jax.models.facespace import FaceSpace

FAMILY = "facespace"
# The collection of what belongs to photos; no module has it.
CODES = "codes"
# Inputs are encoded so many at a time, whatever is asked for: see `Tiles`.
CODE_TILE = 16


class FaceSpaceModel(Network):
    """A face space: what eight photos and a generator become.

    Attributes:
        module: the Linen module, with ``encoder`` and ``generator``.
        variables: collections whose parts are ``encoder`` and ``generator``, and
            ``codes``.
        faces: whose photos these are.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = FaceSpace

    def __init__(
        self,
        module: FaceSpace,
        variables: Mapping[str, Any],
        *,
        faces: Faces,
        metadata: Mapping[str, Any] | None = None,
    ):
        """Takes what `from_file` or `join` have checked."""
        super().__init__(module, variables, metadata=metadata)
        self.faces = faces
        networks = {k: v for k, v in variables.items() if k != CODES}
        self.encoder = FaceSpaceEncoder(
            module.encoder, {"params": networks["params"]["encoder"]}
        )
        self.generator: GeneratorNetwork = configs.facade_of(module.generator)(
            module.generator,
            {k: v["generator"] for k, v in networks.items() if "generator" in v},
            metadata=self.metadata,
        )
        self._encoding = Tiles(partial(_encode, module), self.encoder.variables)
        self._drawings: dict[str, LatentDrawing] = {}

    @staticmethod
    def example(module: FaceSpace) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The shape of an input."""
        return (jax.ShapeDtypeStruct((1, module.encoder.input_dim), jnp.float32),)

    @classmethod
    def from_file(cls, model: ModelFile, *, where: object) -> Self:
        """Makes the face space that a model file holds; raises as `Network` does."""
        found = cls._fit(model.config, model.variables, where=where)
        return cls(*found[:2], faces=found[2], metadata=model.metadata)

    @classmethod
    def with_variables(
        cls, config: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> Self:
        """The face space of this config with these weights; raises as `from_file`."""
        module, fitted, faces = cls._fit(config, variables, where="the config")
        return cls(module, fitted, faces=faces)

    @classmethod
    def shapes(cls, config: Mapping[str, Any], *, where: object) -> dict[str, Any]:
        """The tensors of a face space of this config, the thumbnails left out."""
        module, faces = configs.build(config, where=where)
        own = (len(faces.names), module.encoder.input_dim)
        shapes = variable_shapes(module.init, *cls.example(module), where=where)
        return {
            **shapes,
            f"{CODES}/vectors": jax.ShapeDtypeStruct(own, jnp.float32),
        }

    @classmethod
    def join(
        cls,
        encoder: FaceSpaceEncoder,
        generator: GeneratorNetwork,
        *,
        faces: Faces | None = None,
        codes: np.ndarray | None = None,
        photos: np.ndarray | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """Makes one face space of an encoder and the generator it was trained with.

        Args:
            encoder: such as one that `convert` made of the original program's.
            generator: of any family.
            faces: whose photos these are; None for photos ``1``, ``2``, … in the order
                of a one-hot encoder's inputs, or for a landmark encoder of the original
                program without photos, where the encoder takes 136 numbers.
            codes: [N, input_dim] float32, the input of each photo; None for one-hot.
            photos: [N, h, w, 3] uint8 thumbnails, or None.
            metadata: a document to keep.

        Raises:
            UserError: the encoder's latents are not the generator's, or codes do not
                fit.
        """
        width = encoder.module.input_dim
        if faces is None:
            faces = configs.original_faces(width)
        if codes is None:
            codes = np.eye(width, dtype=np.float32)[: len(faces.names)]
        own, given = encoder.module, generator.module
        if own.w_dim != given.w_dim or own.num_ws not in (1, given.num_ws):
            raise UserError(
                f"the encoder gives latents [{own.num_ws}, {own.w_dim}] and the "
                f"generator takes [{given.num_ws}, {given.w_dim}]: give the generator "
                "that the encoder was trained with."
            )
        module = FaceSpace(encoder=own, generator=given)
        variables: dict[str, Any] = {
            name: {"generator": tree} for name, tree in generator.variables.items()
        }
        variables["params"]["encoder"] = encoder.params
        variables[CODES] = {"vectors": codes}
        if photos is not None:
            variables[CODES]["photos"] = photos
        document = configs.document_of(module, faces)
        module, fitted, faces = cls._fit(document, variables, where="the face space")
        return cls(module, fitted, faces=faces, metadata=metadata)

    @classmethod
    def _fit(
        cls, config: Mapping[str, Any], variables: Mapping[str, Any], *, where: object
    ) -> tuple[FaceSpace, dict[str, Any], Faces]:
        """Module, checked variables and faces of a config."""
        module, faces = configs.build(config, where=where)
        given = dict(variables)
        codes = configs.check_codes(
            given.pop(CODES, None), faces, module.encoder.input_dim, where=where
        )
        fitted = fit_variables(given, module.init, *cls.example(module), where=where)
        return module, {**fitted, CODES: codes}, faces

    @property
    def config(self) -> dict[str, Any]:
        """What `from_file` makes the module and the names of."""
        return configs.document_of(self.module, self.faces)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the weights come from, as the file says."""
        return dict(self.metadata.get("provenance", {}))

    @property
    def names(self) -> tuple[str, ...]:
        """The photos' names, in the order in which they were given."""
        return self.faces.names

    @property
    def kind(self) -> str:
        """What the inputs are: ``one_hot``, ``code`` or ``landmarks``."""
        return self.faces.kind

    @property
    def space(self) -> str:
        """Where the latents were sought: ``w`` or ``w_plus``."""
        return self.module.space

    @property
    def codes(self) -> np.ndarray:
        """[N, input_dim] float32: the input of each photo.

        Rows of the unit matrix, in the order in which training took the photos, for
        one-hot inputs; a learned code and a constant 1; or landmarks as x, y, x, y, …
        """
        return np.asarray(self.variables[CODES]["vectors"])

    @property
    def photos(self) -> np.ndarray | None:
        """[N, h, w, 3] uint8 thumbnails, at most 64 px a side; None where absent."""
        found = self.variables[CODES].get("photos")
        return None if found is None else np.asarray(found)

    @property
    def num_ws(self) -> int:
        """Latents of a picture."""
        return self.generator.num_ws

    @property
    def w_dim(self) -> int:
        """Width of a latent."""
        width: int = self.generator.module.w_dim
        return width

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the pictures."""
        return self.generator.image_shape

    @property
    def w_avg(self) -> np.ndarray:
        """[w_dim] float32: the generator's mean latent, which is nobody."""
        return np.asarray(self.generator.variables["moving_stats"]["mapping"]["w_avg"])

    def with_encoder(self, other: FaceSpaceModel) -> FaceSpaceModel:
        """A space with the same generator; what is compiled of this one serves it."""
        new = FaceSpaceModel(
            other.module, other.variables, faces=other.faces, metadata=other.metadata
        )
        new.generator, new._drawings = self.generator, self._drawings
        new._encoding = self._encoding.with_variables(other.encoder.variables)
        return new

    def vectors(self, weights: Any) -> np.ndarray:
        """Blends of the photos as inputs.

        Args:
            weights: [M, N] shares of the photos in the order of ``names``. Only their
                ratios count; negative ones go away from a face.

        Returns:
            [M, input_dim] float32.

        Raises:
            UserError: another shape, no rows, numbers that are not finite, or a row
                without any share.
        """
        if not self.names:
            raise UserError(
                "this face space keeps no photos, so nothing can be blended: give it "
                "landmarks."
            )
        shares = np.asarray(weights, np.float32)
        check_array(shares, "weights", ("M", len(self.names)))
        if not len(shares):
            raise UserError("weights holds no rows: give at least one.")
        if not np.isfinite(shares).all():
            raise UserError("weights holds numbers that are not finite: correct them.")
        if (shares == 0).all(1).any():
            raise UserError(
                "weights has a row of zeros, which is nobody: give at least one photo "
                "a share in every row."
            )
        return shares @ self.codes

    def pose_vectors(self, points: Any, shape: tuple[int, int]) -> np.ndarray:
        """Landmarks of pictures as inputs of a space of kind ``landmarks``.

        Args:
            points: [M, 68, 2] x and y in pixels, of faces aligned as the photos were.
            shape: (H, W) of the pictures that they were found in.

        Returns:
            [M, 136] float32.

        Raises:
            UserError: another kind of space, or another shape.
        """
        if self.kind != "landmarks":
            raise UserError(
                f"this face space takes {self.kind.replace('_', '-')} inputs and no "
                "landmarks: fit one with --kind landmarks."
            )
        points = np.asarray(points, np.float32)
        check_array(points, "points", ("M", 68, 2))
        return configs.pose_vectors(points, shape, self.faces.landmark_origin)

    def w_plus(self, v: Any) -> jax.Array:
        """Maps inputs to latents; a row's are the same whatever stands beside it.

        Args:
            v: [M, input_dim] numbers of which the ratios count, see `vectors`.

        Returns:
            [M, num_ws, w_dim] float32.

        Raises:
            UserError: another shape, no rows, or a row of zeros.
        """
        v = np.asarray(v, np.float32)
        self.encoder.check(v)
        w_plus = self._encoding.run(v, CODE_TILE)
        shape = (len(w_plus), self.num_ws, self.w_dim)
        return jnp.asarray(np.broadcast_to(w_plus, shape))

    def latents(self, weights: Any) -> jax.Array:
        """The latents [M, num_ws, w_dim] of blends [M, N]; see `vectors`."""
        return self.w_plus(self.vectors(weights))

    def images(
        self, v: Any, *, batch: int | None = None, noise_mode: str = "none"
    ) -> np.ndarray:
        """Draws inputs, over all devices of this machine.

        Args:
            v: [M, input_dim], see `w_plus`.
            batch: about how many pictures are computed at a time; None leaves it to
                the program. A picture does not depend on it.
            noise_mode: ``none``, as faces are fitted, or ``const``.

        Returns:
            [M, H, W, C] uint8.

        Raises:
            UserError: as `w_plus`, or another noise mode.
        """
        return self.draw(self.w_plus(v), batch=batch, noise_mode=noise_mode)

    def draw(
        self, w_plus: Any, *, batch: int | None = None, noise_mode: str = "none"
    ) -> np.ndarray:
        """Draws latents [M, num_ws, w_dim] as `images` does inputs."""
        parts = self.iter_draw(w_plus, batch=batch, noise_mode=noise_mode)
        return np.concatenate(list(parts))

    def iter_draw(
        self, w_plus: Any, *, batch: int | None = None, noise_mode: str = "none"
    ) -> Iterator[np.ndarray]:
        """Draws as `draw` does and yields parts [m, H, W, C] uint8 in order."""
        if batch is not None and batch < 1:
            raise UserError(f"batch is at least 1, got {batch}.")
        rows = np.asarray(w_plus, np.float32)
        check_array(rows, "w_plus", ("M", self.num_ws, self.w_dim))
        if not len(rows):
            raise UserError("w_plus holds no rows: give at least one.")
        if noise_mode not in self._drawings:
            drawing = LatentDrawing(self.generator, noise_mode=noise_mode)
            self._drawings[noise_mode] = drawing
        drawing = self._drawings[noise_mode]
        most = max(1, (batch or 2 * drawing.group) // drawing.group)
        return drawing.iter_images([rows], most=most)

    def save(
        self,
        path: str | Path,
        *,
        provenance: Mapping[str, Any] | None = None,
        licence: str | None = None,
    ) -> None:
        """Writes the space as one model file, atomically.

        Args:
            path: where to.
            provenance: where the weights come from; None keeps what is known.
            licence: of the weights; None keeps what is known.

        Raises:
            UserError: the place is not writable.
        """
        known = self.metadata.get("licence", "not stated")
        save_model(
            path,
            jax.device_get(self.variables),
            family=FAMILY,
            config=self.config,
            provenance=self.provenance if provenance is None else provenance,
            licence=known if licence is None else licence,
        )


def _encode(module: FaceSpace, variables: Any, v: jax.Array) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        w: Any = module.encoder.apply(variables, v)
    return w
