"""Rebuilds a golden case: full-size weights from their names, and the numbers to match.

A case is `NAME.json` (what it is, the tensors' specs, the inputs) and `NAME.npz` (what
the original PyTorch program gave). Weights are not stored: a tensor is drawn from the
case's seed and the CRC-32 of its name, so both sides have the same ones.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "golden"

# What a case draws with another seed than its own: D is drawn with `seed + 1`.
_SEED_OFFSETS = {"discriminator": 1, "D": 1}

_NORMAL = re.compile(r"normal\*(?P<scale>[0-9.]+)(?:\s*\[(?P<shape>[^\]]+)\])?")
_BLOCKS = re.compile(r"blocks \[(?P<shape>[^\]]+)\]")


class GoldenCase:
    """One case of `tests/golden`; arrays are float32 and NCHW, as PyTorch has them.

    Attributes:
        info: the JSON without the tensors' specs.
        expected: the outputs by name, for example `image` or `r1_per_image`.
    """

    def __init__(self, name: str, folder: Path = FOLDER):
        self.name = name
        self.info: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        self._specs: dict[str, dict[str, Any]] = self.info.pop("tensors")
        with np.load(folder / f"{name}.npz") as stored:
            arrays = {key: stored[key] for key in stored.files}
        self._exact = {k: v for k, v in arrays.items() if k.startswith("exact/")}
        self.expected = {k: v for k, v in arrays.items() if k not in self._exact}

    @property
    def parts(self) -> tuple[str, ...]:
        """The networks of the case, for example `("D", "G_ema")`."""
        return tuple(self._specs)

    @property
    def batch(self) -> int:
        """Number of samples in every input."""
        return self.info["batch"]

    def keys(self, part: str) -> tuple[str, ...]:
        """The state-dict keys of `part`."""
        return tuple(self._specs[part])

    def tensor(self, part: str, key: str) -> np.ndarray:
        """The tensor `key` of the state dict of `part`."""
        spec = self._specs[part][key]
        shape = tuple(spec["shape"])
        if spec["dist"] == "exact":
            exact = self._exact[f"exact/{part}/{key}"]
            assert exact.shape == shape, (key, exact.shape, shape)
            return exact
        rng = self._generator(key, _SEED_OFFSETS.get(part, 0))
        if spec["dist"] == "normal":
            drawn = rng.standard_normal(shape, dtype=np.float32)
            return np.asarray(spec["mean"] + spec["std"] * drawn, np.float32)
        if spec["dist"] == "uniform":
            drawn = rng.random(shape, dtype=np.float32)
            span = spec["high"] - spec["low"]
            return np.asarray(spec["low"] + span * drawn, np.float32)
        raise ValueError(
            f"{self.name}: {part}/{key} has the distribution {spec['dist']}"
        )

    def state_dict(self, part: str) -> dict[str, np.ndarray]:
        """All tensors of `part` by their keys."""
        return {key: self.tensor(part, key) for key in self._specs[part]}

    def input(self, name: str) -> np.ndarray:
        """The input `name`, drawn by the rule that the JSON writes beside it."""
        rule = self.info["inputs"][name]
        if blocks := _BLOCKS.match(rule):
            n, c, h, w = self._shape(blocks["shape"])
            coarse = self._draw(name, (n, c, h // 8, w // 8), 0.7)
            return np.clip(coarse.repeat(8, axis=2).repeat(8, axis=3), -1, 1)
        if name == "wplus":
            # The text gives z1 tiled to every layer plus a normal named `wplus`.
            shape = self._shape(rule[rule.rindex("[") + 1 : rule.rindex("]")])
            return self.input("z1")[:, None, :] + self._draw(name, shape, 0.3)
        normal = _NORMAL.match(rule)
        if normal is None:
            raise ValueError(f"{self.name}: no rule draws the input {name}: {rule}")
        shape = self._shape(normal["shape"] or "B,3,S,S")
        drawn = self._draw(name, shape, float(normal["scale"]))
        # Path length noise is divided by sqrt(H·W) once it is drawn.
        return drawn / np.float32(self.size) if "divided by" in rule else drawn

    @property
    def size(self) -> int:
        """Side of the square images, in pixels."""
        return self.info.get("size") or self.expected["image"].shape[-1]

    def _generator(self, name: str, seed_offset: int = 0) -> np.random.Generator:
        seed = self.info["seed"] + seed_offset
        return np.random.default_rng([seed, zlib.crc32(name.encode())])

    def _draw(self, name: str, shape: tuple[int, ...], scale: float) -> np.ndarray:
        drawn = self._generator(name).standard_normal(shape, dtype=np.float32)
        return np.float32(scale) * drawn

    def _shape(self, text: str) -> tuple[int, ...]:
        # The number of w in a square StyleGAN2 is 2·log2(size) − 2.
        letters = {
            "B": self.batch,
            "S": self.size,
            "num_ws": 2 * (self.size.bit_length() - 1) - 2,
        }
        words = [word.strip() for word in text.split(",")]
        return tuple(
            letters[word] if word in letters else self.info.get(word) or int(word)
            for word in words
        )
