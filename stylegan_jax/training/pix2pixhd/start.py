"""What a pix2pixHD run starts from: an earlier run's networks, a global generator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax.checkpoints.load import find_parts, load
from stylegan_jax.checkpoints.pix2pixhd import (
    Pix2PixHDDiscriminator,
    Pix2PixHDEncoder,
    Pix2PixHDGlobal,
    Pix2PixHDLocal,
)
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.pix2pixhd.presets import D_FIELDS, G_FIELDS
from stylegan_jax.training.pix2pixhd.state import (
    BATCH_STATS,
    TRUNK,
    D,
    E,
    G,
    TranslatorState,
    averaged,
)
from stylegan_jax.training.snapshots import origin_of
from stylegan_jax.training.updates import placed

FAMILIES = {"global": Pix2PixHDGlobal, "local": Pix2PixHDLocal}
PARTS = {G: "net", D: "d", E: "e"}
# Configuration keys that may name a model.
STARTS = ("init.model", "init.global_generator")


@dataclasses.dataclass(frozen=True)
class Start:
    """Networks that a run starts from.

    Attributes:
        networks: by name, of ``init.model``; those that begin anew are missing.
        trunk: the generator of ``init.global_generator``; None without one.
        provenance: where they come from, by configuration key.
        licence: of the weights that go into the new model; None where there are none.
    """

    networks: dict[str, Any]
    trunk: Pix2PixHDGlobal | None
    provenance: dict[str, Any]
    licence: str | None

    def fill(self, config: ConfigDict) -> ConfigDict:
        """Writes what the networks are into a configuration's ``model`` section."""
        config = config.copy_and_resolve_references()
        model = config.model
        if G in self.networks:
            _copy(self.networks[G].config, model, G_FIELDS)
        if D in self.networks:
            _copy(self.networks[D].config, model, D_FIELDS)
        if E in self.networks:
            own = self.networks[E].config
            model.feature_channels = own["feature_channels"]
            model.e_width, model.e_downsamplings = own["width"], own["downsamplings"]
        if self.trunk is not None:
            own = self.trunk.config
            for name in ("downsamplings", "residual_blocks", "norm", "upsampling"):
                model[name] = own[name]
            model.width = _halved(own["width"], model.enhancers)
        return config

    def check(self, modules: dict[str, Any]) -> None:
        """Refuses networks that take other inputs than the run's.

        Raises:
            UserError: some do not fit; all are listed.
        """
        given = [(PARTS[name], name, own) for name, own in self.networks.items()]
        if self.trunk is not None:
            given.append(("init.global_generator", G, self.trunk))
        wrong = []
        for said, name, network in given:
            theirs = network.module.input_channels
            ours = modules[name].input_channels
            if theirs != ours:
                wrong.append(f"{said} takes {theirs} channels and here are {ours}")
        if wrong:
            raise UserError(
                f"the networks to start from do not fit these pairs: "
                f"{'; '.join(wrong)}: give others, or set the section data as they "
                "were trained."
            )

    def adopt(self, state: TranslatorState) -> TranslatorState:
        """A fresh state with these weights in it."""
        params = dict(state.params)
        stats = dict(state.batch_stats)
        for name, network in self.networks.items():
            params[name] = network.variables["params"]
            if BATCH_STATS in network.variables:
                stats[name] = network.variables[BATCH_STATS]
        if self.trunk is not None:
            own = self.trunk.variables
            params[G] = {**params[G], TRUNK: own["params"][TRUNK]}
            if BATCH_STATS in own:
                stats[G] = {**stats[G], TRUNK: own[BATCH_STATS][TRUNK]}
        return state.replace(
            params=placed(params, state.params),
            ema_params=placed(averaged(params), state.ema_params),
            batch_stats=placed(stats, state.batch_stats),
        )


def _copy(own: Any, model: ConfigDict, fields: dict[str, str]) -> None:
    for name, field in fields.items():
        if field in own:
            model[name] = own[field]


def _halved(width: int, enhancers: int) -> int:
    """The width of a local enhancer around a trunk of that width.

    Raises:
        UserError: it cannot be halved as often.
    """
    if width % (1 << enhancers):
        raise UserError(
            f"init.global_generator is {width} wide, which cannot be halved "
            f"{enhancers} time(s) for model.enhancers={enhancers}: give another."
        )
    return width >> enhancers


def open_start(config: ConfigDict) -> Start:
    """Opens what the section ``init`` names.

    Raises:
        UsageError: there is no discriminator and none was to be begun anew, or two
            generators.
        UserError: there is no such model, or it is of the wrong family.
    """
    section = config.init
    networks: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    trunk = None
    if section.model is not None and section.global_generator is not None:
        raise UsageError(
            "init.model is a whole generator and init.global_generator a part of one: "
            "give one of them."
        )
    if section.model is not None:
        networks = _open_networks(config)
        provenance["init.model"] = origin_of(section.model, networks[G])
    if section.global_generator is not None:
        trunk = load(section.global_generator)
        if not isinstance(trunk, Pix2PixHDGlobal):
            raise UserError(
                f"init.global_generator={section.global_generator} is a "
                f"{trunk.metadata.get('family')} and no global generator of pix2pixHD: "
                "give the model of the global stage."
            )
        provenance["init.global_generator"] = origin_of(section.global_generator, trunk)
    licences = [source["licence"] for source in provenance.values()]
    return Start(networks, trunk, provenance, licences[0] if licences else None)


def _open_networks(config: ConfigDict) -> dict[str, Any]:
    path, kind = Path(config.init.model), config.model.generator
    g = load(path)
    if not isinstance(g, FAMILIES[kind]):
        raise UserError(
            f"init.model={path} is a {g.metadata.get('family')} and model.generator="
            f"{kind} asks for pix2pixhd.{kind}: give that, or set model.generator."
        )
    found: dict[str, Any] = {G: g}
    parts = find_parts(path) if path.is_dir() else {}
    if not config.init.fresh_d:
        if PARTS[D] not in parts:
            raise UsageError(
                f"init.model={path} has no discriminator: give a folder with net and d "
                "(a run, or from convert), or set --config.init.fresh_d=true to begin "
                "one anew."
            )
        found[D] = _of_family(path, PARTS[D], Pix2PixHDDiscriminator)
    if PARTS[E] in parts and config.data.instances:
        found[E] = _of_family(path, PARTS[E], Pix2PixHDEncoder)
    return found


def _of_family(path: Path, part: str, family: type) -> Any:
    network = load(path, part=part)
    if not isinstance(network, family):
        raise UserError(
            f"the part {part} of init.model={path} is a "
            f"{network.metadata.get('family')}: give a folder of pix2pixHD's networks."
        )
    return network
