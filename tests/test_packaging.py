"""What pip installs: bounds, pins, two folders under other names, the entry point."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import stylegan_jax

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = sorted((ROOT / "constraints").glob("py*.txt"))


def literals_of_setup():
    """The literal names of setup.py, without running it."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("REQUIRES", "EXTRAS")
    }


SETUP = literals_of_setup()
REQUIREMENTS = [Requirement(line) for line in SETUP["REQUIRES"]]
DEV = [Requirement(line) for line in SETUP["EXTRAS"]["dev"]]
OPTIONAL = [Requirement(line) for extra in SETUP["EXTRAS"].values() for line in extra]


@pytest.mark.parametrize("requirement", [*REQUIREMENTS, *OPTIONAL], ids=str)
def test_every_requirement_has_a_lower_and_an_upper_bound(requirement):
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators == {">=", "<"}


@pytest.mark.parametrize("file", CONSTRAINTS, ids=lambda file: file.name)
def test_pins_lie_within_the_bounds(file):
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    # Versions only: no address, no folder of somebody's machine.
    assert [
        x for x in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9a-z.]+", x)
    ] == []
    pins = {
        canonicalize_name(name): pin for name, pin in (x.split("==") for x in lines)
    }
    for requirement in [*REQUIREMENTS, *DEV]:
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), f"{requirement} but {pin}"


def test_the_oldest_python_has_pins():
    assert ROOT / "constraints" / "py311.txt" in CONSTRAINTS


def test_installed_metadata():
    assert metadata.version("stylegan_jax") == stylegan_jax.__version__
    (script,) = metadata.entry_points(group="console_scripts", name="stylegan-jax")
    assert script.value == "stylegan_jax.cli.main:main"
    assert callable(script.load())


def test_every_folder_of_sources_is_a_package():
    folders = {file.parent for file in (ROOT / "stylegan_jax").rglob("*.py")}
    assert [str(x) for x in folders if not (x / "__init__.py").exists()] == []


def test_every_extra_that_an_error_names_exists():
    named = set()
    for file in (ROOT / "stylegan_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and "MissingExtra" in ast.unparse(node.func):
                extra = node.args[1]
                if isinstance(extra, ast.Constant):
                    named.add((file.name, extra.value))
    assert [pair for pair in named if pair[1] not in SETUP["EXTRAS"]] == []


def run_python(code, cwd):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_renamed_folders_import_from_anywhere(tmp_path):
    code = "import stylegan_jax.configs, stylegan_jax.convert_torch"
    result = run_python(code, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_command_line_starts_without_heavy_packages(tmp_path):
    heavy = ("tensorflow", "torch", "dlib", "matplotlib", "jax")
    code = (
        "import sys, stylegan_jax.cli.main\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = run_python(code, tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


def test_tensorflow_datasets_imports_without_tensorflow(tmp_path):
    code = (
        "import sys, tensorflow_datasets as tfds; tfds.data_source\n"
        "print('tensorflow' in sys.modules)"
    )
    result = run_python(code, tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, "False"), result.stderr


def test_the_wheel_holds_every_source(tmp_path):
    # A copy: building leaves folders in the tree that it builds.
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("stylegan_jax", "configs", "tools"):
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=no_caches)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    done = subprocess.run(
        [*build, "--outdir", str(tmp_path), str(tree)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.endswith(".py")}
    expected = set()
    for folder, name in (
        ("stylegan_jax", "stylegan_jax"),
        ("configs", "stylegan_jax/configs"),
        ("tools/convert_torch", "stylegan_jax/convert_torch"),
    ):
        for file in (tree / folder).rglob("*.py"):
            expected.add(f"{name}/{file.relative_to(tree / folder)}")
    assert held == expected
