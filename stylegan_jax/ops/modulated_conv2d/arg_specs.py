"""Real layers by name, shared by the kernels' tests, the bench and the plan.

    for name, spec in specs("ffhq1024", batch=8, dtype="bfloat16").items():
        arrays = make(spec, seed=0)
        y = modulated_conv2d(**arrays, **spec.options())

A name is network, block and layer: ``ffhq1024/b64/conv0``.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.ops.bias_act import activation_gain
from stylegan_jax.ops.filters import make_filter
from stylegan_jax.types import Filter

# Resolution and channel_base: a block of size s has min(channel_base / s, 512)
# channels (Karras et al. 2020; config-f, and config-e at half of it).
NETWORKS = {
    "ffhq1024": (1024, 32768),
    "ffhq512": (512, 32768),
    "ffhq256": (256, 32768),
    "ffhq256e": (256, 16384),
    "ffhq64": (64, 32768),
}
_CHANNEL_MAX = 512


@dataclasses.dataclass(frozen=True)
class ArgSpec:
    """Shapes and static arguments of one call of ``modulated_conv2d``.

    Attributes:
        x: (N, H, W, I) of the input; the output is ``up`` times as large.
        w: (k, k, I, O).
        up: 1 or 2.
        demodulate: whether the kernels are normalised.
        noise: whether the layer adds noise, [N, H*up, W*up, 1].
        act: activation; its variance-keeping gain follows it.
        clamp: bound of the result's absolute value, or None.
        dtype: of x and of the result; weights and styles are float32.
        resample_filter: low-pass taps where ``up`` is 2, else empty.
    """

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    up: int
    demodulate: bool
    noise: bool
    act: str
    clamp: float | None
    dtype: str
    resample_filter: Filter

    @property
    def y(self) -> tuple[int, int, int, int]:
        """(N, H*up, W*up, O) of the result."""
        n, height, width, _ = self.x
        return n, height * self.up, width * self.up, self.w[3]

    @property
    def flops(self) -> int:
        """Multiplications and additions of the convolution.

        Counted at the smaller resolution where ``up`` is 2: the transposed form wastes
        none on inserted zeros.
        """
        n, height, width, _ = self.x
        return 2 * n * height * width * math.prod(self.w)

    @property
    def floor_bytes(self) -> int:
        """Bytes of reading x and the weights once and writing the result once."""
        size = jnp.dtype(self.dtype).itemsize
        return size * (math.prod(self.x) + math.prod(self.y)) + 4 * math.prod(self.w)

    def options(self) -> dict[str, Any]:
        """The static keyword arguments of the public operator."""
        return {
            "demodulate": self.demodulate,
            "up": self.up,
            "resample_filter": self.resample_filter,
            "act": self.act,
            "gain": activation_gain(self.act),
            "clamp": self.clamp,
        }


def specs(
    name: str = "ffhq1024", *, batch: int = 8, dtype: str = "float32"
) -> dict[str, ArgSpec]:
    """Every modulated convolution of a synthesis network, in the order of its layers.

    Args:
        name: one of ``NETWORKS``.
        batch: images, N.
        dtype: of the activations; with less than 32 bits results are clamped at 256,
            as the networks do.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise ValueError(f"No network is named '{name}', choose from {known}.")
    resolution, base = NETWORKS[name]
    clamp = None if jnp.dtype(dtype).itemsize >= 4 else 256.0
    taps = make_filter([1, 3, 3, 1])
    table = {}
    for exponent in range(2, resolution.bit_length()):
        size = 2**exponent
        features = min(base // size, _CHANNEL_MAX)
        if size > 4:
            below = min(2 * base // size, _CHANNEL_MAX)
            x, w = (batch, size // 2, size // 2, below), (3, 3, below, features)
            table[f"{name}/b{size}/conv0"] = ArgSpec(
                x, w, 2, True, True, "lrelu", clamp, dtype, taps
            )
        x, w = (batch, size, size, features), (3, 3, features, features)
        table[f"{name}/b{size}/conv1"] = ArgSpec(
            x, w, 1, True, True, "lrelu", clamp, dtype, ()
        )
        w = (1, 1, features, 3)
        table[f"{name}/b{size}/torgb"] = ArgSpec(
            x, w, 1, False, False, "linear", clamp, dtype, ()
        )
    return table


def make(spec: ArgSpec, seed: int) -> dict[str, jax.Array]:
    """Draws the array arguments of the public operator for one layer.

    Args:
        spec: the layer.
        seed: of the draw.

    Returns:
        x [N,H,W,I] in the spec's dtype, w [k,k,I,O], styles [N,I] around 1 (a torgb's
        are around 1/sqrt(I), as in the network), bias [O], and noise [N,H',W',1] where
        the layer has it; float32 but for x, all of about unit scale.
    """
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape, np.float32))

    inputs, outputs = spec.w[2], spec.w[3]
    arrays = {
        "x": draw(*spec.x).astype(spec.dtype),
        "w": draw(*spec.w),
        "styles": 1 + 0.5 * draw(spec.x[0], inputs),
        "bias": 0.1 * draw(outputs),
    }
    if not spec.demodulate:
        arrays["styles"] /= math.sqrt(inputs)
    if spec.noise:
        arrays["noise"] = 0.1 * draw(*spec.y[:3], 1)
    return arrays
