"""The parity report: how far a conversion is from what it was made of."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from stylegan_jax import __version__

# Relative errors ‖a−b‖/‖b‖ that float32 rounding explains.
OUTPUT_LIMIT = 1e-4


@dataclasses.dataclass(frozen=True)
class PartReport:
    """How one network was checked.

    Attributes:
        name: the part.
        family: of the model file.
        parameters: how many numbers it has.
        groups: largest absolute error of the round trip by group of tensors.
        outputs: relative error of every output against PyTorch; empty without it.
        how: what was compared, in words.
        notes: e.g. that w_avg was estimated.
    """

    name: str
    family: str
    parameters: int
    groups: dict[str, float]
    outputs: dict[str, float]
    how: str
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every figure is within rounding."""
        exact = all(error == 0 for error in self.groups.values())
        return exact and all(e < OUTPUT_LIMIT for e in self.outputs.values())


@dataclasses.dataclass(frozen=True)
class Report:
    """The checks of a whole conversion.

    Attributes:
        source: the file, its hash, container and program.
        parts: one report for each network.
    """

    source: dict[str, Any]
    parts: tuple[PartReport, ...]

    @property
    def passed(self) -> bool:
        """Whether every part passed."""
        return all(part.passed for part in self.parts)

    def worst(self) -> str:
        """The figures that did not pass, in words."""
        found = [
            f"{part.name} {name} differs by {error:.2g}"
            for part in self.parts
            for name, error in (*part.groups.items(), *part.outputs.items())
            if error >= (OUTPUT_LIMIT if name in part.outputs else 1e-30)
        ]
        return ", ".join(found) or "nothing differs"

    def to_json(self) -> str:
        """The report as JSON text."""
        document = {
            "stylegan_jax": __version__,
            "source": self.source,
            "passed": self.passed,
            "parts": [
                {**dataclasses.asdict(part), "passed": part.passed}
                for part in self.parts
            ],
        }
        return json.dumps(document, indent=2) + "\n"

    def table(self) -> str:
        """The report for a screen."""
        lines = []
        for part in self.parts:
            lines.append(f"{part.name}  {part.family}  {part.how}")
            lines += [
                f"  {name:<28} max abs error  {error:.1e}"
                for name, error in part.groups.items()
            ]
            lines += [
                f"  {name:<28} relative error {error:.1e}"
                for name, error in part.outputs.items()
            ]
            lines += [f"  {note}" for note in part.notes]
        lines.append("parity: " + ("passed" if self.passed else "FAILED"))
        return "\n".join(lines)
