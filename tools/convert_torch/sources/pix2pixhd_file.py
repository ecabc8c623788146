"""pix2pixHD's files, e.g. ``latest_net_G.pth``: one network each."""

from __future__ import annotations

from typing import Any

from stylegan_jax.convert_torch.rules import pix2pixhd
from stylegan_jax.convert_torch.rules.layout import Layout
from stylegan_jax.convert_torch.sources.part import (
    Source,
    SourcePart,
    is_state,
    layout_of,
    unwrapped,
)

LICENCE = "not stated in the file: ask whoever trained it"


def find(root: Any, where: object) -> Source | None:
    """The network of a file; None where the file is something else."""
    if not is_state(root):
        return None
    state = unwrapped(root)
    layout: Layout
    if pix2pixhd.is_local(state):
        name, layout = "g", layout_of(pix2pixhd.LAYOUTS, "pix2pixhd.local")
    elif pix2pixhd.is_discriminator(state):
        name, layout = "d", layout_of(pix2pixhd.LAYOUTS, "pix2pixhd.discriminator")
    elif pix2pixhd.is_plain_discriminator(state):
        name, layout = "d", pix2pixhd.PLAIN_DISCRIMINATOR
    elif pix2pixhd.is_encoder(state):
        name, layout = "e", layout_of(pix2pixhd.LAYOUTS, "pix2pixhd.encoder")
    elif pix2pixhd.is_global(state):
        name, layout = "g", layout_of(pix2pixhd.LAYOUTS, "pix2pixhd.global")
    else:
        return None
    part = SourcePart(name, layout, state, {"where": where})
    return Source("pix2pixHD", (part,), LICENCE)
