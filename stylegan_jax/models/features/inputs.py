"""What stands between a picture and a feature network: ranges and sizes.

Every network of this folder takes its input as it was trained with it; these functions
are the only place where pictures are brought there.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# Mean and standard deviation of ImageNet's pictures in [0, 1], RGB, as every network of
# torchvision is trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# The same for pictures in [-1, 1], rounded as LPIPS 0.1 was trained with it (Zhang et
# al. 2018); files of LPIPS hold these numbers too.
LPIPS_SHIFT = (-0.030, -0.088, -0.188)
LPIPS_SCALE = (0.458, 0.448, 0.450)

RESIZES = ("bilinear", "tensorflow", "none")
SCALINGS = ("tensorflow", "pytorch")


def imagenet(x: jax.Array) -> jax.Array:
    """From [-1, 1] to what torchvision's networks take, [N, H, W, 3] float32."""
    mean, std = jnp.asarray(IMAGENET_MEAN), jnp.asarray(IMAGENET_STD)
    return ((x + 1) / 2 - mean) / std


def lpips(x: jax.Array) -> jax.Array:
    """From [-1, 1] to what the trunks of LPIPS take, [N, H, W, 3] float32."""
    return (x - jnp.asarray(LPIPS_SHIFT)) / jnp.asarray(LPIPS_SCALE)


def from_uint8(x: jax.Array, scaling: str = "tensorflow") -> jax.Array:
    """Pictures of bytes as Inception takes them.

    Args:
        x: [N, H, W, 3] of 0 … 255.
        scaling: ``tensorflow`` is (x - 128) / 128, which the network of 2015 was
            trained with and NVIDIA's programs use; ``pytorch`` is x / 127.5 - 1, as
            pytorch-fid does.

    Returns:
        [N, H, W, 3] float32 in [-1, 1].

    Raises:
        ValueError: another scaling.
    """
    x = x.astype(jnp.float32)
    if scaling == "tensorflow":
        return (x - 128) / 128
    if scaling == "pytorch":
        return x / 127.5 - 1
    raise ValueError(f"Unknown scaling '{scaling}', choose from {', '.join(SCALINGS)}.")


def resize(x: jax.Array, size: int, how: str = "bilinear") -> jax.Array:
    """Resizes pictures to a square, two neighbours each way and no antialiasing.

    Args:
        x: [N, H, W, C] float32.
        size: side of the result, in pixels.
        how: ``bilinear`` maps pixel centres onto each other, as pytorch-fid does;
            ``tensorflow`` maps corners, pixel i to i·H/size, as the first FID programs
            and NVIDIA's do; ``none`` leaves the pictures as they are.

    Returns:
        [N, size, size, C] float32, or x itself.

    Raises:
        ValueError: another way.
    """
    if how not in RESIZES:
        raise ValueError(f"Unknown resize '{how}', choose from {', '.join(RESIZES)}.")
    if how == "none" or x.shape[1:3] == (size, size):
        return x
    offset = 0.5 if how == "bilinear" else 0.0
    rows = _neighbours(x.shape[1], size, offset)
    columns = _neighbours(x.shape[2], size, offset)
    # [N,H,W,C] → [N,size,W,C] → [N,size,size,C]
    x = _mix(x, *rows, axis=1)
    return _mix(x, *columns, axis=2)


def _neighbours(length: int, size: int, offset: float) -> tuple[np.ndarray, ...]:
    """Which two pixels make each new one, and the share of the second: each [size]."""
    # Positions in float64: in float32 those of large pictures would be off by 1e-4.
    place = (np.arange(size) + offset) * (length / size) - offset
    place = np.clip(place, 0, length - 1)
    low = np.floor(place).astype(np.int32)
    return low, np.minimum(low + 1, length - 1), (place - low).astype(np.float32)


def _mix(
    x: jax.Array, low: np.ndarray, high: np.ndarray, share: np.ndarray, *, axis: int
) -> jax.Array:
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    weight = share.reshape(shape)
    return jnp.take(x, low, axis) * (1 - weight) + jnp.take(x, high, axis) * weight
