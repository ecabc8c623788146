"""Sizes of pictures on the command line."""

from __future__ import annotations

from typing import Any

import click


class Resolution(click.ParamType):
    """A side, or HEIGHTxWIDTH, in pixels."""

    name = "SIZE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | tuple[int, int]:
        """Returns a side or (height, width)."""
        parts = str(value).lower().split("x")
        if not all(p.isdecimal() and p.isascii() for p in parts) or len(parts) > 2:
            self.fail(
                f"{value!r} is neither a side (256) nor HEIGHTxWIDTH.", param, ctx
            )
        sides = [int(part) for part in parts]
        if not all(1 <= side <= 8192 for side in sides):
            self.fail(f"{value!r}: sides go from 1 to 8192 pixels.", param, ctx)
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])
