"""What this machine can do, measured: the figures that shares refer to."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.bench.timing import SHORT, Budget, measure
from stylegan_jax.errors import UsageError
from stylegan_jax.ops import bilinear_convs

# Precision of a run: the operands' type, and what XLA may do with their products.
PRECISIONS: dict[str, tuple[Any, str]] = {
    "float32": (jnp.float32, "float32"),
    "tf32": (jnp.float32, "tensorfloat32"),
    "bfloat16": (jnp.bfloat16, "tensorfloat32"),
    "float16": (jnp.float16, "tensorfloat32"),
}
_PACKAGES = ("jax", "jaxlib", "flax", "numpy")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the trials are.

    Attributes:
        matmuls: (rows, inner, columns).
        convolutions: (N, H = W, channels in and out) of a 3x3 convolution.
        copy_bytes: size of the array that is copied.
    """

    matmuls: Sequence[tuple[int, int, int]]
    convolutions: Sequence[tuple[int, int, int]]
    copy_bytes: int


def default_sizes() -> Sizes:
    """Trials that are large enough for the default device and small enough to wait."""
    if jax.default_backend() == "cpu":
        # Four times the last cache, so that nothing of it helps.
        copy = min(max(2**28, 4 * _last_cache()), 2**30)
        return Sizes(
            matmuls=((1024,) * 3, (2048,) * 3, (32768, 512, 512)),
            convolutions=((8, 32, 512), (8, 64, 256)),
            copy_bytes=copy,
        )
    return Sizes(
        matmuls=((4096,) * 3, (8192,) * 3, (16384,) * 3, (131072, 512, 512)),
        convolutions=((64, 32, 512), (32, 64, 512), (32, 128, 256)),
        copy_bytes=2**31,
    )


@dataclasses.dataclass(frozen=True)
class Peaks:
    """The best rates that were measured, on one device.

    Attributes:
        matmul: FLOP/s of the best matrix product, by precision.
        convolution: FLOP/s of the best 3x3 convolution as this package computes it,
            counted tap by tap, by precision.
        counted: the same convolution's FLOP/s as XLA counts its program, which on a
            CPU has fewer operations (Winograd's); by precision.
        copy: bytes read and written per second by a pass over a large array.
        call: seconds that calling a program costs that computes next to nothing.
    """

    matmul: dict[str, float]
    convolution: dict[str, float]
    copy: float
    call: float
    counted: dict[str, float] = dataclasses.field(default_factory=dict)

    def arithmetic(self, precision: str) -> float:
        """The better one of matrix product and convolution, FLOP/s."""
        return max(self.matmul[precision], self.convolution[precision])

    def to_json(self) -> dict[str, Any]:
        """Rates in FLOP/s and bytes/s, the call in seconds."""
        return {
            "matmul_flops_per_second": self.matmul,
            "convolution_flops_per_second": self.convolution,
            "convolution_counted_flops_per_second": self.counted,
            "copy_bytes_per_second": self.copy,
            "call_seconds": self.call,
        }


def check_precision(precision: str) -> None:
    """Raises `UsageError` for an unknown precision."""
    if precision not in PRECISIONS:
        raise UsageError(
            f"--dtype {precision} is unknown: choose {', '.join(PRECISIONS)}."
        )


def measure_peaks(
    precisions: Sequence[str] = ("float32",),
    *,
    sizes: Sizes | None = None,
    budget: Budget = SHORT,
) -> Peaks:
    """Measures the default device's best rates.

    Args:
        precisions: of `PRECISIONS`.
        sizes: of the trials; None for `default_sizes`.
        budget: repeats of each trial, of which the fastest counts.

    Raises:
        UsageError: for an unknown precision.
    """
    sizes = sizes or default_sizes()
    matmul, convolution, counted = {}, {}, {}
    for name in precisions:
        check_precision(name)
        matmul[name] = max(_matmul(name, shape, budget) for shape in sizes.matmuls)
        convolution[name], counted[name] = max(
            _convolution(name, shape, budget) for shape in sizes.convolutions
        )
    copy, call = _copy(sizes.copy_bytes, budget), _call(budget)
    return Peaks(matmul, convolution, copy, call, counted)


def lowering_platform() -> str:
    """What programs are lowered for: cpu, cuda, rocm or tpu."""
    name = jax.default_backend()
    if name != "gpu":
        return name
    try:
        jax.devices("cuda")
    except RuntimeError:
        return "rocm"
    return "cuda"


def describe_machine() -> dict[str, Any]:
    """Names the device, the processor and the versions; JSON values."""
    device = jax.local_devices()[0]
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _matmul(name: str, shape: tuple[int, int, int], budget: Budget) -> float:
    dtype, precision = PRECISIONS[name]
    rows, inner, columns = shape
    a, b = _normal((rows, inner), dtype), _normal((inner, columns), dtype)
    program = _compiled(jnp.matmul, (a, b), precision)
    return 2.0 * rows * inner * columns / _fastest(program, (a, b), budget)


def _convolution(
    name: str, shape: tuple[int, int, int], budget: Budget
) -> tuple[float, float]:
    """FLOP/s counted tap by tap, and as XLA counts the program."""
    dtype, precision = PRECISIONS[name]
    number, side, channels = shape
    x = _normal((number, side, side, channels), dtype)
    w = _normal((3, 3, channels, channels), dtype)
    program = _compiled(bilinear_convs.same, (x, w), precision)
    fastest = _fastest(program, (x, w), budget)
    plain = 2.0 * number * side**2 * 9 * channels**2
    # Where XLA counts nothing (GPUs), the convolution is a plain one.
    return plain / fastest, (counted_flops(program) or plain) / fastest


def _copy(size: int, budget: Budget) -> float:
    """Bytes per second of a pass that reads an array and writes one.

    Both into a fresh array and into its own place: a CPU's fresh pages cost extra.
    """
    x = _normal((size // 4096, 1024), jnp.float32)
    fresh = jax.jit(lambda y: y + 1.0).lower(x).compile()
    seconds = min(measure(lambda: fresh(x), budget).seconds)
    in_place = jax.jit(lambda y: y + 1.0, donate_argnums=0).lower(x).compile()
    held = [x]

    def again():
        held[0] = in_place(held[0])
        return held[0]

    seconds = min(seconds, *measure(again, budget).seconds)
    return 2.0 * held[0].nbytes / seconds


def _call(budget: Budget) -> float:
    x = jnp.zeros((8,), jnp.float32)
    empty = jax.jit(lambda y: y + 1.0).lower(x).compile()
    return measure(lambda: empty(x), budget, in_flight=False).median


def counted_flops(program: Any) -> float | None:
    """Operations of a program, ``jax.stages.Compiled``; None where XLA counts none."""
    flops = analysis(program).get("flops", 0.0)
    return float(flops) if flops > 0 else None


def analysis(stage: Any) -> dict[str, float]:
    """What XLA says that a lowered or compiled program costs."""
    found = stage.cost_analysis()
    # Older backends give a list with one entry per device.
    if isinstance(found, list):
        found = found[0] if found else {}
    return found or {}


def _compiled(
    function: Callable[..., jax.Array], arguments: tuple[jax.Array, ...], precision: str
) -> Any:
    with jax.default_matmul_precision(precision):
        return jax.jit(function).lower(*arguments).compile()


def _fastest(
    program: Callable[..., jax.Array],
    arguments: tuple[jax.Array, ...],
    budget: Budget,
) -> float:
    return min(measure(lambda: program(*arguments), budget).seconds)


def _normal(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Random operands: multiplying zeros takes a chip less power, and so less time."""
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.standard_normal(shape, np.float32), dtype)


def _last_cache() -> int:
    """Bytes of the largest cache that the system tells of; 0 where it tells none."""
    largest = 0
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        match = re.fullmatch(r"(\d+)([KM])", file.read_text().strip())
        if match:
            largest = max(largest, int(match[1]) * {"K": 2**10, "M": 2**20}[match[2]])
    return largest


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        match = re.search(r"model name\s*: (.+)", file.read_text(errors="replace"))
        if match:
            return match[1].strip()
    return platform.processor() or "unknown"
