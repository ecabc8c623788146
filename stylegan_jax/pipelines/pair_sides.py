"""The sides of a pair: the base's picture, and a blend's or an edited one.

Some sets have a third side, C: the opposite edit, or a second person whose fine layers
the first one gets (face mixing).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.arguments import MAX_SEED
from stylegan_jax.checkpoints.load import find_model, load_generator
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.pictures import PNG_MODES
from stylegan_jax.data.pair_manifest import SIDES, THIRD
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import LatentPictures, edit, parse_layers
from stylegan_jax.pipelines.direction_files import find_direction, read_direction

# The second person of pair i is drawn from the pair's seed + this, modulo 2^32: far
# from every seed that a set of pairs will reach.
SECOND_PERSON = 2**31
# The end of a note; pairs without a difference teach a student nothing.
ALIKE = ": the two pictures of every pair are the same"


@dataclasses.dataclass(frozen=True)
class Direction:
    """A latent edit that makes the second picture.

    Attributes:
        path: an ``.npy`` with an array, or an ``.npz`` with ``direction`` or ``unit``;
            [w_dim], or [num_ws, w_dim] for one direction per layer. Or a bare name; see
            `direction_files.find_direction`.
        strength: factor of the direction.
        layers: text such as ``0-7``; None means all.
        both: whether there is a third picture, moved as far the other way.
    """

    path: Path
    strength: float
    layers: str | None = None
    both: bool = False


@dataclasses.dataclass(frozen=True)
class Mix:
    """Face mixing: the second picture has some layers of a second person, the third.

    Attributes:
        layers: text such as ``8-17``, the layers of the second person.
    """

    layers: str


class Sides:
    """Draws the pictures of pairs.

    Attributes:
        names: ``A``, ``B`` and, where there is a third, ``C``.
        document: what the manifest says of them, by side.
        image_shape: (H, W, C) of every picture.
        own_w: the name of further latents that `draw` gives: ``w_b`` where the second
            model has another mapping network, ``w_c`` of a second person; else None.
        notes: sentences on what makes both sides alike.
    """

    def __init__(
        self,
        base: str | Path,
        other: str | Path | Direction | Mix,
        *,
        truncation_psi: float,
        noise_mode: str,
        label: int | None,
    ):
        """Opens the models.

        Args:
            base: model of the first pictures.
            other: model of the second ones, or an edit of the first ones' latents.
            truncation_psi: of all.
            noise_mode: ``none`` or ``const``.
            label: class, where the models are conditional.

        Raises:
            UserError: no such models, or they do not make pairs.
        """
        file = find_model(base)
        model = load_generator(file)
        self.image_shape = model.image_shape
        if self.image_shape[2] not in PNG_MODES:
            raise UserError(
                f"{file} draws {self.image_shape[2]} channels and a PNG holds 1 to 4."
            )
        self._psi, self._label = truncation_psi, label
        self._a = LatentPictures(model, noise_mode=noise_mode)
        self._b = self._a
        self.names: tuple[str, ...] = SIDES
        self.own_w: str | None = None
        self.document: dict[str, Any] = {"a": _document(file, model)}
        self.notes: list[str] = []
        # What becomes of the first side's latents and of a second person's.
        self._edits: list[Callable[[np.ndarray, np.ndarray], np.ndarray]] = []
        if isinstance(other, Direction):
            self._open_direction(other, file, model)
        elif isinstance(other, Mix):
            self._open_mix(other, model)
        else:
            self._open_model(other, file, model)

    def _open_direction(self, chosen: Direction, file: Path, model: Any) -> None:
        path = find_direction(chosen.path, file)
        direction = read_direction(path)
        layers = parse_layers(chosen.layers, model.num_ws) if chosen.layers else None
        # Told before minutes of work, not after.
        _check_strength(chosen, direction)
        shape = (1, model.num_ws, model.module.w_dim)
        zeros = np.zeros(shape, np.float32)
        if not edit(zeros, direction, chosen.strength, layers).any():
            alike = f"{path} at strength {chosen.strength:g} moves nothing"
            self.notes.append(alike + ALIKE)
        strengths = {"b": chosen.strength}
        if chosen.both:
            self.names = (*SIDES, THIRD)
            strengths["c"] = -chosen.strength
        for side, strength in strengths.items():
            self._edits.append(_mover(direction, strength, layers))
            self.document[side] = {
                "direction": path.name,
                "sha256": sha256_of(path),
                "strength": strength,
                "layers": layers,
            }

    def _open_mix(self, chosen: Mix, model: Any) -> None:
        layers = parse_layers(chosen.layers, model.num_ws)
        self.names, self.own_w = (*SIDES, THIRD), "w_c"

        def mixed(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            mix = ours.copy()
            mix[:, layers] = theirs[:, layers]
            return mix

        self._edits += [mixed, lambda ours, theirs: theirs]
        self.document["b"] = {"kind": "mix", "layers": layers}
        self.document["c"] = {"kind": "second person", "seed_offset": SECOND_PERSON}

    def _open_model(self, other: str | Path, file: Path, model: Any) -> None:
        second = find_model(other)
        theirs = load_generator(second)
        _check_pair(file, model, second, theirs)
        self._b = LatentPictures(theirs, noise_mode=self._a.noise_mode)
        self.document["b"] = _document(second, theirs)
        if self.document["a"]["sha256"] == self.document["b"]["sha256"]:
            self.notes.append(f"{file} and {second} are one model{ALIKE}")
        own = not _same_mapping(self._a, self._b)
        self.own_w = "w_b" if own else None
        self._edits.append(lambda ours, theirs: theirs if own else ours)

    def draw(
        self, seeds: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray | None, Iterator[tuple[np.ndarray, ...]]]:
        """Draws the pairs of seeds.

        Args:
            seeds: integers from 0 to 2^32 - 1, at least one.

        Returns:
            w of the first side, [N, w_dim] float32, truncated; that of `own_w`, if any;
            and all sides' pictures, [n, H, W, C] uint8, part by part in order.
        """
        z = self._a.model.latents(list(seeds))
        ours = theirs = self._mapped(self._a, z)
        if self.own_w == "w_b":
            theirs = self._mapped(self._b, z)
        elif self.own_w == "w_c":
            others = [second_seed(seed) for seed in seeds]
            theirs = self._mapped(self._a, self._a.model.latents(others))
        latents = [ours, *(make(ours, theirs) for make in self._edits)]
        pictures = zip(
            *(
                (self._a if i == 0 else self._b).iter_images([w])
                for i, w in enumerate(latents)
            ),
            strict=True,
        )
        # Without a cutoff the latents of all layers are one.
        own = theirs[:, 0] if self.own_w else None
        return ours[:, 0], own, pictures

    def _mapped(self, side: LatentPictures, z: np.ndarray) -> np.ndarray:
        return side.w_plus(z, truncation_psi=self._psi, label=self._label)


def _document(file: Path, model: Any) -> dict[str, Any]:
    return {
        "file": file.name,
        "sha256": sha256_of(file),
        "licence": model.metadata.get("licence", "not stated"),
        "provenance": model.metadata.get("provenance", {}),
    }


def _check_pair(file: Path, model: Any, second: Path, theirs: Any) -> None:
    """Refuses models whose seeds or pictures do not correspond."""
    values = {
        "z_dim": (model.module.z_dim, theirs.module.z_dim),
        "c_dim": (model.module.c_dim, theirs.module.c_dim),
        "picture size": (model.image_shape, theirs.image_shape),
    }
    differing = [
        f"{name} {one} and {two}" for name, (one, two) in values.items() if one != two
    ]
    if differing:
        raise UserError(
            f"{file} and {second} make no pairs, they differ in {'; '.join(differing)}:"
            " give a blend of the base."
        )


def _same_mapping(one: LatentPictures, two: LatentPictures) -> bool:
    """Whether two models map z alike, bit for bit."""
    trees = [
        (
            side.model.variables["params"]["mapping"],
            side.model.variables["moving_stats"],
        )
        for side in (one, two)
    ]
    first, second = (jax.tree.leaves(tree) for tree in trees)
    return len(first) == len(second) and all(
        np.array_equal(a, b) for a, b in zip(first, second, strict=True)
    )


def _mover(
    direction: np.ndarray, strength: float, layers: list[int] | None
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda ours, theirs: edit(ours, direction, strength, layers)


def second_seed(seed: int) -> int:
    """The seed of the second person in the pair of a seed; see `SECOND_PERSON`."""
    return (seed + SECOND_PERSON) % (MAX_SEED + 1)


def _check_strength(chosen: Direction, direction: np.ndarray) -> None:
    """Refuses strengths whose edits are no float32 numbers; NaN compares as false."""
    most = abs(chosen.strength) * float(np.abs(direction).max())
    if not most < float(np.finfo(np.float32).max):
        raise UsageError(
            f"the strength is a number such as 2, got {chosen.strength:g}, at which "
            f"{chosen.path} moves latents beyond all numbers."
        )


def check_seed_range(seed: int, num: int) -> None:
    """Raises `UsageError` unless all of ``num`` seeds from ``seed`` on exist."""
    if num < 1 or seed < 0 or seed + num - 1 > MAX_SEED:
        raise UsageError(
            f"pair i is drawn from seed {seed} + i and seeds go up to {MAX_SEED}: "
            f"{num} pairs do not fit, choose a smaller --seed or --num."
        )
