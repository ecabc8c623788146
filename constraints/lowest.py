"""Prints pins of the lower bounds in setup.py, for `make test-lowest`."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """One line `name==lowest` for each requirement of the package itself."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REQUIRES":
            for requirement in ast.literal_eval(node.value):
                name, bounds = requirement.split(">=")
                print(f"{name}=={bounds.split(',')[0]}")


if __name__ == "__main__":
    main()
