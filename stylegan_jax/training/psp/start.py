"""What a pSp run starts from: a generator, or a whole pSp, and an encoder's body."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from stylegan_jax.checkpoints.irse import IRSEFeatures
from stylegan_jax.checkpoints.load import find_model, load
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.checkpoints.weights import THERE, weights_path, weights_state
from stylegan_jax.checkpoints.weights_registry import find_weights
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.models.psp import PSP
from stylegan_jax.training.psp.presets import MODEL_OF_PSP
from stylegan_jax.training.psp.state import DECODER, ENCODER, EncoderState
from stylegan_jax.training.snapshots import origin_of
from stylegan_jax.training.updates import placed

# Latents that a missing mean is estimated from, and their seed.
MEAN_OF, MEAN_SEED = 100_000, 0
_AT_A_TIME = 10_000
# Configuration keys that may name a model.
STARTS = ("init.model", "init.decoder", "init.backbone")


@dataclasses.dataclass(frozen=True)
class Start:
    """Networks that a run starts from.

    Attributes:
        decoder: the generator.
        psp: the whole model of ``init.model``; None without one.
        backbone: variables of the body of ``init.backbone``; None without one.
        provenance: where they come from, by configuration key.
        licence: of the weights that go into the new model.
        note: what a person should know; "" for nothing.
        w_avg: the decoder's mean latent [w_dim] float32.
        backbone_config: fields of the body's network.
    """

    decoder: StyleGAN2Generator
    psp: PSPNetwork | None
    backbone: Mapping[str, Any] | None
    provenance: dict[str, Any]
    licence: str
    w_avg: np.ndarray
    backbone_config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    note: str = ""

    def check_backbone(self, shapes: Any, name: Any) -> None:
        """Refuses a body of another shape than the encoder's.

        Args:
            shapes: of the model's variables.
            name: what ``init.backbone`` says.

        Raises:
            UserError: it does not fit.
        """
        assert self.backbone is not None
        for collection in ("params", "batch_stats"):
            own = shapes[collection][ENCODER]
            theirs = _with_body(own, self.backbone[collection])
            if _layout(own) != _layout(theirs):
                body = self.backbone_config
                raise UserError(
                    f"init.backbone={name} has num_layers={body['num_layers']}, mode="
                    f"{body['mode']}, width={body['width']}, and the encoder is "
                    "another: set the section model to the same, or begin with a "
                    "fresh encoder (--config.init.backbone=None)."
                )

    def adopt(self, state: EncoderState, psp: PSP) -> EncoderState:
        """A fresh state with these weights in it.

        The encoder's first convolution stays fresh where the body was trained on other
        channels, as label maps have.
        """
        params = {**state.frozen, **state.params}
        stats = dict(state.batch_stats)
        rows = 1 if psp.learn_in_w else psp.num_ws
        latent_avg = np.tile(self.w_avg, (rows, 1))
        if self.psp is not None:
            params[ENCODER] = self.psp.variables["params"][ENCODER]
            stats = dict(self.psp.variables["batch_stats"])
            latent_avg = self.psp.variables["moving_stats"]["latent_avg"]
        elif self.backbone is not None:
            params[ENCODER] = _with_body(params[ENCODER], self.backbone["params"])
            stats[ENCODER] = _with_body(stats[ENCODER], self.backbone["batch_stats"])
        own = self.decoder.variables
        params[DECODER] = own["params"]
        moving = {
            "latent_avg": latent_avg,
            DECODER: {"mapping": {"w_avg": self.w_avg}},
        }
        trained = {name: params[name] for name in state.params}
        return state.replace(
            params=placed(trained, state.params),
            ema_params=placed(trained, state.ema_params),
            frozen=placed({name: params[name] for name in state.frozen}, state.frozen),
            opt=_synced(state, trained),
            batch_stats=placed(stats, state.batch_stats),
            moving_stats=placed(moving, state.moving_stats),
            noise=placed(
                {DECODER: own["noise"]} if own.get("noise") else {}, state.noise
            ),
        )


def _synced(state: EncoderState, trained: Any) -> Any:
    """The optimiser's state with the slow weights of lookahead at the new start."""
    if not hasattr(state.opt, "slow"):
        return state.opt
    return state.opt._replace(slow=placed(trained, state.opt.slow))


def _with_body(own: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder's tree with another backbone, where the shapes agree."""
    mine, theirs = own["backbone"], body["backbone"]
    merged = dict(theirs)
    if "input_conv" in mine:
        ours, other = (x["input_conv"]["kernel"].shape for x in (mine, theirs))
        if ours != other:
            merged["input_conv"] = mine["input_conv"]
    return {**own, "backbone": merged}


def _layout(tree: Any) -> dict[str, tuple[int, ...]]:
    """The shape of every leaf by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}


def open_start(config: ConfigDict) -> Start:
    """Opens what the section ``init`` names.

    Raises:
        UsageError: nothing is named, or what is named does not go together.
        UserError: there is no such model, or it is of the wrong family.
    """
    section = config.init
    if section.decoder is None and section.model is None:
        raise UsageError(
            "A pSp needs a generator to decode with: say which with "
            "--config.init.decoder=MODEL (a StyleGAN2 generator: a file, or a run's "
            "folder), or go on from a whole pSp with --config.init.model=MODEL."
        )
    psp, sources, licences = None, {}, []
    if section.model is not None:
        psp = _open_psp(section.model)
        sources["init.model"] = origin_of(section.model, psp)
        licences.append(psp.metadata.get("licence", "not stated"))
    if section.decoder is not None:
        decoder = _open_decoder(section.decoder)
        sources["init.decoder"] = origin_of(section.decoder, decoder)
        licences.append(decoder.metadata.get("licence", "not stated"))
    else:
        assert psp is not None
        decoder = psp.decoder
    backbone, body = None, {}
    if psp is None and section.backbone is not None:
        file, network = _open_backbone(section.backbone)
        backbone, body = network.variables, network.config
        sources["init.backbone"] = {"file": file.name, "sha256": sha256_of(file)}
        licences.append(network.metadata.get("licence", "not stated"))
    w_avg, note = _mean_latent(decoder)
    return Start(
        decoder=decoder,
        psp=psp,
        backbone=backbone,
        provenance=sources,
        licence="; and ".join(dict.fromkeys(licences)),
        w_avg=w_avg,
        backbone_config=body,
        note=note,
    )


def _open_psp(path: Any) -> PSPNetwork:
    model = load(path)
    if not isinstance(model, PSPNetwork):
        raise UserError(
            f"init.model={path} is a {model.metadata.get('family')} and no pSp: give a "
            "whole pSp, or a generator as --config.init.decoder."
        )
    return model


def _open_decoder(path: Any) -> StyleGAN2Generator:
    model = load(path)
    if isinstance(model, PSPNetwork):
        return model.decoder
    if model.metadata.get("family") != "stylegan2.generator":
        raise UserError(
            f"init.decoder={path} is a {model.metadata.get('family')} and no StyleGAN2 "
            "generator: give a generator, such as the blend that the targets were "
            "drawn with."
        )
    return model


def _open_backbone(name: Any) -> tuple[Path, IRSEFeatures]:
    if name == "arcface_irse50":
        if weights_state(name) != THERE:
            raise UserError(
                f"init.backbone={name} is not in the cache: run "
                f"{find_weights(name).command}, or begin with a fresh encoder: "
                "--config.init.backbone=None."
            )
        file = weights_path(name)
        return file, load(file)
    file, network = find_model(name), load(name)
    if not isinstance(network, IRSEFeatures):
        raise UserError(
            f"init.backbone={name} is a {network.metadata.get('family')} and no IR-SE "
            "network: give arcface_irse50, a model file of that family, or None."
        )
    return file, network


def _mean_latent(decoder: StyleGAN2Generator) -> tuple[np.ndarray, str]:
    """The decoder's w_avg; estimated, always alike, where its file had none."""
    w_avg = np.asarray(decoder.variables["moving_stats"]["mapping"]["w_avg"])
    if np.any(w_avg):
        return w_avg, ""
    total = np.zeros(w_avg.shape, np.float64)
    key = jax.random.key(MEAN_SEED, impl="threefry2x32")
    for number in range(MEAN_OF // _AT_A_TIME):
        shape = (_AT_A_TIME, decoder.module.z_dim)
        z = jax.random.normal(jax.random.fold_in(key, number), shape)
        w = decoder.mapping(z)[:, 0]
        total += np.asarray(w, np.float64).sum(0)
    note = (
        f"note: the decoder has no mean latent; it was estimated from {MEAN_OF} latents"
    )
    return (total / MEAN_OF).astype(np.float32), note


def psp_module(config: ConfigDict, start: Start) -> PSP:
    """The model that a resolved configuration describes around the start's decoder."""
    fields = {name: config.model[name] for name in MODEL_OF_PSP}
    own = start.decoder.config
    inherited = {
        name: own[name.removeprefix("decoder_")]
        for name in PSP.__dataclass_fields__
        if name.startswith("decoder_") and name.removeprefix("decoder_") in own
    }
    return PSP(w_dim=own["w_dim"], **fields, **inherited)
