"""Writes `constraints/pyXY.txt`: what pip installs now within the bounds of setup.py.

Run it with the Python that the file is for: `make constraints PYTHON=python3.12`.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# setuptools builds the package, so it is pinned; pip is whatever the machine has.
LEFT_OUT = {"pip", "wheel", "stylegan_jax"}


def main() -> None:
    """Installs into a throw-away environment and freezes it."""
    tag = f"py{sys.version_info.major}{sys.version_info.minor}"
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder, "bin", "python")), "-m", "pip"]
        subprocess.run([*pip, "install", "-q", "-e", f"{ROOT}[dev,faces]"], check=True)
        frozen = subprocess.run(
            [*pip, "freeze", "--all", "--exclude-editable"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    # A line with `@` names a folder of this machine; those are not for a shared file.
    lines = [
        line
        for line in frozen.splitlines()
        if "==" in line and " @ " not in line and line.split("==")[0] not in LEFT_OUT
    ]
    target = ROOT / "constraints" / f"{tag}.txt"
    header = f"# Written by `make constraints` with Python {sys.version.split()[0]}.\n"
    target.write_text(header + "\n".join(sorted(lines, key=str.lower)) + "\n")
    print(f"{target.relative_to(ROOT)}: {len(lines)} packages")


if __name__ == "__main__":
    main()
