"""The two sides of a pair: the base's picture, and a blend's or an edited one."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylegan_jax.checkpoints.arguments import MAX_SEED
from stylegan_jax.checkpoints.load import find_model, load_generator
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.pictures import PNG_MODES
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.latent_pictures import LatentPictures, edit, parse_layers

# Where a file of directions has its array, in the order in which they are looked for.
DIRECTION_KEYS = ("direction", "unit")
# The end of a note; pairs without a difference teach a student nothing.
ALIKE = ": the two pictures of every pair are the same"


@dataclasses.dataclass(frozen=True)
class Direction:
    """A latent edit that makes the second picture.

    Attributes:
        path: an ``.npy`` with an array, or an ``.npz`` with ``direction`` or ``unit``;
            [w_dim], or [num_ws, w_dim] for one direction per layer.
        strength: factor of the direction.
        layers: text such as ``0-7``; None means all.
    """

    path: Path
    strength: float
    layers: str | None = None


class Sides:
    """Draws both pictures of pairs.

    Attributes:
        document: what the manifest says of them, by side.
        image_shape: (H, W, C) of every picture.
        has_own_w: whether the second side's latents are other than the first's.
        notes: sentences on what makes both sides alike.
    """

    def __init__(
        self,
        base: str | Path,
        other: str | Path | Direction,
        *,
        truncation_psi: float,
        noise_mode: str,
        label: int | None,
    ):
        """Opens the models.

        Args:
            base: model of the first pictures.
            other: model of the second ones, or an edit of the first ones' latents.
            truncation_psi: of both.
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
        self._direction: np.ndarray | None = None
        self.document: dict[str, Any] = {"a": _document(file, model)}
        if isinstance(other, Direction):
            self._edit = other
            self._direction = read_direction(other.path)
            self._layers = (
                parse_layers(other.layers, model.num_ws) if other.layers else None
            )
            self._b = self._a
            self.document["b"] = {
                "direction": other.path.name,
                "sha256": sha256_of(other.path),
                "strength": other.strength,
                "layers": self._layers,
            }
            # Told before minutes of work, not after.
            _check_strength(other, self._direction)
            shape = (1, model.num_ws, model.module.w_dim)
            zeros = np.zeros(shape, np.float32)
            moved = edit(zeros, self._direction, other.strength, self._layers)
            alike = f"{other.path} at strength {other.strength:g} moves nothing"
            self.notes = [] if moved.any() else [alike + ALIKE]
        else:
            second = find_model(other)
            theirs = load_generator(second)
            _check_pair(file, model, second, theirs)
            self._b = LatentPictures(theirs, noise_mode=noise_mode)
            self.document["b"] = _document(second, theirs)
            same = self.document["a"]["sha256"] == self.document["b"]["sha256"]
            self.notes = [f"{file} and {second} are one model{ALIKE}"] if same else []
        self.has_own_w = self._direction is None and not _same_mapping(self._a, self._b)

    def draw(
        self, seeds: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray | None, Iterator[tuple[np.ndarray, np.ndarray]]]:
        """Draws the pairs of seeds.

        Args:
            seeds: integers from 0 to 2^32 - 1, at least one.

        Returns:
            w of the first side, [N, w_dim] float32, truncated; that of the second where
            `has_own_w`, else None; and both sides' pictures, [n, H, W, C] uint8, part
            by part in order.
        """
        z = self._a.model.latents(list(seeds))
        ours = self._mapped(self._a, z)
        theirs = ours
        if self._direction is not None:
            theirs = edit(ours, self._direction, self._edit.strength, self._layers)
        elif self.has_own_w:
            theirs = self._mapped(self._b, z)
        pictures = zip(
            self._a.iter_images([ours]), self._b.iter_images([theirs]), strict=True
        )
        # Without a cutoff the latents of all layers are one.
        own = theirs[:, 0] if self.has_own_w else None
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


def read_direction(path: str | Path) -> np.ndarray:
    """Reads a direction.

    Args:
        path: see `Direction`.

    Returns:
        [w_dim] or [num_ws, w_dim] float32.

    Raises:
        UserError: it cannot be read, or holds no such array.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                names = [name for name in DIRECTION_KEYS if name in loaded.files]
                if not names:
                    raise UserError(
                        f"{path} has no array {' or '.join(DIRECTION_KEYS)} (it has "
                        f"{', '.join(loaded.files) or 'none'})."
                    )
                loaded = loaded[names[0]]
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is no .npy or .npz file: {error}.") from error
    fits = loaded.dtype.kind in "fiu" and loaded.ndim in (1, 2) and loaded.size > 0
    if not fits or not np.isfinite(loaded).all():
        raise UserError(
            f"a direction is [w_dim] or [num_ws, w_dim] finite numbers and {path} has "
            f"{list(loaded.shape)} {loaded.dtype}."
        )
    return loaded.astype(np.float32)


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
