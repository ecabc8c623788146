"""The generator behind a face space."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from stylegan_jax.checkpoints.facespace_config import GENERATORS
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.load import load_generator
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.snapshots import origin_of


@dataclasses.dataclass(frozen=True)
class Start:
    """A frozen generator from a file.

    Attributes:
        generator: ready for use, computing in float32.
        origin: its file, hash, licence and provenance.
    """

    generator: GeneratorNetwork
    origin: Mapping[str, Any]

    @property
    def w_avg(self) -> Any:
        """[w_dim] float32."""
        return self.generator.variables["moving_stats"]["mapping"]["w_avg"]


def open_start(path: str | None) -> Start:
    """Opens the generator of ``init.model``.

    Raises:
        UsageError: none is named.
        UserError: there is no such model, it is no generator, or it draws no RGB.
    """
    if path is None:
        raise UsageError(
            "There is no generator to fit photos in: say where it is with "
            "--config.init.model=FILE (a model file or a run's folder)."
        )
    generator = load_generator(path)
    if not isinstance(generator, tuple(GENERATORS.values())):
        raise UserError(
            f"{path} is a {generator.metadata.get('family')}, which photos cannot be "
            f"fitted in: give a generator of the families {', '.join(GENERATORS)}."
        )
    channels = generator.image_shape[2]
    if channels != 3:
        raise UserError(
            f"{path} draws {channels} channels and photos have 3: give a generator of "
            "RGB pictures."
        )
    if getattr(generator.module, "dtype", "float32") != "float32":
        module = generator.module.clone(dtype="float32")
        generator = type(generator)(
            module, generator.variables, metadata=generator.metadata
        )
    return Start(generator, origin_of(path, generator))
