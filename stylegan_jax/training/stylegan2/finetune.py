"""The trained networks that a run starts from (``init.model``)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax.checkpoints.load import find_model, find_parts, load, moment_of
from stylegan_jax.checkpoints.stylegan2_discriminator import StyleGAN2Discriminator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.snapshots import origin_of
from stylegan_jax.training.stylegan2.freeze import Freeze
from stylegan_jax.training.stylegan2.state import GanState
from stylegan_jax.training.updates import placed

# Fields of the networks that a configuration keeps for itself: how they are computed
# and how their batches are grouped, not what they are.
OWN_FIELDS = ("dtype", "low_precision_blocks", "mbstd_group_size")
# A configuration's name for a field of the generator and of the discriminator.
G_FIELDS = {
    "z_dim": "z_dim",
    "w_dim": "w_dim",
    "mapping_layers": "mapping_layers",
    "channel_base": "channel_base",
    "channel_max": "channel_max",
    "use_noise": "use_noise",
    "conv_clamp": "conv_clamp",
    "g_architecture": "architecture",
}
D_FIELDS = {
    "d_architecture": "architecture",
    "mbstd_num_channels": "mbstd_num_channels",
}


@dataclasses.dataclass(frozen=True)
class Parent:
    """The networks of ``init.model``.

    Attributes:
        g: the generator in training.
        g_ema: the averaged generator; the same as ``g`` where there is no other.
        d: the discriminator; None where a fresh one is asked for.
        provenance: where they come from, for the new run's files.
        licence: the licence that their weights are under.
        note: what a person should know of them; "" for nothing.
    """

    g: StyleGAN2Generator
    g_ema: StyleGAN2Generator
    d: StyleGAN2Discriminator | None
    provenance: dict[str, Any]
    licence: str
    note: str = ""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of its pictures."""
        return self.g_ema.image_shape

    def fill(self, config: ConfigDict) -> None:
        """Writes what the networks are into a configuration's ``model`` section."""
        for name, field in G_FIELDS.items():
            config.model[name] = self.g_ema.config[field]
        if self.d is not None:
            for name, field in D_FIELDS.items():
                config.model[name] = self.d.config[field]
            if config.model.mbstd_group_size is None and config.train.batch is None:
                config.model.mbstd_group_size = self.d.config["mbstd_group_size"]

    def adopt(self, state: GanState, freeze: Freeze) -> GanState:
        """A fresh state with these weights in it, where it had its own."""
        g_params = freeze.settle(self.g.params, self.g_ema.params)
        changes: dict[str, Any] = {
            "g_params": placed(g_params, state.g_params),
            "ema_params": placed(self.g_ema.params, state.ema_params),
            "moving_stats": placed(
                self.g_ema.variables["moving_stats"], state.moving_stats
            ),
            "noise": placed(self.g_ema.variables.get("noise", {}), state.noise),
        }
        if state.source_params:
            changes["source_params"] = placed(self.g_ema.params, state.source_params)
        if self.d is not None:
            changes["d_params"] = placed(self.d.params, state.d_params)
        return state.replace(**changes)


def open_parent(path: str | Path, *, fresh_d: bool) -> Parent:
    """Opens the networks that a run starts from.

    Args:
        path: a folder of parts, a run's folder, or a lone generator.
        fresh_d: whether the discriminator is begun anew.

    Raises:
        UsageError: there is no discriminator and none was to be begun anew.
        UserError: there is no such model, or it is no StyleGAN2.
    """
    path = Path(path)
    g_ema, file = _open(path, "g_ema"), find_model(path, part="g_ema")
    if not isinstance(g_ema, StyleGAN2Generator) or "stylegan2" not in str(
        g_ema.metadata.get("family")
    ):
        raise UserError(
            f"init.model={path} is a {g_ema.metadata.get('family')} and no StyleGAN2 "
            "generator: give another model."
        )
    d, used = None, ["g_ema", "g"]
    if not fresh_d:
        used.append("d")
        if path.is_file():
            raise UsageError(
                f"init.model={path} is a generator alone, and a discriminator that "
                "begins anew drives it apart: give a folder with g_ema and d (from "
                "convert, or a run), or set --config.init.fresh_d=true."
            )
        d = _open(path, "d")
        if d.image_shape != g_ema.image_shape:
            raise UserError(
                f"the networks in {path} do not belong together: the generator draws "
                f"{g_ema.image_shape} and the discriminator takes {d.image_shape}."
            )
    parts = find_parts(path) if path.is_dir() else {}
    g = load(path, part="g") if "g" in parts else g_ema
    return Parent(
        g=g,
        g_ema=g_ema,
        d=d,
        provenance=origin_of(file, g_ema),
        licence=g_ema.metadata.get("licence", "not stated"),
        note=_moments({k: v for k, v in parts.items() if k in used}),
    )


def _moments(parts: dict[str, Path]) -> str:
    """Says so where the networks of a run are of different moments."""
    moments = {part: moment_of(file) for part, file in parts.items()}
    if len(set(moments.values())) < 2:
        return ""
    said = ", ".join(f"{part} of {kimg} kimg" for part, kimg in moments.items())
    return f"note: init.model has no snapshot with all networks, taken are {said}"


def _open(path: Path, part: str) -> Any:
    try:
        return load(path, part=part)
    except UserError as error:
        if part == "d":
            raise UsageError(
                f"init.model={path} has no discriminator ({error}): give a folder with "
                "one, or set --config.init.fresh_d=true."
            ) from error
        raise
