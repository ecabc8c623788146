"""What a blend takes from which model; off-by-one errors above all."""

import functools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_generator

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.blend import blend, curve_shares, step_shares
from stylegan_jax.latents.generator_layers import (
    PARTS,
    SYNTHESIS_PARTS,
    generator_layers,
)

RESOLUTIONS = (4, 8, 16)
ARCHITECTURES = ("skip", "resnet", "orig")


@functools.cache
def pair(architecture="skip"):
    """Two models of one architecture that differ in every tensor."""
    _, base = tiny_generator(architecture=architecture)
    base = {k: np.asarray(v) for k, v in flatten(base).items()}
    style = {k: (v + 1000).astype(v.dtype) for k, v in base.items()}
    return nest(base), nest(style)


def nest(flat):
    tree = {}
    for path, leaf in flat.items():
        *parents, last = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = leaf
    return tree


def changed(base, blended):
    """The tensors of a blend that are no longer BASE's."""
    before, after = flatten(base), flatten(blended)
    assert set(before) == set(after)
    return {k for k in before if before[k].tobytes() != after[k].tobytes()}


def expected(base, resolution, parts):
    """Written anew from the paths: nothing of the package's own index of layers."""
    found = set()
    for path in flatten(base):
        names = path.split("/")
        if names[1] == "mapping":
            part, at_least = "mapping", True
        else:
            at_least = int(names[2][1:]) >= resolution
            if names[3] == "const":
                part = "const"
            elif "affine" in names:
                part = "affine"
            elif names[-1].startswith("noise"):
                part = "noise"
            else:
                part = {"torgb": "torgb", "skip": "skip"}.get(names[3], "conv")
        if at_least and part in parts:
            found.add(path)
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("part", [*SYNTHESIS_PARTS, "all"])
def test_a_swap_changes_exactly_the_named_layers(architecture, resolution, part):
    base, style = pair(architecture)
    parts = SYNTHESIS_PARTS if part == "all" else (part,)
    shares = step_shares(generator_layers(base), resolution=resolution, parts=parts)
    blended = blend([base, style], [shares])
    swapped = changed(base, blended)
    assert swapped == expected(base, resolution, parts)
    theirs, after = flatten(style), flatten(blended)
    assert all(after[k].tobytes() == theirs[k].tobytes() for k in swapped)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_mapping_is_asked_for_by_name(resolution):
    base, style = pair()
    layers = generator_layers(base)
    for options in ({"mapping": True}, {"parts": PARTS}):
        shares = step_shares(layers, resolution=resolution, **options)
        swapped = changed(base, blend([base, style], [shares]))
        assert swapped == expected(base, resolution, PARTS)
    only = step_shares(layers, resolution=resolution, parts=["mapping"])
    assert changed(base, blend([base, style], [only])) == expected(
        base, resolution, ["mapping"]
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("options", [{}, {"width": 2.0}, {"mapping": True}])
def test_alpha_0_is_base_bit_for_bit(architecture, options):
    base, style = pair(architecture)
    shares = step_shares(generator_layers(base), resolution=4, alpha=0, **options)
    assert changed(base, blend([base, style], [shares])) == set()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_everything_of_style_is_style_bit_for_bit(architecture):
    base, style = pair(architecture)
    shares = step_shares(generator_layers(base), resolution=4, mapping=True)
    assert changed(style, blend([base, style], [shares])) == set()


def test_half_floats_stay_where_they_are_taken_whole_and_mix_in_float32():
    base, style = pair()
    half = nest({k: v.astype(np.float16) for k, v in flatten(style).items()})
    layers = generator_layers(base)
    whole = step_shares(layers, resolution=4, mapping=True)
    assert changed(half, blend([base, half], [whole])) == set()
    mixed = blend([half, half], [step_shares(layers, resolution=4, alpha=0.25)])
    kinds = {k: v.dtype for k, v in flatten(mixed).items()}
    assert kinds["params/synthesis/b8/conv0/weight"] == np.float32
    assert kinds["params/mapping/fc0/weight"] == np.float16


@given(st.floats(0, 1))
def test_alpha_mixes_linearly(alpha):
    base, style = pair()
    shares = step_shares(generator_layers(base), resolution=8, alpha=alpha)
    got = flatten(blend([base, style], [shares]))
    name = "params/synthesis/b16/conv1/weight"
    want = flatten(base)[name] + alpha * 1000
    np.testing.assert_allclose(got[name], want, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("ramp", ["logistic", "linear"])
def test_a_width_rises_evenly_around_the_step(ramp):
    layers = generator_layers(pair()[0])
    shares = step_shares(layers, resolution=8, width=2.0, ramp=ramp)
    by_position = {x.position: shares[x.name, x.parts[0]] for x in layers[1:]}
    values = [by_position[i] for i in sorted(by_position)]
    assert values == sorted(values)
    # The middle lies between b4's last layer (position 1) and b8/conv0 (position 2).
    assert by_position[1] + by_position[2] == pytest.approx(1)
    assert by_position[1] == pytest.approx(
        0.25 if ramp == "linear" else 1 / (1 + np.exp(0.25))
    )


@pytest.mark.parametrize("ramp", ["logistic", "linear"])
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_a_narrow_step_is_the_hard_one(ramp, resolution):
    layers = generator_layers(pair()[0])
    hard = step_shares(layers, resolution=resolution)
    for width in (1e-2, 1e-300):
        narrow = step_shares(layers, resolution=resolution, width=width, ramp=ramp)
        assert narrow == pytest.approx(hard)


def curve_of(layers, value=0.0, **others):
    return {**{x.name: value for x in layers if x.resolution}, **others}


def test_a_curve_names_any_share():
    base, style = pair()
    layers = generator_layers(base)
    curve = curve_of(layers, 0)
    curve["b8/conv0"] = 1
    curve["b16/torgb"] = {"torgb": 1, "affine": 0}
    shares = curve_shares(layers, curve, where="c.json")
    assert changed(base, blend([base, style], [shares])) == {
        "params/synthesis/b8/conv0/weight",
        "params/synthesis/b8/conv0/bias",
        "params/synthesis/b8/conv0/affine/weight",
        "params/synthesis/b8/conv0/affine/bias",
        "params/synthesis/b8/conv0/noise_strength",
        "noise/synthesis/b8/conv0/noise_const",
        "params/synthesis/b16/torgb/weight",
        "params/synthesis/b16/torgb/bias",
    }


def test_a_curve_has_whole_blocks_mapping_and_parts():
    layers = generator_layers(pair()[0])
    curve = {"b4": 0, "b8": 0.5, "b16": 1, "b16/conv0": 0.25, "mapping": 0.75}
    shares = curve_shares(layers, curve, where="c", alpha=0.5)
    assert shares["b8/torgb", "affine"] == 0.25
    assert shares["b16/conv0", "conv"] == 0.125
    assert shares["b16/conv1", "conv"] == 0.5
    assert shares["mapping", "mapping"] == 0.375
    parts = curve_shares(layers, {**curve, "parts": {"conv": 0.5}}, where="c")
    assert parts["b16/conv1", "conv"] == 0.5
    assert parts["b16/conv1", "affine"] == parts["mapping", "mapping"] == 0
    listed = curve_shares(layers, {**curve, "parts": ["noise"]}, where="c")
    assert {part for (_, part), share in listed.items() if share} == {"noise"}
    without = {k: v for k, v in curve.items() if k != "mapping"}
    for mapping in (False, True):
        got = curve_shares(layers, without, where="c", mapping=mapping)
        assert got["mapping", "mapping"] == float(mapping)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"b8/conv0": None}, "lacks b8/conv0: name every layer"),
        ({"b32/conv0": 1, "B8": 1}, "has the unknown keys b32/conv0, B8"),
        ({"b8/conv0": 1.5}, "the share of b8/conv0 in the curve c is a number from 0"),
        ({"b8/conv0": True}, "is a number from 0 to 1, got True"),
        ({"b8/conv0": float("nan")}, "is a number from 0 to 1, got nan"),
        ({"b8/conv0": {"conv": 1}}, "needs exactly conv, affine, noise"),
        ({"parts": ["conv", "bias"]}, "unknown parts bias"),
        ({"parts": {"conv": 2}}, "the factor of conv"),
        ({"parts": "conv"}, "is a list of parts or an object"),
    ],
)
def test_curves_that_do_not_fit_are_refused(change, sentence):
    layers = generator_layers(pair()[0])
    curve = {**curve_of(layers), **change}
    curve = {k: v for k, v in curve.items() if v is not None}
    with pytest.raises(UsageError, match=sentence):
        curve_shares(layers, curve, where="c")


def test_all_missing_layers_are_listed():
    layers = generator_layers(pair()[0])
    with pytest.raises(UsageError) as caught:
        curve_shares(layers, {"b4": 0}, where="c")
    for name in ("b8/conv0", "b8/conv1", "b8/torgb", "b16/conv0", "b16/torgb"):
        assert name in str(caught.value)
    with pytest.raises(UsageError, match="is no JSON object"):
        curve_shares(layers, json.loads("[1]"), where="c")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"resolution": 32}, "have no block of resolution 32: choose from 4, 8, 16"),
        ({"resolution": 12}, "no block of resolution 12"),
        ({"alpha": 1.1}, "alpha is a number from 0 to 1, got 1.1"),
        ({"width": -1.0}, "the width is a number from 0 up"),
        ({"width": float("inf")}, "the width is"),
        ({"ramp": "cubic"}, "choose from logistic, linear"),
        ({"parts": ["conv", "biases"]}, "unknown parts biases"),
        ({"parts": []}, r"unknown parts \(none\)"),
    ],
)
def test_steps_that_mean_nothing_are_refused(options, sentence):
    layers = generator_layers(pair()[0])
    with pytest.raises(UsageError, match=sentence):
        step_shares(layers, **{"resolution": 8, **options})


def test_three_models():
    base, style = pair()
    third = nest({k: v - 500 for k, v in flatten(base).items()})
    layers = generator_layers(base)
    shares = [
        step_shares(layers, resolution=8, alpha=0.5),
        step_shares(layers, resolution=16, alpha=0.25),
    ]
    got = flatten(blend([base, style, third], shares))
    name = "params/synthesis/{}/conv1/weight"
    for block, shift in (("b4", 0), ("b8", 500), ("b16", 500 - 125)):
        path = name.format(block)
        np.testing.assert_allclose(
            got[path] - flatten(base)[path], shift, rtol=1e-4, atol=1e-3
        )
    with pytest.raises(UserError, match=r"more than 1 \(b16/conv0 1.25, "):
        blend([base, style, third], [step_shares(layers, resolution=8), shares[1]])


def test_other_tensors_are_refused():
    base, style = pair()
    flat = flatten(style)
    flat["params/synthesis/b8/conv0/bias"] = np.zeros(3, np.float32)
    del flat["params/synthesis/b4/const"]
    shares = step_shares(generator_layers(base), resolution=8)
    with pytest.raises(UserError, match=r"b4/const, params/synthesis/b8/conv0/bias"):
        blend([base, nest(flat)], [shares])
