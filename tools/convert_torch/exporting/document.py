"""What this program writes about a network into files of other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stylegan_jax.convert_torch.converted import Converted

# The original programs look up the entries that they know and pass over this one.
ENTRY = "stylegan_jax"


def describe(parts: Sequence[Converted]) -> str:
    """A JSON document: config, provenance and licence of every part."""
    return json.dumps({"parts": {p.name: p.document() for p in parts}}, sort_keys=True)


def by_name(
    parts: Sequence[Converted], families: dict[str, str]
) -> dict[str, Converted]:
    """The parts that a format has a place for, by name; ``families`` names them."""
    return {
        p.name: p for p in parts if p.name in families and families[p.name] == p.family
    }
