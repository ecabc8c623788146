"""Which implementation a layer takes on each platform, and why.

The rules rest on what compilers report and on counting, not on measured times: no rule
has been timed on the chip that it is for. Bytes are those of one layer of ffhq256 or
ffhq1024 at batch 8, compiled for the chip; the floor is reading x and the weights once
and writing the result once.
"""

from __future__ import annotations

import importlib
from types import ModuleType

import jax
from jax import lax

from stylegan_jax.ops.dispatch import Choice
from stylegan_jax.ops.modulated_conv2d.pallas_tpu_packing import is_narrow
from stylegan_jax.ops.modulated_conv2d.problem import Problem, precision

# Kernel to the platform whose compiler takes it; a module of this folder each.
KERNELS = {"pallas_tpu": "tpu", "pallas_gpu": "cuda"}


def module(implementation: str) -> ModuleType:
    """The module of a kernel: ``configure(problem)`` and ``layer(problem, ...)``.

    Imported where it is used: Pallas costs half of a second that most commands save.

    Raises:
        NotImplementedError: where this version of jax has no such kernels.
    """
    return importlib.import_module(f"{__package__}.{implementation}")


def choose(problem: Problem) -> dict[str, Choice]:
    """Chooses for each kernel's platform, and for "default", which is all others."""
    return {
        "tpu": _unless_declined(_tpu(problem), problem),
        "cuda": _unless_declined(_cuda(problem), problem),
        "default": Choice("xla", "there is no kernel for other platforms"),
    }


# Columns of x. Below, a layer's weights (9 MB for 512 channels in float32) outweigh its
# activations at batch 8, and XLA keeps those on the chip from layer to layer.
_TPU_COLUMNS = 32
_LANES = 128


# 16 MiB of VMEM, which the kernels' blocks do not fit into.
_SMALL_TPUS = ("TPU v2", "TPU v3", "TPU v4")


def _tpu(problem):
    if jax.default_backend() == "tpu":
        kind = jax.devices()[0].device_kind
        if kind.startswith(_SMALL_TPUS):
            return Choice("xla", f"the kernels need more VMEM than a {kind} has")
    if problem.x[2] < _TPU_COLUMNS:
        return Choice("xla", f"the weights outweigh {problem.x[2]} columns of pixels")
    # Lanes that a kernel would move without filling them.
    narrow = problem.x[3] < _LANES or 3 < problem.w[3] < _LANES
    if narrow and not is_narrow(problem):
        return Choice("xla", f"{problem.w[2]} to {problem.w[3]} channels leave lanes")
    if problem.w[0] == 1 and not narrow:
        # b256/torgb float32: XLA 291 MB, the kernel 289, floor 275.
        return Choice("xla", "XLA's 1x1 convolution is at the floor of its bytes")
    if problem.w[0] == 1:
        return Choice("pallas_tpu", "its neighbours hold pixels in groups")
    if problem.up == 2:
        # b128/conv0 float32: XLA 1663 MB, the kernel 254, floor 206.
        return Choice("pallas_tpu", "XLA moves 8 times the floor, the kernel 1.3 times")
    # b128/conv1 float32: XLA 701 MB, the kernel 288, floor 271.
    return Choice("pallas_tpu", "XLA moves 2.6 times the floor, the kernel 1.1 times")


# Operations that a kernel does for each byte of the floor. cuDNN's convolution takes
# the scaled activations and gives the sums through memory: 4 passes over x or y that
# the kernel saves. An H100 does 295 operations of 16 bits (148 of TF32, 20 of float32)
# while it moves a byte; if the kernel's products run at half of the peak and cuDNN's at
# 0.7, the saved passes are worth 1036 operations a byte, of which 0.6 are taken.
_CUDA_INTENSITY = {2: 600, 4: 300}
_CUDA_INTENSITY_FULL = 40
# Smaller layers stay in the 50 MB L2 between XLA's kernels.
_CUDA_BYTES = 32e6


def _cuda(problem):
    if problem.floor_bytes < _CUDA_BYTES:
        return Choice("xla", "the layer fits into the L2 cache")
    intensity = problem.flops * problem.up**2 / problem.floor_bytes
    most = _CUDA_INTENSITY[problem.itemsize]
    if precision(problem.dtype) == lax.Precision.HIGHEST:
        most = _CUDA_INTENSITY_FULL
    count = f"{intensity:.0f} operations for each byte"
    if intensity > most:
        return Choice("xla", f"arithmetic binds: {count}, above {most}")
    return Choice("pallas_gpu", f"memory binds: {count}, at most {most}")


def _unless_declined(choice, problem):
    """XLA, with the kernel's own reason, where the kernel cannot serve."""
    if choice.implementation == "xla":
        return choice
    try:
        module(choice.implementation).configure(problem)
    except NotImplementedError as reason:
        return Choice("xla", f"{choice.implementation} declines: {reason}")
    return choice
