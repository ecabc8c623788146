"""Feature networks: Inception, VGG, AlexNet, LPIPS, ResNet, IR-SE."""

from __future__ import annotations

from typing import Any

from stylegan_jax.convert_torch.frozen import FAMILIES, find_network
from stylegan_jax.convert_torch.sources.part import Source, SourcePart

LICENCE = "not stated in the file: see where it was published"


def find(root: Any, where: object) -> Source | None:
    """The network of a file; None where the file is something else."""
    found = find_network(root, where)
    if found is None:
        return None
    words = FAMILIES[found.layout.family].words
    part = SourcePart(
        "net", found.layout, found.state, {"where": where}, tuple(found.ignored)
    )
    return Source(f"a feature network: {words}", (part,), LICENCE)
