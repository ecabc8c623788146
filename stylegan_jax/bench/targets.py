"""Chips that programs can be compiled for without having one, and what they can do.

All figures are the makers' and per device, as jax counts devices (a TPU chip is one).
Only chips that a program of a whole training step was compiled for are listed.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from stylegan_jax.bench.counts import FULL, ONE_PASS, THREE_PASSES, Product
from stylegan_jax.errors import MissingExtra, UsageError

# What the compilers need of the environment: they ask for no machine of their own, the
# flags of a user's shell are for the backend that is here, and since no chip is opened,
# several processes may have the TPU's compiler at once. What these compilers write into
# the compilation cache is never found again.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
}
REMOVED = ("XLA_FLAGS",)

# jax takes this share of a GPU's memory unless XLA_PYTHON_CLIENT_MEM_FRACTION is set.
_GPU_SHARE = 0.75


@dataclasses.dataclass(frozen=True)
class Chip:
    """A kind of device.

    Attributes:
        name: as a person calls it.
        platform: jax's, ``tpu`` or ``cuda``.
        flops: peak FLOP/s of matrix products, by number format and precision.
        bandwidth: bytes/s of its memory, read and written.
        usable: bytes that jax's programs may take of its memory.
        link: bytes/s that a device sends in a ring over the fast links.
        linked: devices that the fast links join.
        network: bytes/s that a device sends beyond them.
        source: where the figures are from.
        effort: of a plan's compiler, where none is asked for.
    """

    name: str
    platform: str
    flops: Mapping[Product, float]
    bandwidth: float
    usable: int
    link: float
    linked: int
    network: float
    source: str
    effort: float = 0.0

    def peak(self, product: Product) -> float:
        """Peak FLOP/s for a kind of products; float16 is as quick as bfloat16.

        A kind that is not listed (float64) counts as float32 in full precision.
        """
        dtype = {"float16": "bfloat16"}.get(product.dtype, product.dtype)
        precision = ONE_PASS if dtype == "bfloat16" else product.precision
        wanted = Product(dtype, precision)
        return self.flops.get(wanted, self.flops[Product("float32", FULL)])

    def ring(self, devices: int) -> float:
        """Bytes/s that a device of so many sends in a ring."""
        return self.link if devices <= self.linked else self.network


@dataclasses.dataclass(frozen=True)
class Target:
    """Chips that a plan is for.

    Attributes:
        name: as given on the command line.
        chip: their kind.
        devices: how many.
        topology: what XLA is asked for: arguments of ``get_topology_desc``.
    """

    name: str
    chip: Chip
    devices: int
    topology: Mapping[str, Any]


def _tpu_flops(bfloat16: float) -> dict[Product, float]:
    """A TPU multiplies bfloat16; float32 takes 1, 3 or 6 passes by its precision."""
    return {
        Product("bfloat16", ONE_PASS): bfloat16,
        Product("float32", ONE_PASS): bfloat16,
        Product("float32", THREE_PASSES): bfloat16 / 3,
        Product("float32", FULL): bfloat16 / 6,
    }


def _gpu_flops(bfloat16: float, tf32: float, float32: float) -> dict[Product, float]:
    return {
        Product("bfloat16", ONE_PASS): bfloat16,
        Product("float32", ONE_PASS): tf32,
        Product("float32", THREE_PASSES): tf32,
        Product("float32", FULL): float32,
    }


# At 1024 px the compiler of TPUs takes 537 s for the generator's step as `train` has it
# on 2 cores, and 123 s with the least effort.
_TPU_EFFORT = -1.0

# Bidirectional bandwidth of all links of a chip, divided by 2 for one direction and by
# the axes of the torus: a ring along one axis sends over two links of the chip.
V4 = Chip(
    name="TPU v4",
    platform="tpu",
    flops=_tpu_flops(275e12),
    bandwidth=1200e9,
    usable=int(30.75 * 2**30),
    link=100e9,
    linked=4096,
    network=6.25e9,
    source="cloud.google.com/tpu/docs/v4; links: Jouppi et al. 2023 (6 x 50 GB/s); "
    "network: 50 Gbit/s assumed, as of v5p",
    effort=_TPU_EFFORT,
)
V5E = Chip(
    name="TPU v5e",
    platform="tpu",
    flops=_tpu_flops(197e12),
    bandwidth=819e9,
    usable=int(15.75 * 2**30),
    link=100e9,
    linked=256,
    network=3.125e9,
    source="cloud.google.com/tpu/docs/v5e (400 GB/s of links both ways, 2-D torus, "
    "6.4 Tbit/s of network for 256 chips)",
    effort=_TPU_EFFORT,
)
V5P = Chip(
    name="TPU v5p",
    platform="tpu",
    flops=_tpu_flops(459e12),
    bandwidth=2765e9,
    usable=int(95.74 * 2**30),
    link=200e9,
    linked=8960,
    network=6.25e9,
    source="cloud.google.com/tpu/docs/v5p (1200 GB/s of links both ways, 3-D torus, "
    "50 Gbit/s of network per chip)",
    effort=_TPU_EFFORT,
)
V6E = Chip(
    name="TPU v6e",
    platform="tpu",
    flops=_tpu_flops(918e12),
    bandwidth=1638e9,
    usable=int(31.25 * 2**30),
    link=200e9,
    linked=256,
    network=12.5e9,
    source="cloud.google.com/tpu/docs/v6e (800 GB/s of links both ways, 2-D torus, "
    "25.6 Tbit/s of network for 256 chips)",
    effort=_TPU_EFFORT,
)
_H100_MEMORY = 84978434048
H100 = Chip(
    name="NVIDIA H100 SXM 80 GB",
    platform="cuda",
    flops=_gpu_flops(989.4e12, 494.7e12, 66.9e12),
    bandwidth=3352.32e9,
    usable=int(_H100_MEMORY * _GPU_SHARE),
    link=450e9,
    linked=8,
    network=50e9,
    source="NVIDIA's H100 data sheet, dense products; NVLink 900 GB/s both ways; "
    "network: 400 Gbit/s per GPU, as in a DGX H100",
)
_A100_MEMORY = 84977385472
A100 = Chip(
    name="NVIDIA A100 SXM 80 GB",
    platform="cuda",
    flops=_gpu_flops(312e12, 156e12, 19.5e12),
    bandwidth=2039e9,
    usable=int(_A100_MEMORY * _GPU_SHARE),
    link=300e9,
    linked=8,
    network=25e9,
    source="NVIDIA's A100 data sheet, dense products; NVLink 600 GB/s both ways; "
    "network: 200 Gbit/s per GPU, as in a DGX A100",
)

# XLA's GpuTargetConfig as text.
_GPU_TEXT = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: {shared} threads_per_core_limit: 2048 core_count: {cores}
  fpus_per_core: {fpus} block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: {bandwidth} l2_cache_size: {cache}
  clock_rate_ghz: {clock} device_memory_size: {memory}
  shared_memory_per_block_optin: {block}
  cuda_compute_capability {{ major: {major} minor: 0 }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 8 }}
device_description_str: "{name}"
"""
_GPU_CONFIGS = {
    "h100": _GPU_TEXT.format(
        shared=233472,
        cores=132,
        fpus=128,
        bandwidth=3352320000000,
        cache=52428800,
        clock=1.98,
        memory=_H100_MEMORY,
        block=232448,
        major=9,
        name="NVIDIA H100 80GB HBM3",
    ),
    "a100": _GPU_TEXT.format(
        shared=167936,
        cores=108,
        fpus=64,
        bandwidth=2039000000000,
        cache=41943040,
        clock=1.41,
        memory=_A100_MEMORY,
        block=166912,
        major=8,
        name="NVIDIA A100-SXM4-80GB",
    ),
}


def _tpu(name: str, chip: Chip, shape: str, devices: int, **options: Any) -> Target:
    # "v5e" of "v5e-4" is also what XLA calls it.
    topology = f"{name.partition('-')[0]}:{shape}"
    return Target(
        name, chip, devices, {"platform": "tpu", "topology_name": topology, **options}
    )


def _gpu(name: str, chip: Chip, devices: int) -> Target:
    options = {
        "platform": "cuda",
        "topology_name": "",
        "topology": f"1x1x{devices}",  # slices x hosts x GPUs of a host
        "target_config": _GPU_CONFIGS[name.partition("-")[0]],
    }
    return Target(name, chip, devices, options)


_ALONE = {"chips_per_host_bounds": (1, 1, 1)}
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        # The number behind v4- is of cores, two to a chip, as Google counts them.
        _tpu("v4-8", V4, "2x2x1", 4, chip_config_name="megacore"),
        _tpu("v5e-1", V5E, "1x1", 1, **_ALONE),
        _tpu("v5e-4", V5E, "2x2", 4),
        _tpu("v5e-8", V5E, "2x4", 8),
        _tpu("v5p-8", V5P, "2x2x1", 4),
        _tpu("v6e-1", V6E, "1x1", 1, **_ALONE),
        _tpu("v6e-4", V6E, "2x2", 4),
        _tpu("v6e-8", V6E, "2x4", 8),
        _gpu("h100", H100, 1),
        _gpu("h100-8", H100, 8),
        _gpu("a100", A100, 1),
        _gpu("a100-8", A100, 8),
    )
}

# Platform: the module that its extra brings, and the extra.
_PLUGINS = {"tpu": ("libtpu", "tpu"), "cuda": ("jax_cuda13_plugin", "cuda")}


def find_target(name: str) -> Target:
    """The target of a name.

    Raises:
        UsageError: there is none; names those there are.
    """
    if name not in TARGETS:
        known = ", ".join(TARGETS)
        raise UsageError(f"There is no target '{name}', choose from {known}.")
    return TARGETS[name]


def need_compiler(target: Target) -> None:
    """Refuses a target whose compiler is not installed.

    Raises:
        MissingExtra: says how to install it.
    """
    module, extra = _PLUGINS[target.chip.platform]
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(module, extra, f"A plan for {target.name}")


def devices_of(target: Target) -> Sequence[Any]:
    """The target's devices, which nothing can be run on; see `ENVIRONMENT`."""
    from jax.experimental import topologies

    return topologies.get_topology_desc(**target.topology).devices
