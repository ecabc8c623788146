"""Pictures on disk: grids of samples and PNG files."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from stylegan_jax.checkpoints.atomic import write_bytes
from stylegan_jax.errors import UserError

# Pillow's name for each channel count that a PNG can hold.
PNG_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def image_grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Lays pictures out row by row, without gaps.

    Args:
        images: [N, H, W, C] uint8, N ≥ 1.
        columns: pictures per row; None means the nearest to a square, ceil(sqrt(N)).

    Returns:
        [rows·H, columns·W, C] uint8; empty places are black.

    Raises:
        UserError: ``images`` is not [N, H, W, C] uint8 with N ≥ 1, or columns < 1.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images):
        raise UserError(
            "image_grid takes images [N, H, W, C] uint8 with N at least 1, got "
            f"{list(images.shape)} {images.dtype}: convert them first."
        )
    if columns is None:
        columns = math.ceil(math.sqrt(len(images)))
    if columns < 1:
        raise UserError(f"a grid needs at least 1 column, got {columns}.")
    number, height, width, channels = images.shape
    columns = min(columns, number)
    rows = -(-number // columns)
    grid = np.zeros((rows * columns, height, width, channels), np.uint8)
    grid[:number] = images
    grid = grid.reshape(rows, columns, height, width, channels)  # [r,k,H,W,C]
    grid = grid.transpose(0, 2, 1, 3, 4)  # [r,H,k,W,C]
    return grid.reshape(rows * height, columns * width, channels)  # [r·H,k·W,C]


def encode_png(array: np.ndarray) -> bytes:
    """Encodes a picture as PNG.

    Args:
        array: [H, W, C] or [H, W] uint8 with C of 1 (grey), 2 (grey and alpha),
            3 (RGB) or 4 (RGBA).

    Returns:
        The file's bytes; the same for the same picture.

    Raises:
        UserError: another type, shape or number of channels.
    """
    from PIL import Image

    array = np.asarray(array)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise UserError(
            "a picture to save must be [H, W, C] uint8 and not empty, got "
            f"{list(array.shape)} {array.dtype}."
        )
    if array.shape[2] not in PNG_MODES:
        raise UserError(
            f"a PNG holds 1 to 4 channels and this picture has {array.shape[2]}: "
            "save the channels apart."
        )
    array = np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


def save_png(path: str | Path, array: np.ndarray) -> None:
    """Writes a picture as PNG, atomically.

    Args:
        path: where to; its folder is made if absent.
        array: [H, W, C] or [H, W] uint8; see `encode_png`.

    Raises:
        UserError: the array is no picture, or the place cannot be written.
    """
    write_bytes(path, encode_png(array))
