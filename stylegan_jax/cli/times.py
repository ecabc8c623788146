"""Times on the command line."""

from __future__ import annotations

from typing import Any

import click


class Seconds(click.ParamType):
    """A time in a film: seconds (75.5), M:SS or H:MM:SS."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns seconds."""
        parts = str(value).split(":")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 3 or not all(0 <= n < 1e9 for n in numbers):
            self.fail(f"{value!r} is neither seconds (75.5) nor H:MM:SS.", param, ctx)
        return sum(n * 60**i for i, n in enumerate(reversed(numbers)))
