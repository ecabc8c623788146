"""pix2pixHD students at work over all devices: pictures in, pictures out.

A student is fully convolutional, so it works at any side that it can halve as often as
it does; one that was trained here says at which side that was. A program takes a fixed
number of pictures per device whatever is asked for, so that an output depends on its
picture and the options alone, not on its neighbours or on the number of devices.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.drawing import to_bytes
from stylegan_jax.checkpoints.pictures import PNG_MODES
from stylegan_jax.checkpoints.pix2pixhd import (
    LEAST_SIDE,
    Pix2PixHDGlobal,
    Pix2PixHDLocal,
)
from stylegan_jax.checkpoints.tiles import Tiles
from stylegan_jax.data.augment.pair_source import one_hot
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.stylize_inputs import Kind, Seconds, TwoPictures
from stylegan_jax.pipelines.stylize_options import OF_LATENTS, Options
from stylegan_jax.pipelines.stylize_psp import degraded

Student = Pix2PixHDGlobal | Pix2PixHDLocal

# Pictures that a device translates at a time, fewer where they are large. A CPU gains
# nothing by more than one, and would translate the padding of the last tile for
# nothing.
TILE, TILE_PIXELS, CPU_TILE = 8, 2**20, 1


class StudentPictures:
    """A student that takes and gives pictures as they lie on disk.

    Attributes:
        model: the network.
        kind: what it sees.
    """

    def __init__(
        self,
        model: Student,
        *,
        size: int | None = None,
        classes: int | None = None,
        keep_aspect: bool = False,
        seconds: Seconds | None = None,
    ):
        """Compiles nothing yet.

        Args:
            model: the network.
            size: side to work at; None for the one it was trained at.
            classes: of label maps; None for what the model's file tells.
            keep_aspect: whether all of a picture that is not square is shown.
            seconds: the second pictures of a model that takes two; None where arrays
                are given.

        Raises:
            UserError: a side that the network cannot take, or that nothing tells, or
                channels that nobody explains.
        """
        self.model = model
        self.kind = kind_of(
            model,
            size=size,
            classes=classes,
            keep_aspect=keep_aspect,
            seconds=seconds,
        )
        side = self.kind.size
        self.image_shape = (side, side, model.module.img_channels)
        self._tiles = Tiles(self._draw, model.variables)

    @property
    def tile(self) -> int:
        """Pictures that a device translates at a time."""
        if jax.default_backend() == "cpu":
            return CPU_TILE
        return max(1, min(TILE, TILE_PIXELS // self.kind.size**2))

    def draw(self, pictures: np.ndarray) -> np.ndarray:
        """Translates pictures.

        Args:
            pictures: [N, *kind.shape] uint8, N ≥ 1, as `Kind.read` returns them.

        Returns:
            [N, *image_shape] uint8.
        """
        return self._tiles.run(pictures, self.tile)

    def _draw(self, variables: Any, pictures: jax.Array) -> jax.Array:
        """One tile: [n, *kind.shape] uint8 to [n, *image_shape] uint8."""
        x = student_input(pictures, self.kind, self.model.module.input_channels)
        y: Any = self.model.module.apply(variables, x)
        return to_bytes(y)


class Pix2PixHDStylist:
    """A student: translates pictures, without latents; see `Stylist`."""

    has_latents = False

    def __init__(self, model: Student, options: Options):
        """Reads the second pictures, if the model takes any.

        Args:
            model: the network.
            options: see there.

        Raises:
            UserError: options that do not fit the model.
        """
        options.refuse(OF_LATENTS, "a pix2pixHD model")
        seconds = None if options.second is None else Seconds(options.second)
        self._pictures = StudentPictures(
            model,
            size=options.size,
            classes=options.classes,
            keep_aspect=options.keep_aspect,
            seconds=seconds,
        )
        self.kind = self._pictures.kind
        self.heads = ["output"]
        self.image_shape = self._pictures.image_shape
        two = isinstance(self.kind, TwoPictures)
        if two and seconds is None:
            raise UsageError(
                "this model takes two pictures at a time: give the second one, or a "
                "folder of them with the same names, with --second."
            )
        if not two and seconds is not None:
            raise UsageError(
                "this model takes one picture at a time: leave second out."
            )
        if options.factors and (two or self.kind.classes):
            what = "two pictures" if two else "class maps"
            raise UsageError(
                f"factors shrink one picture, and this model takes {what}: leave them "
                "out."
            )
        self.document: dict[str, Any] = {
            "input_size": self.kind.size,
            "input_channels": model.module.input_channels,
            "classes": self.kind.classes,
            "input_range": "one-hot" if self.kind.classes else [-1, 1],
            "image_shape": list(self.image_shape),
            "second": None if seconds is None else seconds.document,
        }

    def degrade(self, pictures: np.ndarray, factor: int) -> np.ndarray:
        """Shrinks pictures [N, H, W, C] uint8 by a factor and enlarges them again."""
        return degraded(pictures, factor)

    def work(self, pictures: np.ndarray) -> tuple[np.ndarray, None]:
        """Makes outputs; see `Stylist.work`."""
        return self._pictures.draw(pictures)[:, None], None


def kind_of(
    model: Student,
    *,
    size: int | None = None,
    classes: int | None = None,
    keep_aspect: bool = False,
    seconds: Seconds | None = None,
) -> Kind:
    """What a student sees; arguments and errors as of `StudentPictures`.

    The file of one that was trained here says what it takes: ``source_labels`` (0 for
    pictures), ``second`` and ``instances``. Of others the channels tell: 1 is grey,
    3 RGB, 6 two pictures.
    """
    if model.module.img_channels not in PNG_MODES:
        raise UserError(
            f"this model draws {model.module.img_channels} channels and a PNG holds 1 "
            "to 4."
        )
    provenance = model.metadata.get("provenance", {})
    if provenance.get("instances"):
        raise UserError(
            "this model takes maps of instances, which can only be given in training "
            "so far: use one that was trained with --config.data.instances=false."
        )
    channels = model.module.input_channels
    side = _side(model, size)
    labels = _labels(provenance.get("source_labels"), classes)
    others = "keep" if keep_aspect else "crop"
    if labels:
        if channels not in (labels, labels + 1):
            raise UsageError(
                f"this model takes {channels} channels, which {labels} classes are not "
                "(one more is for edges): say how many classes its label maps have."
            )
        return Kind(side, 1, classes=labels, shape_of_others=others)
    if channels == 6 and provenance.get("second", True):
        return TwoPictures(side, 3, shape_of_others="crop", seconds=seconds)
    if channels not in (1, 3):
        raise UsageError(
            f"this model takes {channels} channels and its file does not tell what "
            "they are: say how many classes its label maps have (--classes)."
        )
    return Kind(side, channels, shape_of_others=others)


def _labels(told: int | None, classes: int | None) -> int:
    """Classes of a model's label maps, 0 for pictures: what its file tells counts."""
    if told is None or classes is None:
        return told or classes or 0
    if told != classes:
        takes = f"label maps of {told} classes" if told else "pictures"
        raise UsageError(
            f"this model takes {takes}, as its file tells, got {classes} classes: "
            "leave classes out."
        )
    return told


def student_input(x: jax.Array, kind: Kind, channels: int) -> jax.Array:
    """What a student takes for pictures as they lie on disk.

    Args:
        x: [N, *kind.shape] uint8.
        kind: what it sees.
        channels: that it takes.

    Returns:
        [N, H, W, channels] float32: pictures in [-1, 1]; class maps one-hot, followed
        by the edges between classes where the model has a channel for them.
    """
    if not kind.classes:
        return x.astype(jnp.float32) / 127.5 - 1
    planes = one_hot(x, kind.classes)
    if channels == kind.classes:
        return planes
    return jnp.concatenate([planes, edges(x)], axis=3)


def edges(labels: jax.Array) -> jax.Array:
    """Where a pixel's number differs from that of one of its four neighbours.

    pix2pixHD (Wang et al. 2018, section 3.3) draws them around instances; where there
    are no maps of instances, around classes.

    Args:
        labels: [N, H, W, 1] integers.

    Returns:
        [N, H, W, 1] float32, 0 or 1.
    """
    down = labels[:, 1:] != labels[:, :-1]
    right = labels[:, :, 1:] != labels[:, :, :-1]
    none = ((0, 0), (0, 0), (0, 0), (0, 0))
    first, last, left, after = (list(none) for _ in range(4))
    first[1], last[1], left[2], after[2] = (1, 0), (0, 1), (1, 0), (0, 1)
    found = (
        jnp.pad(down, first)
        | jnp.pad(down, last)
        | jnp.pad(right, left)
        | jnp.pad(right, after)
    )
    return found.astype(jnp.float32)


def _side(model: Student, size: int | None) -> int:
    """The side to work at; raises `UserError` where there is none that fits."""
    side = size or model.metadata.get("provenance", {}).get("resolution")
    if not isinstance(side, int):
        raise UserError(
            "this model's file does not tell at which side it was trained: say it with "
            "--size."
        )
    multiple = model.module.multiple
    least = max(LEAST_SIDE, 2 * multiple)
    if side % multiple or side < least:
        near = max(least, round(side / multiple) * multiple)
        raise UsageError(
            f"this model takes sides that are multiples of {multiple} from {least} on, "
            f"got {side}: give {near}."
        )
    return side
