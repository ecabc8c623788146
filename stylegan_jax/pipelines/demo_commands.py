"""What a person would type to do the demo's steps by hand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def line(command: str, *words: Any) -> str:
    """A command line of this program: ``stylegan-jax COMMAND WORDS``, quoted."""
    return shlex.join(["stylegan-jax", *command.split(), *map(str, words)])


def seed_words(seed: int) -> Sequence[str]:
    """The option that trains with this seed; none for the default."""
    return ("--seed", str(seed)) if seed else ()


def toy_line(folder: Path, style: str, num: int, size: int, seed: int) -> str:
    """The command that draws toy faces."""
    return line(
        "data toy", folder, "--style", style, "--num", num, "--size", size,
        "--seed", seed,
    )  # fmt: skip
