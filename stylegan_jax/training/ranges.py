"""Which values a configuration may have, and the sentence about those that it may not.

One table per trainer; `offenders` lists all that are wrong at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class Ranges:
    """What the values of a configuration, named ``section.key``, may be.

    Attributes:
        may_be_none: derived where they are None, or absent; all others must be given.
        above_zero: numbers.
        not_negative: numbers.
        shares: numbers from 0 to 1.
        choices: one of a few values.
    """

    may_be_none: frozenset[str] | set[str]
    above_zero: frozenset[str] | set[str]
    not_negative: frozenset[str] | set[str]
    shares: frozenset[str] | set[str]
    choices: Mapping[str, tuple[Any, ...]]

    def offenders(self, config: ConfigDict) -> list[str]:
        """What is out of range, a phrase each; the seed's range is known here."""
        values = {
            f"{section}.{key}": value
            for section, node in config.items()
            if isinstance(node, ConfigDict)
            for key, value in node.items()
        }
        wrong = [
            f"{name} must be given"
            for name, value in values.items()
            if value is None and name not in self.may_be_none
        ]
        given = {name: value for name, value in values.items() if value is not None}
        wrong += [
            text for name, value in given.items() if (text := self._wrong(name, value))
        ]
        seed = values["train.seed"]
        if seed is not None and not 0 <= seed < 2**32:
            wrong.append(f"train.seed={seed} must be from 0 to 2**32 - 1")
        return wrong

    def _wrong(self, name: str, value: Any) -> str | None:
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name}={value} must be finite"
        if name in self.above_zero and value <= 0:
            return f"{name}={value} must be above 0"
        if name in self.not_negative and value < 0:
            return f"{name}={value} must be 0 or more"
        if name in self.shares and not 0 <= value <= 1:
            return f"{name}={value} must be from 0 to 1"
        if name in self.choices and value not in self.choices[name]:
            choices = ", ".join(map(str, self.choices[name]))
            return f"{name}='{value}' must be one of {choices}"
        return None
