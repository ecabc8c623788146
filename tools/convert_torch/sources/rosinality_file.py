"""rosinality's checkpoints: training states, converted ones, and lone state dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.readers.modules import plain_value
from stylegan_jax.convert_torch.rules import rosinality
from stylegan_jax.convert_torch.rules.layout import State, as_array
from stylegan_jax.convert_torch.sources.part import (
    Source,
    SourcePart,
    is_state,
    is_tensor,
    layout_of,
    unwrapped,
)
from stylegan_jax.errors import UserError, printable

NETWORKS = ("g_ema", "g", "d")
LICENCE = "not stated in the file: ask whoever trained it"


def find(root: Any, where: object) -> Source | None:
    """The networks of a checkpoint; None where the file is something else."""
    if not isinstance(root, Mapping):
        return None
    networks = {n: unwrapped(root[n]) for n in NETWORKS if is_state(root.get(n))}
    latent_avg = root.get("latent_avg")
    if not networks and is_state(root):
        state = dict(unwrapped(root))
        # Some copies put the mean latent among the tensors.
        latent_avg = state.pop("latent_avg", None)
        if rosinality.is_generator(state):
            networks = {"g_ema": state}
        elif rosinality.is_discriminator(state):
            networks = {"d": state}
    # The mean latent is the averaged generator's where the file has both.
    owner = "g_ema" if "g_ema" in networks else "g"
    parts = [
        part
        for name, state in networks.items()
        if (part := part_of(name, state, latent_avg if name == owner else None, where))
        is not None
    ]
    if not parts:
        return None
    odd = sorted(set(networks) - {part.name for part in parts})
    if odd:
        some = ", ".join(printable(n) for n in sorted(networks[odd[0]])[:4])
        raise UserError(
            f"the entry {odd[0]} of {where} is no network of rosinality's, though "
            f"others are (its tensors begin with {some}): the file was put together "
            "wrongly. Nothing was written."
        )
    hints: dict[str, Any] = {"stated_resolution": stated_size(root)}
    grids = [p.state["input.input"].shape[2:] for p in parts if p.name != "d"]
    if grids:
        hints["base_grid"] = tuple(grids[0])
    parts = [SourcePart(p.name, p.layout, p.state, {**p.hints, **hints}) for p in parts]
    notes = [*_notes(root, networks), *mean_notes(latent_avg)]
    return Source("rosinality's StyleGAN2", tuple(parts), LICENCE, tuple(notes))


def mean_notes(latent_avg: Any) -> list[str]:
    """A sentence where the mean latent differs from layer to layer."""
    if not is_tensor(latent_avg) or len(latent_avg.shape) < 2:
        return []
    rows = as_array(latent_avg).reshape(-1, latent_avg.shape[-1])
    if (rows == rows[:1]).all():
        return []
    return ["the mean latent differs from layer to layer: w_avg is the rows' mean"]


def part_of(
    name: str, state: State, latent_avg: Any, where: object
) -> SourcePart | None:
    """A network by its state; None where it is not one of rosinality's."""
    hints = {"where": f"{where} ({name})"}
    if rosinality.is_generator(state):
        layout = layout_of(rosinality.LAYOUTS, "stylegan2.generator")
        if is_tensor(latent_avg):
            state = {**state, "latent_avg": FlatMean(latent_avg)}
        return SourcePart(name, layout, state, hints)
    if rosinality.is_discriminator(state):
        layout = layout_of(rosinality.LAYOUTS, "stylegan2.discriminator")
        return SourcePart(name, layout, state, hints)
    return None


class FlatMean:
    """A mean latent of shape [D] or [1, D] or one row per layer, seen as [D].

    Programs store it in any of these forms. Rows that differ are averaged, since a
    generator has one mean latent.
    """

    def __init__(self, tensor: Any):
        self._tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """[D]."""
        return tuple(self._tensor.shape[-1:])

    @property
    def dtype(self) -> Any:
        """That of the stored tensor."""
        return self._tensor.dtype

    def array(self) -> Any:
        """The values [D]."""
        tensor = self._tensor
        values = tensor.array() if hasattr(tensor, "array") else tensor
        rows = values.reshape(-1, values.shape[-1])
        return rows[0] if (rows == rows[0]).all() else rows.mean(0, dtype=rows.dtype)


def stated_size(root: Mapping[str, Any]) -> Any:
    """The picture size among a training state's arguments; None where there is none."""
    args = plain_value(root.get("args"))
    return args.get("size") if isinstance(args, Mapping) else None


def _notes(root: Mapping[str, Any], networks: Mapping[str, Any]) -> tuple[str, ...]:
    known = {*networks, "latent_avg", "stylegan_jax"}
    others = [str(name) for name in root if name not in known]
    if not networks or is_state(root) or not others:
        return ()
    return (f"left out, because they are no networks: {', '.join(others)}",)
