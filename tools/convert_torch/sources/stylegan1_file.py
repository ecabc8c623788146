"""lernapparat's StyleGAN of 2018, and the encoders of FaceSpace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules import facespace, lernapparat
from stylegan_jax.convert_torch.sources.nvidia_pickle import LICENCE
from stylegan_jax.convert_torch.sources.part import (
    Source,
    SourcePart,
    is_state,
    is_tensor,
    layout_of,
    unwrapped,
)
from stylegan_jax.convert_torch.sources.rosinality_file import FlatMean


def find(root: Any, where: object) -> Source | None:
    """The network of a file; None where the file is something else."""
    if not isinstance(root, Mapping):
        return None
    mean = root.get("latent_avg")
    state = root
    for wrapper in ("state_dict", "g_ema", "net"):
        if is_state(root.get(wrapper)):
            state = root[wrapper]
    if not is_state(state):
        return None
    state = unwrapped(state)
    hints = {"where": where}
    encoder, frozen = facespace.named(state)
    if facespace.is_encoder(encoder):
        layout = layout_of(facespace.LAYOUTS, "facespace.encoder")
        part = SourcePart("e", layout, encoder, hints, tuple(frozen))
        return Source("FaceSpace", (part,), "not stated in the file: it is yours")
    generator = lernapparat.named(state)
    if lernapparat.is_generator(generator):
        layout = layout_of(lernapparat.LAYOUTS, "stylegan1.generator")
        if is_tensor(mean) and state is not root:
            generator = {**generator, "latent_avg": FlatMean(mean)}
        part = SourcePart("g_ema", layout, generator, hints)
        return Source("lernapparat's StyleGAN of 2018", (part,), LICENCE)
    return None
