"""Draws of golden cases that state no picture size: by name and shape."""

from __future__ import annotations

import zlib

import numpy as np
from golden_case import GoldenCase


def normal(case: GoldenCase, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The unit normal input `name`, float32."""
    rng = np.random.default_rng([case.info["seed"], zlib.crc32(name.encode())])
    return rng.standard_normal(shape, dtype=np.float32)


def blocks(case: GoldenCase, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The input `name` of 8x8 blocks [B, C, S, S] in [-1, 1]."""
    n, c, h, w = shape
    coarse = np.float32(0.7) * normal(case, name, (n, c, h // 8, w // 8))
    return np.clip(coarse.repeat(8, axis=2).repeat(8, axis=3), -1, 1)


def stylegan1_noise(case: GoldenCase) -> dict:
    """The noise of a `stylegan1_*` case, as our collection ``noise`` holds it."""
    found: dict = {}
    resolution = 4
    while resolution <= case.info["resolution"]:
        block = found.setdefault(f"b{resolution}", {})
        layers = ("input" if resolution == 4 else "conv0", "conv1")
        for epi, layer in enumerate(layers, 1):
            side = f"{resolution}x{resolution}"
            name = f"noise/g_synthesis.blocks.{side}.epi{epi}.top_epi.noise"
            drawn = normal(case, name, (1, 1, resolution, resolution))
            block[layer] = {"noise_const": drawn[0, 0]}
        resolution *= 2
    return {"synthesis": found}


def relative_error(got, want) -> float:
    """‖got − want‖ / ‖want‖."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, (got.shape, want.shape)
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))
