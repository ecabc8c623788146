"""What works on this machine, and what one command would add."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

DISTRIBUTION = "stylegan_jax"

# Extra: the module whose presence shows that it is installed, and what it is for.
EXTRAS: dict[str, tuple[str, str]] = {
    "cuda": ("jax_cuda13_plugin", "NVIDIA GPUs"),
    "tpu": ("libtpu", "Google TPUs"),
    "tensorflow": ("tensorflow", "TensorBoard files, preparing tfds sets"),
    "torch": ("torch", "checking conversions against PyTorch"),
    "faces": ("dlib", "face alignment"),
    "clip": ("transformers", "choosing pictures by texts"),
    "maps": ("sklearn", "maps of latents: t-SNE, LLE"),
    "video": ("av", "films: MP4 out, frames in"),
    "lmdb": ("lmdb", "rosinality's datasets"),
    "onnx": ("onnxruntime", "writing ONNX files"),
    "dev": ("pytest", "running the tests"),
}

SMOKE_SIZE = 256


def examine() -> dict[str, Any]:
    """Looks at the machine and the installation; never raises for what it finds.

    Returns:
        JSON values: ``ok`` (whether the core works), ``program``, ``python``,
        ``machine``, ``packages``, ``extras``, ``weights``, ``platforms``, ``cache``,
        ``problems`` (sentences; the core does not work) and ``advice`` (sentences).
    """
    report: dict[str, Any] = {
        "program": _program(),
        "python": platform.python_version(),
        "machine": _machine(),
        "packages": _packages(),
        "extras": _extras(),
        "weights": _weights(),
        "platforms": _platforms(),
        "cache": _cache(),
    }
    report["problems"] = _problems(report)
    report["advice"] = _advice(report)
    report["ok"] = not report["problems"]
    return report


def describe(report: dict[str, Any]) -> str:
    """Writes what `examine` found as a table for people."""
    machine, cache = report["machine"], report["cache"]
    lines = [
        f"{'stylegan_jax':<22}{report['program']['version']}",
        f"{'python':<22}{report['python']} ({sys.executable})",
        f"{'machine':<22}{machine['system']}, {machine['cpus']:g} CPUs",
        f"{'memory':<22}{_gib(machine['memory_available'])} free of "
        f"{_gib(machine['memory'])}",
        f"{'disk here':<22}{_gib(machine['disk_free'])} free",
        f"{'compilation cache':<22}{cache['path'] or 'off'}"
        + (f", {cache['bytes'] / 2**20:.0f} MiB" if cache["path"] else ""),
        "",
        "devices",
    ]
    for found in report["platforms"]:
        state = (
            f"works ({found['seconds']:.2f} s to compile and run)"
            if found["ok"]
            else f"FAILS: {found['error']}"
        )
        names = f"{len(found['devices'])} × {found['kind']}"
        lines.append(f"  {found['platform']:<20}{names}: {state}")
    lines += ["", "packages"]
    for package in report["packages"]:
        state = {True: "", False: "  <- outside the bounds"}[package["ok"]]
        version = package["version"] or "MISSING"
        lines.append(
            f"  {package['name']:<20}{version:<14}{package['bounds']:<18}{state}"
        )
    lines += ["", "extras"]
    for extra in report["extras"]:
        state = "installed" if extra["installed"] else extra["command"]
        lines.append(f"  {extra['name']:<20}{extra['purpose']:<42}{state}")
    lines += ["", "frozen weights"]
    for row in report["weights"]:
        state = {
            "there": "in the cache",
            "absent": row["command"],
            "damaged": f"DAMAGED: {row['command']}",
        }[row["state"]]
        lines.append(f"  {row['name']:<22}{row['purpose']:<51}{state}")
    for title in ("problems", "advice"):
        if report[title]:
            lines += ["", title, *(f"  - {sentence}" for sentence in report[title])]
    lines += ["", "the core works" if report["ok"] else "the core does not work"]
    return "\n".join(line.rstrip() for line in lines)


def within(version: str, bounds: str) -> bool:
    """Whether a release lies in bounds such as ``>=1.2,<3``.

    Only leading numbers are compared, which is what bounds in setup.py consist of.
    """
    tests = {
        ">=": lambda a, b: a >= b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        "<": lambda a, b: a < b,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
    }
    for bound in filter(None, bounds.split(",")):
        match = re.match(r"\s*(>=|<=|==|!=|>|<)\s*(.+)", bound)
        if match is None:
            continue  # a kind of bound that setup.py does not use
        a, b = _release(version), _release(match[2])
        width = max(len(a), len(b))
        pad = [part + (0,) * (width - len(part)) for part in (a, b)]
        if not tests[match[1]](*pad):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version.strip())
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _program() -> dict[str, Any]:
    from stylegan_jax import __version__

    try:
        metadata.version(DISTRIBUTION)
        installed = True
    except metadata.PackageNotFoundError:
        installed = False
    return {"version": __version__, "installed": installed}


def _packages() -> list[dict[str, Any]]:
    """Every requirement of the installed metadata that is not an extra's."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        required = ["jax", "flax", "numpy", "pillow", "click", "safetensors"]
    packages = []
    for line in required:
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*([^;]*)", line)
        if match is None or "extra ==" in line:
            continue
        name = match[1]
        # The metadata has them in no order: the lower bound goes first.
        bounds = ",".join(sorted(match[2].strip(" ()").split(","), reverse=True))
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = None
        packages.append(
            {
                "name": name,
                "version": version,
                "bounds": bounds,
                "ok": version is not None and within(version, bounds),
            }
        )
    return packages


def _extras() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "purpose": purpose,
            "installed": importlib.util.find_spec(module) is not None,
            "command": f"pip install '{DISTRIBUTION}[{name}]'",
        }
        for name, (module, purpose) in EXTRAS.items()
    ]


def _weights() -> list[dict[str, Any]]:
    """Every frozen network, and the command that adds it or mends it."""
    try:
        from stylegan_jax.checkpoints.weights import weights_state
        from stylegan_jax.checkpoints.weights_registry import REGISTRY
    except ImportError:
        return []  # a package is missing, which is told under packages
    return [
        {
            "name": weights.name,
            "purpose": weights.purpose,
            "state": weights_state(weights.name),
            "command": weights.command,
        }
        for weights in REGISTRY.values()
    ]


def _platforms() -> list[dict[str, Any]]:
    """The default platform and the CPU, each with a small computation tried."""
    try:
        import jax

        names = dict.fromkeys([jax.default_backend(), "cpu"])
    except Exception as error:  # a broken plugin may raise anything
        return [_failed("jax", error)]
    return [_try_platform(name) for name in names]


def _try_platform(name: str) -> dict[str, Any]:
    import jax

    try:
        devices = jax.local_devices(backend=name)
        start = time.perf_counter()
        _smoke(devices[0])
        seconds = time.perf_counter() - start
    except Exception as error:  # drivers, plugins and compilers raise anything
        return _failed(name, error)
    return {
        "platform": name,
        "devices": [str(device) for device in devices],
        "kind": devices[0].device_kind,
        "ok": True,
        "seconds": round(seconds, 3),
        "error": None,
    }


def _failed(name: str, error: Exception) -> dict[str, Any]:
    text = str(error).strip().splitlines() or [type(error).__name__]
    return {
        "platform": name,
        "devices": [],
        "kind": "none",
        "ok": False,
        "seconds": None,
        "error": text[0],
    }


def _smoke(device: Any) -> None:
    """Compiles a gradient through a product and checks it against NumPy."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    x = np.random.default_rng(0).standard_normal((SMOKE_SIZE, SMOKE_SIZE))
    x = x.astype(np.float32)

    def loss(x: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(jnp.square(jnp.dot(x, x.T, precision="highest")))

    got = np.asarray(jax.jit(jax.grad(loss))(jax.device_put(x, device)))
    expected = 2.0 * (x @ x.T) @ x
    if not np.allclose(got, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max()):
        raise ArithmeticError("a small computation came out wrong")


def _machine() -> dict[str, Any]:
    total, available = _memory()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": _cpus(),
        "memory": total,
        "memory_available": available,
        "disk_free": shutil.disk_usage(Path.cwd()).free,
        "nvidia_driver": Path("/proc/driver/nvidia/version").exists(),
    }


def _memory() -> tuple[int, int]:
    """Bytes in all and bytes free, a container's limit counted; 0 if not known."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 0, 0
    table = {k: int(v) * 1024 for k, v in re.findall(r"(\w+):\s+(\d+) kB", text)}
    total, available = table.get("MemTotal", 0), table.get("MemAvailable", 0)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        total, available = min(total, limit), min(available, limit - used)
    except (OSError, ValueError):
        pass  # no limit is set
    return total, available


def _cpus() -> float:
    """CPUs that this process may use, a container's quota counted."""
    count: float = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, int(quota) / int(period))
    except (OSError, ValueError):
        pass  # no quota is set
    return count


def _cache() -> dict[str, Any]:
    """Where compiled programs are kept between runs, and how much they take."""
    try:
        import jax

        path = getattr(jax.config, "jax_compilation_cache_dir", None)
    except Exception:  # told under platforms
        path = None
    size = 0
    if path:
        for file in Path(path).glob("*"):
            try:
                size += file.stat().st_size
            except OSError:
                continue  # another process tidied it away
    return {"path": path, "bytes": size}


def _problems(report: dict[str, Any]) -> list[str]:
    problems = [
        f"{p['name']} {p['version'] or 'is missing'}, needed {p['bounds']}: run "
        f"pip install '{p['name']}{p['bounds']}'."
        for p in report["packages"]
        if not p["ok"]
    ]
    if not any(found["ok"] for found in report["platforms"]):
        problems.append("no platform of jax computes: run pip install -U jax.")
    return problems


def _advice(report: dict[str, Any]) -> list[str]:
    advice = [
        f"platform {found['platform']} fails ({found['error']}): its driver or plugin "
        "does not fit."
        for found in report["platforms"]
        if not found["ok"]
    ]
    only_cpu = all(f["platform"] == "cpu" for f in report["platforms"] if f["ok"])
    if only_cpu and report["machine"]["nvidia_driver"]:
        advice.append(
            "an NVIDIA GPU is here and not used: run "
            f"pip install '{DISTRIBUTION}[cuda]'."
        )
    if not report["program"]["installed"]:
        advice.append("the package runs from its sources: run pip install -e .")
    if report["machine"]["disk_free"] < 2 * 2**30:
        advice.append("under 2 GiB of disk are free here: choose another --workdir.")
    return advice


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
