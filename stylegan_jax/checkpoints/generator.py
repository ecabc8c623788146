"""What generators of every family share: seeds and latents to pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stylegan_jax.checkpoints.arguments import (
    check_array,
    check_choice,
    check_key,
    check_seeds,
    check_truncation,
)
from stylegan_jax.checkpoints.drawing import (
    AXIS,
    compile_tiles,
    draw_z,
    image_keys,
    map_latents,
    pad,
    synthesise,
)
from stylegan_jax.checkpoints.network import Network
from stylegan_jax.checkpoints.tiles import in_flight
from stylegan_jax.errors import UserError

Z_SOURCES = ("jax", "numpy")

# A program draws a fixed number of pictures per device, a "tile", whatever is asked
# for: float rounding depends on the shapes that XLA compiles for, so this is what makes
# a picture depend on its seed alone. Tiles shrink as pictures grow, to bound memory.
TILE_PIXELS = 2**18
MAX_TILE = 8
# Tiles of z are drawn in steps of as many, for the same reason.
Z_TILE = 64


class GeneratorNetwork(Network):
    """A generator with its weights; a family of generators is a subclass.

    Its module has the fields ``z_dim``, ``w_dim``, ``c_dim``, ``num_ws`` and
    ``image_shape`` and the methods ``mapping`` and ``synthesis`` of
    `models.stylegan2.Generator`.

    Attributes:
        NOISE_MODES: what its noise may be; ``const`` and ``none`` always.
        module: the Linen module.
        variables: collections ``params``, ``moving_stats`` and ``noise``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    NOISE_MODES: ClassVar[tuple[str, ...]] = ("random", "const", "none")

    def __init__(
        self,
        module: Any,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)
        self._programs: dict[tuple, Callable[..., jax.Array]] = {}
        self._placed: dict[int, Any] = {}

    @staticmethod
    def example(module: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shapes of a latent and a label."""
        z = jax.ShapeDtypeStruct((1, module.z_dim), jnp.float32)
        return z, jax.ShapeDtypeStruct((1, module.c_dim), jnp.float32)

    def replace(self, variables: Mapping[str, Any]) -> Self:
        """The same network with other weights; what is compiled is shared."""
        other = type(self)(self.module, variables, metadata=self.metadata)
        other._programs = self._programs
        return other

    @property
    def num_ws(self) -> int:
        """Latents that `synthesis` takes for a picture."""
        number: int = self.module.num_ws
        return number

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of a picture."""
        height, width, channels = self.module.image_shape
        return height, width, channels

    @property
    def tile(self) -> int:
        """Pictures that a device draws at a time."""
        height, width, _ = self.image_shape
        return max(1, min(MAX_TILE, TILE_PIXELS // (height * width)))

    def mapping(
        self,
        z: jax.Array,
        c: jax.Array | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> jax.Array:
        """Maps z to latents.

        Args:
            z: [N, z_dim] float32.
            c: [N, c_dim] float32 labels, where the model is conditional.
            truncation_psi: 1 leaves the latents as they are, 0 gives the mean one.
            truncation_cutoff: how many first layers are truncated; None means all.

        Returns:
            w_plus [N, num_ws, w_dim] float32.

        Raises:
            UserError: z or c has another shape, c is missing, or psi or the cutoff is
                out of range.
        """
        check_truncation(truncation_psi, truncation_cutoff, self.num_ws)
        z = jnp.asarray(z, jnp.float32)
        check_array(z, "z", ("N", self.module.z_dim))
        if self.module.c_dim == 0 and c is not None:
            raise UserError("this generator knows no labels: leave c out.")
        if self.module.c_dim > 0:
            if c is None:
                raise UserError(
                    f"this generator needs labels: give c [N, {self.module.c_dim}]."
                )
            c = jnp.asarray(c, jnp.float32)
            check_array(c, "c", (len(z), self.module.c_dim))
        program = self._program(
            ("mapping", truncation_cutoff),
            lambda: jax.jit(partial(map_latents, self.module, truncation_cutoff)),
        )
        return program(self.variables, z, c, truncation_psi)

    def synthesis(
        self,
        w_plus: jax.Array,
        noise_mode: str = "const",
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Draws pictures from latents.

        Args:
            w_plus: [N, num_ws, w_dim] float32.
            noise_mode: ``const`` (the model's own), ``none``, or, where `NOISE_MODES`
                has it, ``random`` (needs a key).
            key: a jax random key; picture i takes its noise from ``fold_in(key, i)``.

        Returns:
            [N, H, W, C] float32, nominally in [-1, 1], not clipped.

        Raises:
            UserError: another shape, a noise mode that the model does not have, or a
                key that is missing or of the old kind.
        """
        w_plus = jnp.asarray(w_plus, jnp.float32)
        check_array(w_plus, "w_plus", ("N", self.num_ws, self.module.w_dim))
        self._check_noise(noise_mode)
        keys = None
        if noise_mode == "random":
            if key is None:
                raise UserError(
                    "noise_mode='random' needs a key: give jax.random.key(0)."
                )
            check_key(key)
            keys = image_keys(key, len(w_plus))
        program = self._program(
            ("synthesis", noise_mode),
            lambda: jax.jit(partial(synthesise, self.module, noise_mode)),
        )
        return program(self.variables, w_plus, keys)

    def latents(self, seeds: Sequence[int], z_source: str = "jax") -> np.ndarray:
        """The z of every seed.

        Args:
            seeds: integers from 0 to 2^32 - 1.
            z_source: ``jax`` (``normal(fold_in(key(seed), 0))``), or ``numpy``
                (``RandomState(seed).randn(1, z_dim)``, as NVIDIA's programs draw it).

        Returns:
            [N, z_dim] float32.

        Raises:
            UserError: a seed out of range or an unknown source.
        """
        check_choice(z_source, "z_source", Z_SOURCES)
        numbers = check_seeds(seeds)
        z_dim = self.module.z_dim
        if z_source == "numpy":
            rows = [np.random.RandomState(s).randn(1, z_dim) for s in numbers]
            return np.concatenate(rows).astype(np.float32)  # [N,z_dim]
        program = self._program(("z",), lambda: jax.jit(partial(draw_z, z_dim)))
        padded = pad(numbers, Z_TILE)
        rows = [
            np.asarray(program(padded[i : i + Z_TILE]))
            for i in range(0, len(padded), Z_TILE)
        ]
        return np.concatenate(rows)[: len(numbers)]

    def images(
        self,
        seeds: Sequence[int],
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
        labels: Any = None,
        batch: int | None = None,
        z_source: str = "jax",
    ) -> np.ndarray:
        """Draws the pictures of seeds, over all devices of this machine.

        A picture depends on its seed (and the options and label), and neither on the
        other seeds, nor on ``batch``, nor on the number of devices.

        Args:
            seeds: integers from 0 to 2^32 - 1, at least one.
            truncation_psi: 1 leaves the latents as they are, 0 gives the mean picture.
            truncation_cutoff: how many first layers are truncated; None means all.
            noise_mode: ``const``, ``none``, or, where `NOISE_MODES` has it, ``random``
                (drawn from the seed).
            labels: of a conditional model: a class, [N] classes or [N, c_dim] floats.
            batch: about how many pictures are computed at a time; None leaves it to
                the program.
            z_source: ``jax`` or ``numpy``; see `latents`.

        Returns:
            [N, H, W, C] uint8.

        Raises:
            UserError: an option is out of range, or labels and model do not match.
        """
        parts = self.iter_images(
            seeds,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            noise_mode=noise_mode,
            labels=labels,
            batch=batch,
            z_source=z_source,
        )
        return np.concatenate(list(parts))

    def iter_images(
        self,
        seeds: Sequence[int],
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
        labels: Any = None,
        batch: int | None = None,
        z_source: str = "jax",
    ) -> Iterator[np.ndarray]:
        """Draws as `images` does and yields parts [n, H, W, C] uint8 in order."""
        self._check_noise(noise_mode)
        check_truncation(truncation_psi, truncation_cutoff, self.num_ws)
        if batch is not None and batch < 1:
            raise UserError(f"batch is at least 1, got {batch}.")
        numbers = check_seeds(seeds)
        c = self._labels(labels, len(numbers))
        z = self.latents(numbers.tolist(), z_source)
        return self._draw(
            (numbers, z, c),
            jnp.float32(truncation_psi),
            truncation_cutoff,
            noise_mode,
            batch,
        )

    def _draw(
        self,
        inputs: tuple[np.ndarray, ...],
        psi: jax.Array,
        cutoff: int | None,
        noise_mode: str,
        batch: int | None,
    ) -> Iterator[np.ndarray]:
        """Runs tiles over the devices, a few groups in flight."""
        tile = self.tile
        total = len(inputs[0])
        # A single tile would leave all devices but one idle anyway.
        devices = jax.local_devices() if total > tile else jax.local_devices()[:1]
        mesh = Mesh(np.array(devices), (AXIS,))
        group = tile * len(devices)
        program = self._program(
            ("images", len(devices), cutoff, noise_mode),
            lambda: compile_tiles(self.module, mesh, cutoff, noise_mode),
        )
        variables = self._on(mesh)
        sharding = NamedSharding(mesh, PartitionSpec(AXIS))

        def started() -> Iterator[tuple[jax.Array, int]]:
            for start in range(0, total, group):
                part = [pad(x[start : start + group], group) for x in inputs]
                drawn = program(variables, *jax.device_put(part, sharding), psi)
                yield drawn, min(group, total - start)

        return in_flight(started(), max(1, (batch or 2 * group) // group))

    def _on(self, mesh: Mesh) -> Any:
        """The variables on every device of a mesh, copied once."""
        if mesh.size not in self._placed:
            replicated = NamedSharding(mesh, PartitionSpec())
            self._placed[mesh.size] = jax.device_put(self.variables, replicated)
        return self._placed[mesh.size]

    def _program(
        self, name: tuple, make: Callable[[], Callable[..., jax.Array]]
    ) -> Callable[..., jax.Array]:
        if name not in self._programs:
            self._programs[name] = make()
        return self._programs[name]

    def _check_noise(self, noise_mode: str) -> None:
        """Raises `UserError` unless the model has this noise mode."""
        check_choice(noise_mode, "noise_mode", self.NOISE_MODES)

    def _labels(self, labels: Any, number: int) -> np.ndarray:
        """Labels in any form as [N, c_dim] float32."""
        c_dim = self.module.c_dim
        if c_dim == 0:
            if labels is not None:
                raise UserError("this generator knows no labels: leave them out.")
            return np.zeros((number, 0), np.float32)
        if labels is None:
            raise UserError(
                f"this generator needs a label: give a class from 0 to {c_dim - 1}."
            )
        given = np.asarray(labels)
        if given.ndim < 2 and np.issubdtype(given.dtype, np.integer):
            classes = np.broadcast_to(given, (number,)) if given.ndim == 0 else given
            if len(classes) == number and ((classes >= 0) & (classes < c_dim)).all():
                return np.eye(c_dim, dtype=np.float32)[classes]
        elif given.shape == (number, c_dim):
            return given.astype(np.float32)
        if given.ndim == 0:
            raise UserError(
                f"a label is a class from 0 to {c_dim - 1}, got {labels!r}."
            )
        raise UserError(
            f"labels are a class from 0 to {c_dim - 1}, one for each of the {number} "
            f"pictures, or an array [{number}, {c_dim}], got {labels!r}."
        )
