"""pSp (pixel2style2pixel): its encoders, and the whole with rosinality's decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.rules import rosinality
from stylegan_jax.convert_torch.rules.feature_tensors import norm_rules
from stylegan_jax.convert_torch.rules.irse import (
    BACKBONE,
    backbone_config,
    backbone_scopes,
    is_backbone,
)
from stylegan_jax.convert_torch.rules.language import Buffer, Rule, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State
from stylegan_jax.convert_torch.rules.psp_relatives import other_encoder
from stylegan_jax.convert_torch.rules.stylegan2_scopes import generator_scopes
from stylegan_jax.convert_torch.rules.tensors import highest, need
from stylegan_jax.errors import UserError
from stylegan_jax.models.psp.encoder import (
    GRADUAL,
    INTO_W,
    INTO_W_PLUS,
    MAX_NUM_WS,
    POOLED,
    feature_stride,
    halvings,
)

NAME = "psp"

ENCODER_PREFIX, DECODER_PREFIX = "encoder.", "decoder."
# The mean latent, beside the state dict in a file of pSp's.
LATENT_AVG = "latent_avg"
# Fields of a decoder's config that the whole model has once or not at all.
_SHARED = ("w_dim", "c_dim")
# pSp's encoders into latents take pictures of this side; where it shows in the tensors
# it is read from them.
INPUT_SIZE = 256


def prefixed(table: Table, source: str, target: str) -> Table:
    """A table for a network that lies inside another one.

    Args:
        table: the rules of the network alone.
        source: what precedes its names in the file, e.g. ``decoder.``.
        target: what precedes its paths in our model file, after the collection, e.g.
            ``decoder/``.
    """
    return tuple(_prefixed(rule, source, target) for rule in table)


def _prefixed(rule: Rule | Buffer, source: str, target: str) -> Rule | Buffer:
    if isinstance(rule, Buffer):
        return rule._replace(source=source + rule.source)
    collection, path = rule.target.split("/", 1)
    return rule._replace(
        source=source + rule.source, target=f"{collection}/{target}{path}"
    )


_STYLE, _OURS = "styles.{i}", "params/style{i}"

ENCODER: Table = (
    *BACKBONE,
    Rule("latlayer{j}.weight", "params/lateral{i}/kernel", "OIHW>HWIO", "lateral"),
    Rule("latlayer{j}.bias", "params/lateral{i}/bias", "", "lateral"),
    Rule(
        _STYLE + ".convs.{j}.weight",
        _OURS + "/conv{k}/kernel",
        "OIHW>HWIO",
        "styleconv",
    ),
    Rule(_STYLE + ".convs.{j}.bias", _OURS + "/conv{k}/bias", "", "styleconv"),
    Rule(_STYLE + ".linear.weight", _OURS + "/linear/weight", "OI>IO", "style"),
    Rule(_STYLE + ".linear.bias", _OURS + "/linear/bias", "", "style"),
    *norm_rules("output_layer_2.0", "bn", "pooled"),
    Rule("output_layer_2.3.weight", "params/dense/kernel", "O(CHW)>(HWC)O", "pooled"),
    Rule("output_layer_2.3.bias", "params/dense/bias", "", "pooled"),
    Rule("linear.weight", "params/linear/weight", "OI>IO", "linear"),
    Rule("linear.bias", "params/linear/bias", "", "linear"),
)

WHOLE: Table = (
    *prefixed(ENCODER, ENCODER_PREFIX, "encoder/"),
    *prefixed(rosinality.GENERATOR, DECODER_PREFIX, "decoder/"),
    Rule(LATENT_AVG, "moving_stats/latent_avg"),
)


def encoder_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of an encoder's table.

    ``i`` is the number of a latent or lateral layer; in ``styleconv`` ``k`` is the
    number of a convolution and ``j`` its place in the file, between activations.
    """
    kind, num_ws = config["encoder_type"], config["num_ws"]
    styles = [{"i": i} for i in range(num_ws)] if kind == GRADUAL else []
    return {
        **backbone_scopes(config),
        "lateral": [{"i": i, "j": i + 1} for i in range(2)] if kind == GRADUAL else [],
        "style": styles,
        "styleconv": [
            {**style, "k": k, "j": 2 * k}
            for style in styles
            for k in range(halvings(style["i"], config["input_size"]))
        ],
        "pooled": [{"H": POOLED, "W": POOLED}] if kind == INTO_W_PLUS else [],
        "linear": [] if kind == GRADUAL else [{}],
    }


def whole_scopes(config: Mapping[str, Any]) -> Scopes:
    """The blanks of the whole model's table."""
    encoder = encoder_scopes(encoder_of(config))
    decoder = generator_scopes(decoder_of(config))
    return {**encoder, **decoder, "": [{**encoder[""][0], **decoder[""][0]}]}


def encoder_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The encoder's config, from the whole model's."""
    own = ("encoder_type", "num_layers", "mode", "width", "input_nc", "input_size")
    into_w = config["encoder_type"] == INTO_W
    return {
        **{name: config[name] for name in own},
        "num_ws": 1 if into_w else 2 * config["decoder_num_blocks"],
        "w_dim": config["w_dim"],
    }


def decoder_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The decoder's config as a generator of its own, from the whole model's."""
    fields = {
        name.removeprefix("decoder_"): value
        for name, value in config.items()
        if name.startswith("decoder_")
    }
    return {**fields, "w_dim": config["w_dim"], "c_dim": 0}


def part(state: State, prefix: str) -> dict[str, Any]:
    """The tensors under a prefix, by their names after it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def is_psp(state: State) -> bool:
    """Whether these are the names of pSp, e4e or ReStyle: an encoder and a decoder."""
    return any(k.startswith(ENCODER_PREFIX) for k in state) and rosinality.is_generator(
        part(state, DECODER_PREFIX)
    )


def is_encoder(state: State) -> bool:
    """Whether these are the names of an encoder of pSp's alone."""
    heads = ("styles.0.linear.weight", "linear.weight", "output_layer_2.3.weight")
    return is_backbone(state) and any(name in state for name in heads)


def encoder_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an encoder; ``hints`` may give ``opts``, which must agree.

    Raises:
        UserError: an encoder of another program, tensors that make none, or options
            that say something else than the tensors.
    """
    where, opts = hints.get("where", "the file"), options(hints)
    program = other_encoder(state, opts)
    if program:
        raise UserError(
            f"the encoder in {where} is one of {program}, which this program cannot "
            "convert yet: convert its decoder alone with --part decoder."
        )
    backbone = backbone_config(state, where)
    kind = _encoder_type(state, where)
    head = {
        GRADUAL: _gradual_head,
        INTO_W: _into_w_head,
        INTO_W_PLUS: _into_w_plus_head,
    }[kind](state, where)
    config = {
        "encoder_type": kind,
        **backbone,
        "input_nc": int(state["input_layer.0.weight"].shape[1]),
        "input_size": INPUT_SIZE,
        **head,
    }
    _agree({"encoder_type": kind, "input_nc": config["input_nc"]}, opts, where)
    return config


def whole_config(state: State, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the whole model.

    Args:
        state: tensors named ``encoder.*`` and ``decoder.*``, and maybe ``latent_avg``.
        hints: ``where``; ``opts``, the options beside the state dict; ``latent_avg``,
            the tensor beside it, or None.

    Raises:
        UserError: as `encoder_config`; encoder and decoder that do not fit together.
    """
    where, opts = hints.get("where", "the file"), options(hints)
    encoder = encoder_config(
        part(state, ENCODER_PREFIX), {**hints, "where": f"{where} (encoder)"}
    )
    decoder = rosinality.generator_config(
        part(state, DECODER_PREFIX), {"where": f"{where} (decoder)"}
    )
    num_ws = 2 * decoder["num_blocks"]
    if encoder["encoder_type"] != INTO_W and encoder["num_ws"] != num_ws:
        raise UserError(
            f"the encoder of {where} gives {encoder['num_ws']} latents and its decoder "
            f"takes {num_ws}: they do not belong together."
        )
    if encoder["w_dim"] != decoder["w_dim"]:
        raise UserError(
            f"the encoder of {where} gives latents of width {encoder['w_dim']} and its "
            f"decoder takes {decoder['w_dim']}: they do not belong together."
        )
    size = decoder["base_grid"][0] << (decoder["num_blocks"] - 1)
    _agree({"output_size": size, "n_styles": num_ws}, opts, where)
    mean = hints.get(LATENT_AVG)
    mean = state.get(LATENT_AVG) if mean is None else mean
    return {
        **{k: v for k, v in encoder.items() if k != "num_ws"},
        # A mean with two axes tells itself how many latents it is of.
        "learn_in_w": (
            mean.shape[0] == 1
            if mean is not None and len(mean.shape) == 2
            else _flag(opts, "learn_in_w", False, where)
        ),
        # The original writes the mean only where it is used.
        "start_from_latent_avg": _flag(
            opts, "start_from_latent_avg", mean is not None, where
        ),
        **{f"decoder_{k}": v for k, v in decoder.items() if k not in _SHARED},
    }


def options(hints: Mapping[str, Any]) -> dict[str, Any]:
    """The options beside the state dict; empty without any."""
    return dict(hints.get("opts") or {})


def _flag(opts: Mapping[str, Any], name: str, default: bool, where: object) -> bool:
    value = opts.get(name, default)
    if type(value) not in (bool, int):
        raise UserError(
            f"the options in {where} have {name}={value!r}, which is neither true nor "
            "false: the file is damaged."
        )
    return bool(value)


def _agree(found: Mapping[str, Any], opts: Mapping[str, Any], where: object) -> None:
    """Raises `UserError` where the options say something else than the tensors."""
    differ = [
        f"{name} {opts[name]} instead of {value}"
        for name, value in found.items()
        if opts.get(name) is not None
        and (type(opts[name]) is not type(value) or opts[name] != value)
    ]
    if differ:
        raise UserError(
            f"the options in {where} do not fit its tensors ({', '.join(differ)}): the "
            "file is damaged or put together from two."
        )


def _encoder_type(state: State, where: object) -> str:
    if any(name.startswith("styles.") for name in state):
        return GRADUAL
    if any(name.startswith("output_layer_2.") for name in state):
        return INTO_W_PLUS
    if any(name.startswith("linear.") for name in state):
        return INTO_W
    raise UserError(
        f"{where} has the backbone of an encoder and no head: tensors styles.*, "
        "output_layer_2.* or linear.* are missing."
    )


def _gradual_head(state: State, where: object) -> dict[str, Any]:
    need(
        state, {"styles.0.linear.weight": 2, "styles.0.convs.0.weight": 4}, where=where
    )
    num_ws = highest(state, r"styles\.(\d+)\..*") + 1
    if num_ws > MAX_NUM_WS:
        raise UserError(
            f"the encoder of {where} gives {num_ws} latents, more than the "
            f"{MAX_NUM_WS} that a decoder can take: the file is damaged."
        )
    # Each convolution halves the side of a head's features, down to one cell.
    sides = [
        feature_stride(i) << min(convs // 2 + 1, 16)
        for i in range(num_ws)
        if (convs := highest(state, rf"styles\.{i}\.convs\.(\d+)\.weight")) >= 0
    ]
    return {
        "input_size": max(sides),
        "num_ws": num_ws,
        "w_dim": int(state["styles.0.linear.weight"].shape[0]),
    }


def _into_w_head(state: State, where: object) -> dict[str, Any]:
    need(state, {"linear.weight": 2}, where=where)
    return {"num_ws": 1, "w_dim": int(state["linear.weight"].shape[0])}


def _into_w_plus_head(state: State, where: object) -> dict[str, Any]:
    need(state, {"linear.weight": 2, "output_layer_2.3.weight": 2}, where=where)
    width = int(state["output_layer_2.3.weight"].shape[0])
    num_ws, rest = divmod(int(state["linear.weight"].shape[0]), width)
    if rest:
        raise UserError(
            f"linear.weight of {where} has {list(state['linear.weight'].shape)}, which "
            f"are no latents of width {width}."
        )
    return {"num_ws": num_ws, "w_dim": width}


LAYOUTS = (
    Layout(NAME, "psp", WHOLE, whole_scopes, whole_config),
    Layout(NAME, "psp.encoder", ENCODER, encoder_scopes, encoder_config),
)
