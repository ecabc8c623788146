"""Sets jax up before anything imports it, and skips what this machine cannot run."""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Eight devices on any machine: the tests of sharding need more than one. jax reads this
# when it starts.
if os.environ.get("STYLEGAN_JAX_TEST_GPU") != "1":
    os.environ["JAX_PLATFORMS"] = "cpu"
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        eight = "--xla_force_host_platform_device_count=8"
        flags = f"{flags} {eight}"
    if "xla_backend_optimization_level" not in flags:
        # Tests compile far more than they compute: LLVM without its optimisations is
        # three times quicker, and changes nothing of the program that it is given.
        flags = f"{flags} --xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = flags.strip()

# Most of the tests' time is XLA compiling. A folder for each xdist worker: jax writes
# an entry without a rename, and another process could read half of one.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax-tests" / WORKER)
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
# A test must not read or fill the user's own cache.
os.environ.setdefault("XDG_CACHE_HOME", str(ROOT / ".cache" / "xdg"))

os.environ.pop("STYLEGAN_JAX_CACHE", None)

# What compiles for a chip that is not there, by the module that the extra brings.
CHIP_PLUGINS = ("libtpu", "jax_cuda13_plugin")


def pytest_collection_modifyitems(items):
    """Skips, with the reason, the tests whose hardware or compiler is absent."""
    no_gpu = pytest.mark.skip(
        reason="needs an accelerator: STYLEGAN_JAX_TEST_GPU=1 pytest -m gpu"
    )
    no_plugin = pytest.mark.skip(
        reason=f"needs one of {', '.join(CHIP_PLUGINS)} (extras tpu, cuda)"
    )
    has_plugin = any(importlib.util.find_spec(name) for name in CHIP_PLUGINS)
    for item in items:
        if (
            item.get_closest_marker("gpu")
            and os.environ.get("STYLEGAN_JAX_TEST_GPU") != "1"
        ):
            item.add_marker(no_gpu)
        if item.get_closest_marker("aot") and not has_plugin:
            item.add_marker(no_plugin)


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """The folder of the golden cases' .json and .npz files."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The top of the checkout, for tests that start its scripts."""
    return ROOT
