"""Holds the layers of docs/design.md apart, and keeps files and functions readable.

The checker reads source text and imports nothing; it sees imports in functions too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "stylegan_jax"

# docs/design.md, "Layers": one group imports from the groups above it, and the members
# of a group do not import each other.
LAYERS = (
    {"errors"},
    {"types"},
    {"ops"},
    {"models"},
    {"losses", "data"},
    {"checkpoints"},
    {"faces", "metrics"},
    {"latents"},
    {"training"},
    {"pipelines"},
    {"lab", "bench"},
    {"cli"},
)
RANK = {name: rank for rank, group in enumerate(LAYERS) for name in group}

# Two folders of the top level are installed inside the package.
FOLDERS = {"configs": "configs", "tools/convert_torch": "convert_torch"}
CONVERTER_IMPORTS = {"errors", "types", "models", "checkpoints", "convert_torch"}
CONVERTER_USERS = {"pipelines", "lab", "bench", "cli"}

# Heavy or optional: only inside the function that needs them.
INSIDE_FUNCTIONS_ONLY = (
    "tensorflow",
    "torch",
    "dlib",
    "av",
    "matplotlib",
    "sklearn",
    "threadpoolctl",
    "clu.metric_writers",
)
# Private or on their way out: they break with a minor release of jax or flax.
NEVER = {
    "jax._src": "is private",
    "jax.experimental.shard_map": "is deprecated: use jax.shard_map",
    "jax.experimental.maps": "is gone from jax",
    "jax.experimental.pjit": "is deprecated: use jax.jit",
    "jax.random.PRNGKey": "makes untyped keys: use jax.random.key",
    "flax.training.checkpoints": "is deprecated: use orbax",
}
VAGUE_NAMES = {"utils.py", "util.py", "misc.py", "common.py", "helpers.py"}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# The training loop's order is its meaning, so it stays in one piece.
LONGER_FUNCTIONS = {("stylegan_jax/training/loop.py", "train"): 150}


def module_name(path: str) -> str:
    """`configs/a.py` is `stylegan_jax.configs.a` once it is installed."""
    for folder, name in FOLDERS.items():
        if path.startswith(folder + "/"):
            path = f"{PACKAGE}/{name}/{path.removeprefix(folder + '/')}"
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def layer_of(module: str) -> str:
    """`ops` for `stylegan_jax.ops.fir`; empty for the package itself."""
    name = module.split(".")[1] if "." in module else ""
    # `python -m stylegan_jax`, or of a folder in it, is the command line.
    return "cli" if module.endswith(".__main__") else name


def imports(tree: ast.Module, path: str) -> Iterator[tuple[int, str, bool]]:
    """Yields (line, dotted name, whether it runs when the module is imported)."""
    module = module_name(path)
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]

    def walk(node: ast.AST, at_import: bool) -> Iterator[tuple[int, str, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, at_import
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}", at_import
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from walk(child, False)
            for child in node.orelse:
                yield from walk(child, at_import)
            return
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_import and not inside)

    yield from walk(tree, True)


def starts_with(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def wrong_layer(path: str, target: str) -> str | None:
    """Why the file at `path` may not import `target`, or None."""
    source_layer = layer_of(module_name(path))
    if not starts_with(target, PACKAGE):
        # What is not `stylegan_jax` concerns the configs only.
        known = {"ml_collections", *sys.stdlib_module_names}
        if source_layer == "configs" and target.split(".")[0] not in known:
            return f"configs import ml_collections and each other, not {target}"
        return None
    target_layer = layer_of(target)
    if target_layer == "__version__":
        return None
    if not target_layer or target_layer not in {*RANK, *FOLDERS.values()}:
        # Names of the package itself come from its __init__, which imports the layers.
        if source_layer in ("", "cli"):
            return None
        return f"{target} is in no layer of docs/design.md"
    if source_layer == "configs":
        allowed = target_layer == "configs"
    elif source_layer == "convert_torch":
        allowed = target_layer in CONVERTER_IMPORTS
    elif target_layer == "configs" or source_layer == target_layer:
        allowed = True
    elif target_layer == "convert_torch":
        allowed = source_layer in CONVERTER_USERS
    elif source_layer == "":
        allowed = target_layer != "cli"
    else:
        allowed = RANK[target_layer] < RANK[source_layer]
    name = source_layer or "the package's __init__"
    return None if allowed else f"{name} may not import {target_layer} ({target})"


def attributes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields (line, dotted name) of every `a.b.c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, ast.unparse(node)


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, less the docstring: prose is not complexity."""
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node) is not None:
        docstring = node.body[0]
        assert docstring.end_lineno is not None
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def violations(path: str, source: str) -> list[str]:
    """What is wrong with the file `path` (relative to the root) that holds `source`."""
    tree = ast.parse(source)
    found = []
    source_layer = layer_of(module_name(path))
    if source_layer and source_layer not in {*RANK, *FOLDERS.values()}:
        found.append(f"{path}: {source_layer} is no layer of docs/design.md")
    for line, target, at_import in imports(tree, path):
        if source_layer in {"", *RANK, *FOLDERS.values()}:
            if reason := wrong_layer(path, target):
                found.append(f"{path}:{line}: {reason}")
        for name in INSIDE_FUNCTIONS_ONLY:
            if at_import and starts_with(target, name):
                found.append(f"{path}:{line}: {name} is imported at module level")
    used = [(line, target) for line, target, _ in imports(tree, path)]
    for line, name in sorted({*used, *attributes(tree)}):
        for banned, reason in NEVER.items():
            # An attribute is seen once for each of its prefixes; report the exact one.
            is_import = (line, name) in used
            if name == banned or (is_import and starts_with(name, banned)):
                found.append(f"{path}:{line}: {banned} {reason}")
    if Path(path).name in VAGUE_NAMES:
        found.append(f"{path}: name the file by what it holds")
    if (lines := len(source.splitlines())) > MAX_FILE_LINES:
        found.append(f"{path}: {lines} lines, more than {MAX_FILE_LINES}")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            limit = LONGER_FUNCTIONS.get((path, node.name), MAX_FUNCTION_LINES)
            if (lines := function_lines(node)) > limit:
                where = f"{path}:{node.lineno}"
                found.append(
                    f"{where}: {node.name} has {lines} lines, more than {limit}"
                )
    return found


def sources() -> list[str]:
    return sorted(
        str(file.relative_to(ROOT))
        for folder in (PACKAGE, *FOLDERS)
        for file in (ROOT / folder).rglob("*.py")
    )


@pytest.mark.parametrize("path", sources())
def test_source_keeps_the_rules(path):
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


def test_there_is_something_to_check():
    assert f"{PACKAGE}/errors.py" in sources()


BAD = {
    "upwards": ("stylegan_jax/ops/a.py", "from stylegan_jax.models import b"),
    "upwards, relative": ("stylegan_jax/ops/a.py", "from ..models import b"),
    "upwards, of the package": (
        "stylegan_jax/ops/a.py",
        "from stylegan_jax import cli",
    ),
    "inside a function": (
        "stylegan_jax/data/a.py",
        "def f():\n    import stylegan_jax.training.loop",
    ),
    "between peers": ("stylegan_jax/losses/a.py", "from stylegan_jax.data import b"),
    "a name of the package": (
        "stylegan_jax/data/a.py",
        "from stylegan_jax import load",
    ),
    "unknown layer": ("stylegan_jax/extras/a.py", ""),
    "configs": ("configs/a.py", "from stylegan_jax import training"),
    "configs and jax": ("configs/a.py", "import jax"),
    "converter": ("tools/convert_torch/a.py", "from stylegan_jax import ops"),
    "use of the converter": (
        "stylegan_jax/data/a.py",
        "import stylegan_jax.convert_torch",
    ),
    "torch": ("stylegan_jax/data/a.py", "import torch"),
    "torch under if": (
        "stylegan_jax/data/a.py",
        "try:\n    import torch.nn\nfinally: pass",
    ),
    "writers": ("stylegan_jax/training/a.py", "from clu import metric_writers"),
    "private": ("stylegan_jax/ops/a.py", "from jax._src import core"),
    "private attribute": (
        "stylegan_jax/ops/a.py",
        "import jax\nx = jax._src.core.Primitive",
    ),
    "shard_map": (
        "stylegan_jax/training/a.py",
        "from jax.experimental.shard_map import shard_map",
    ),
    "flax checkpoints": (
        "stylegan_jax/checkpoints/a.py",
        "from flax.training import checkpoints",
    ),
    "untyped key": (
        "stylegan_jax/training/a.py",
        "import jax\nk = jax.random.PRNGKey(0)",
    ),
    "vague name": ("stylegan_jax/data/utils.py", ""),
    "long file": ("stylegan_jax/ops/a.py", "x = 0\n" * (MAX_FILE_LINES + 1)),
    "long function": (
        "stylegan_jax/ops/a.py",
        "def f():\n" + "    x = 0\n" * MAX_FUNCTION_LINES,
    ),
    "long loop": (
        "stylegan_jax/training/loop.py",
        "def train():\n" + "    x = 0\n" * 150,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_source_is_found(name):
    path, source = BAD[name]
    assert len(violations(path, source)) == 1


GOOD = {
    "downwards": (
        "stylegan_jax/cli/a.py",
        "from stylegan_jax.training.loop import train",
    ),
    "same layer": ("stylegan_jax/ops/a.py", "from stylegan_jax.ops.fir import b"),
    "package": ("stylegan_jax/__init__.py", "from stylegan_jax.pipelines import load"),
    "package, relative": ("stylegan_jax/__init__.py", "from .pipelines import load"),
    "version": ("stylegan_jax/data/a.py", "from stylegan_jax import __version__"),
    "configs": (
        "configs/a.py",
        "import ml_collections\nfrom stylegan_jax.configs import b",
    ),
    "converter": ("tools/convert_torch/a.py", "from stylegan_jax.models import b"),
    "torch where needed": ("stylegan_jax/data/a.py", "def f():\n    import torch"),
    "torch for types": (
        "stylegan_jax/data/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
    ),
    "docstring": (
        "stylegan_jax/ops/a.py",
        'def f():\n    """A.\n' + "    b\n" * 80 + '    """\n    return 0',
    ),
    "long loop": (
        "stylegan_jax/training/loop.py",
        "def train():\n" + "    x = 0\n" * 149,
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_source_passes(name):
    path, source = GOOD[name]
    assert violations(path, source) == []
