"""pSp's checkpoints: an encoder, rosinality's generator, options, a mean latent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.readers.modules import plain_value
from stylegan_jax.convert_torch.rules import psp, psp_file
from stylegan_jax.convert_torch.rules.layout import State
from stylegan_jax.convert_torch.sources.part import (
    Source,
    SourcePart,
    is_state,
    is_tensor,
    layout_of,
    under,
    unwrapped,
)
from stylegan_jax.convert_torch.sources.rosinality_file import part_of
from stylegan_jax.errors import UserError

LICENCE = (
    "not stated in the file; pSp's published models come from FFHQ generators of "
    "NVIDIA's, which are for non-commercial use: ask whoever trained it"
)


def find(root: Any, where: object) -> Source | None:
    """The networks of a checkpoint; None where the file is something else."""
    if not isinstance(root, Mapping):
        return None
    state = root.get("state_dict") if is_state(root.get("state_dict")) else root
    if not is_state(state):
        return None
    state = unwrapped(state)
    hints: dict[str, Any] = {"where": where}
    opts = plain_value(root.get("opts"))
    if isinstance(opts, Mapping):
        hints["opts"] = opts
    mean = root.get("latent_avg") if state is not root else None
    if is_tensor(mean):
        hints["latent_avg"] = mean
    if psp.is_encoder(state):
        layout = layout_of(psp.LAYOUTS, "psp.encoder")
        parts: tuple[SourcePart, ...] = (SourcePart("encoder", layout, state, hints),)
        return Source(
            "pSp's encoder", parts, LICENCE, tuple(psp_file.remarks(state, hints))
        )
    if not psp.is_psp(state):
        return None
    notes = [*psp_file.remarks(state, hints), *_left_out(root, state)]
    return Source(
        "pSp (pixel2style2pixel)", _parts(state, hints, where), LICENCE, tuple(notes)
    )


def _parts(
    state: State, hints: dict[str, Any], where: object
) -> tuple[SourcePart, ...]:
    mean = hints.get("latent_avg")
    decoder = part_of("decoder", under(state, psp.DECODER_PREFIX), mean, where)
    if decoder is None:
        raise UserError(f"the decoder of {where} is no generator of rosinality's.")
    encoder = under(state, psp.ENCODER_PREFIX)
    lone = SourcePart(
        "encoder", layout_of(psp.LAYOUTS, "psp.encoder"), encoder, hints, (), True
    )
    layout = layout_of(psp.LAYOUTS, "psp")
    whole = SourcePart("psp", layout, _Completed(state, hints), hints)
    return whole, lone, _by_name(decoder)


def _by_name(part: SourcePart) -> SourcePart:
    return SourcePart(part.name, part.layout, part.state, part.hints, (), True)


class _Completed(Mapping[str, Any]):
    """The whole model's tensors, the mean latent put in its two places when read.

    Which shape it has depends on the config, and the config is refused for networks
    whose decoder alone can still be converted: nothing is decided before it is asked.
    """

    def __init__(self, state: State, hints: Mapping[str, Any]):
        self._state, self._hints = state, hints
        self._full: Mapping[str, Any] | None = None

    def _content(self) -> Mapping[str, Any]:
        if self._full is None:
            mean = self._hints.get("latent_avg")
            if mean is None:
                self._full = self._state
            else:
                config = psp.whole_config(self._state, self._hints)
                self._full = psp_file.with_mean(
                    self._state, mean, config, where=self._hints["where"]
                )
        return self._full

    def __getitem__(self, name: str) -> Any:
        return self._content()[name]

    def __iter__(self) -> Any:
        return iter(self._content())

    def __len__(self) -> int:
        return len(self._content())


def _left_out(root: Mapping[str, Any], state: State) -> list[str]:
    known = ("state_dict", "opts", "latent_avg", "stylegan_jax")
    others = [str(n) for n in root if n not in known and n not in state]
    if root is state or is_state(root) or not others:
        return []
    return [f"left out, because they are no networks: {', '.join(others)}"]
