"""Sliced Wasserstein distance between Laplacian-pyramid patches of two picture sets.

The one image metric that needs no trained network. Karras et al. 2018, "Progressive
Growing of GANs", section 5 and its code `metrics/sliced_wasserstein.py`:

1. Laplacian pyramid of every picture, from full size down to 16 pixels.
2. Per level and picture, random 7×7 patches over all channels.
3. Per level and set, each channel of the patches is brought to mean 0 and variance 1.
4. The mean over 512 random directions (4 repeats of 128) of the Wasserstein-1 distance
   between the projections, which in one dimension is that of the sorted values.
5. Times 1000, one figure per level, and their mean.

Because of step 3 a shift or scaling of a whole set's colours is not seen. Figures
compare only at equal numbers of pictures and patches: the bias falls with both.
"""

from __future__ import annotations

import zlib

import numpy as np

from stylegan_jax.errors import UserError

PATCH = 7
PATCHES_PER_IMAGE = 128
DIRECTION_REPEATS = 4
DIRECTIONS_PER_REPEAT = 128
SMALLEST_LEVEL = 16
# Values held at a time while projecting: 64 MiB of float32 per set.
PROJECTION_VALUES = 2**24
# Pictures whose pyramids are held at a time.
CHUNK = 256


class SlicedWasserstein:
    """The distance to one fixed set of pictures, whose descriptors are kept.

    Memory: 4·147 bytes · N · patches per level for RGB, 39 MB per level for 2048
    pictures of 32 pixels.

    Attributes:
        num_images: how many pictures the fixed set has, and every other must have.
        names: the figures' names in order, ``swd/<level size> …, swd/mean``.
    """

    def __init__(self, real: np.ndarray, *, seed: int = 0, patches: int | None = None):
        """Describes the fixed set.

        Args:
            real: [N, H, W, C] uint8, the shorter side at least 16.
            seed: of the patches' places and the directions.
            patches: per picture and level; None means the paper's 128, and fewer
                (one per 32 pixels) for pictures smaller than 64×64, where 128 would
                cover every pixel many times over.

        Raises:
            UserError: not [N, H, W, C] uint8, or too small a picture.
        """
        real = _check_images(real, "real")
        self._shape = real.shape
        self._seed = seed
        height, width = real.shape[1:3]
        self._patches = patches or max(1, min(PATCHES_PER_IMAGE, height * width // 32))
        self._sizes = level_sizes(height, width)
        self.num_images = len(real)
        self.names = [*(f"swd/{min(s)}" for s in self._sizes), "swd/mean"]
        self._real = self._describe(real)

    def __call__(self, fake: np.ndarray) -> dict[str, float]:
        """The distance of a set of pictures from the fixed one.

        Args:
            fake: [N, H, W, C] uint8, as many and as large as the fixed set's.

        Returns:
            ``{"swd/32": …, "swd/16": …, "swd/mean": …}``, times 1000 as in the paper.

        Raises:
            UserError: another type, shape or number of pictures.
        """
        fake = _check_images(fake, "fake")
        if fake.shape != self._shape:
            raise UserError(
                f"swd compares sets of one shape, got real {list(self._shape)} and "
                f"fake {list(fake.shape)}: take as many pictures of the same size."
            )
        described = self._describe(fake)
        figures = [
            1000.0 * sliced_distance(a, b, seed=self._seed)
            for a, b in zip(self._real, described, strict=True)
        ]
        return dict(zip(self.names, [*figures, float(np.mean(figures))], strict=True))

    def _describe(self, images: np.ndarray) -> list[np.ndarray]:
        """Normalised patches per level, each [N·P, C·49] float32."""
        number, _, _, channels = images.shape
        size = channels * PATCH * PATCH
        levels = [
            np.empty((number * self._patches, size), np.float32) for _ in self._sizes
        ]
        for start in range(0, number, CHUNK):
            chunk = images[start : start + CHUNK]
            pyramid = laplacian_pyramid(chunk, len(self._sizes))
            places = self._places(chunk)
            rows = slice(start * self._patches, (start + len(chunk)) * self._patches)
            for level, uniform, described in zip(pyramid, places, levels, strict=True):
                described[rows] = _patches(level, uniform)
        for described in levels:
            _normalise(described, channels)
        return levels

    def _places(self, images: np.ndarray) -> np.ndarray:
        """Where the patches lie: [levels, N, P, 2] float64 in [0, 1).

        They are drawn by the picture's content, so the order of a set does not matter
        and two equal sets have a distance of exactly 0.
        """
        shape = (len(self._sizes), self._patches, 2)
        draws = [
            np.random.default_rng((self._seed, zlib.crc32(image.tobytes()))).random(
                shape
            )
            for image in images
        ]
        return np.stack(draws, axis=1)


def swd(real: np.ndarray, fake: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """The sliced Wasserstein distance of two sets; see `SlicedWasserstein`.

    Args:
        real: [N, H, W, C] uint8.
        fake: [N, H, W, C] uint8, the same shape.
        seed: of the patches' places and the directions.

    Returns:
        ``{"swd/32": …, "swd/16": …, "swd/mean": …}``, times 1000.

    Raises:
        UserError: another type, or shapes that differ.
    """
    return SlicedWasserstein(real, seed=seed)(fake)


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes of the pyramid's levels: halved while even and the half is at least 16.

    Raises:
        UserError: the shorter side is below 16.
    """
    if min(height, width) < SMALLEST_LEVEL:
        raise UserError(
            f"swd needs pictures of at least {SMALLEST_LEVEL} pixels, got "
            f"{height}×{width}: leave it out of the metrics."
        )
    sizes = [(height, width)]
    while (
        height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= SMALLEST_LEVEL
    ):
        height, width = height // 2, width // 2
        sizes.append((height, width))
    return sizes


def laplacian_pyramid(images: np.ndarray, levels: int) -> list[np.ndarray]:
    """Splits pictures into bands; the last level is what remains, low-passed.

    Args:
        images: [N, H, W, C], values 0 to 255; H and W even where halved.
        levels: how many, at least 1.

    Returns:
        ``levels`` arrays [N, H/2^i, W/2^i, C] float32.
    """
    pyramid = [images.astype(np.float32)]
    for _ in range(1, levels):
        small = _filter(pyramid[-1])[:, ::2, ::2]
        # Zeros are put between the pixels; 4 makes up for them.
        upsampled = np.zeros_like(pyramid[-1])
        upsampled[:, ::2, ::2] = 4.0 * small
        pyramid[-1] -= _filter(upsampled)
        pyramid.append(np.ascontiguousarray(small))
    return pyramid


def sliced_distance(a: np.ndarray, b: np.ndarray, *, seed: int) -> float:
    """Mean Wasserstein-1 distance of projections on 4 × 128 random unit directions.

    Args:
        a: [M, D] float32.
        b: [M, D] float32.
        seed: of the directions.

    Returns:
        The distance, ≥ 0.
    """
    directions = np.random.default_rng((seed, 1)).standard_normal(
        (DIRECTION_REPEATS * DIRECTIONS_PER_REPEAT, a.shape[1])
    )
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions = directions.astype(np.float32)
    step = max(1, min(len(directions), PROJECTION_VALUES // len(a)))
    total = 0.0
    for start in range(0, len(directions), step):
        part = directions[start : start + step]
        projected_a = np.sort(part @ a.T, axis=1)  # [directions,M]
        projected_b = np.sort(part @ b.T, axis=1)  # [directions,M]
        total += float(np.abs(projected_a - projected_b).mean(1, np.float64).sum())
    return total / len(directions)


def _check_images(images: np.ndarray, name: str) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or 0 in images.shape:
        raise UserError(
            f"swd takes {name} pictures as [N, H, W, C] uint8 and at least one, got "
            f"{list(images.shape)} {images.dtype}: convert them first."
        )
    return images


def _filter(x: np.ndarray) -> np.ndarray:
    """The 5×5 binomial low-pass with mirrored edges; [N, H, W, C] to the same."""
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (2, 2)
        padded = np.pad(x, pad, mode="reflect")
        n = x.shape[axis]
        tap = [padded[(slice(None),) * axis + (slice(i, i + n),)] for i in range(5)]
        x = tap[0] + tap[4]
        x += 4.0 * (tap[1] + tap[3])
        x += 6.0 * tap[2]
        x /= 16.0
    return x


def _patches(level: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Cuts 7×7 patches.

    Args:
        level: [N, h, w, C] float32.
        places: [N, P, 2] in [0, 1).

    Returns:
        [N·P, C·49] float32, the channel slowest.
    """
    number, height, width, channels = level.shape
    free = np.array([height - PATCH + 1, width - PATCH + 1])
    y, x = np.moveaxis((places * free).astype(np.intp), -1, 0)  # [N,P] each
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), (1, 2))
    cut = windows[np.arange(number)[:, None], y, x]  # [N,P,C,7,7]
    return cut.reshape(-1, channels * PATCH * PATCH)  # [N·P,C·49]


def _normalise(described: np.ndarray, channels: int) -> None:
    """Brings each channel of [M, C·49] to mean 0 and variance 1, in place."""
    for part in np.split(described, channels, axis=1):
        part -= part.mean(dtype=np.float64)
        # A constant channel has nothing to scale.
        part /= max(float(np.sqrt(np.mean(np.square(part), dtype=np.float64))), 1e-8)
