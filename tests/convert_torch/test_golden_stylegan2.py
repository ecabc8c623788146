"""StyleGAN2 of four programs: their files converted give their numbers.

Tolerances are those that two programs can hold in float32 on a CPU: relative error 1e-4
for outputs, 1e-3 for penalties and for norms of gradients.
"""

import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_case import GoldenCase
from golden_draw import relative_error
from golden_files import (
    assert_close,
    assert_comes_back,
    nchw,
    nhwc,
    pickle_of,
    write_nvlabs,
    write_rosinality,
)

from stylegan_jax.checkpoints.load import load
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.losses.regularisers import path_lengths, r1_penalty

ROSINALITY = ("rosinality_64_m2", "rosinality_64_m1")
PICKLES = (
    "nvada_tiny",
    "nvlabs_tiny_skip_resnet",
    "nvlabs_tiny_orig_skip",
    "nvlabs_tiny_resnet_orig",
    "tf_tiny",
)
NVIDIA = ("nvlabs_64", *PICKLES)
# One snapshot has pictures and scores alone.
WITH_PENALTIES = tuple(name for name in NVIDIA if name != "nvada_tiny")
PENALTIES = ("r1_per_image", "path_lengths")
CLASSES = 3


class Converted:
    """A case's file, converted into a folder of parts, which `load` opened."""

    def __init__(self, name, folder):
        self.case = GoldenCase(name)
        if name in ROSINALITY:
            self.src = write_rosinality(self.case, folder)
        elif name == "nvlabs_64":
            self.src = write_nvlabs(self.case, folder)
        else:
            self.src = pickle_of(self.case)
        self.folder = folder / "converted"
        result = convert(self.src, self.folder)
        assert_comes_back(result.parts)
        self.names, self.notes = [part.name for part in result.parts], result.notes
        self.g, self.d = load(self.folder), load(self.folder, part="d")
        self.labels = None
        if "labels" in self.case.info:
            numbers = self.case.info["labels"].removeprefix("one-hot of ")
            self.labels = np.eye(CLASSES, dtype=np.float32)[json.loads(numbers)]

    @functools.cached_property
    def real(self):
        return nhwc(self.case.input("real"))

    def mapping(self, z, **options):
        return self.g.mapping(self.case.input(z), self.labels, **options)

    def image(self, w_plus, noise_mode="const"):
        return nchw(self.g.synthesis(w_plus, noise_mode))

    def scores(self, images):
        return self.d(images, self.labels)

    def penalties(self, d_params, x):
        def logits(x):
            return self.d.module.apply({"params": d_params}, x, self.labels)

        return r1_penalty(logits, x)[0]

    def lengths(self, g_params, w_plus):
        variables = {**self.g.variables, "params": g_params}

        def synthesis(w_plus):
            return self.g.module.apply(
                variables, w_plus, noise_mode="const", method="synthesis"
            )

        # The case's noise is divided by the picture's side already.
        noise = nhwc(self.case.input("pl_noise")) * np.float32(self.case.size)
        return path_lengths(synthesis, w_plus, noise)


@pytest.fixture(scope="module")
def converted(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    yield Converted(request.param, folder)
    # pytest keeps the folders of three runs, which is a lot of disk here.
    shutil.rmtree(folder)


def cases(*names):
    return pytest.mark.parametrize("converted", names, indirect=True, ids=str)


def assert_all_compared(case, outputs, penalties):
    """No number of the case is left out."""
    assert {*outputs, *penalties} == set(case.expected)


@cases(*NVIDIA)
def test_nvidias_and_tensorflows_networks(converted):
    case = converted.case
    w_plus = converted.mapping("z")
    image = converted.g.synthesis(w_plus)
    outputs = {
        "w": w_plus[:, 0],
        "image": nchw(image),
        "d_real": converted.scores(converted.real),
        "d_fake": converted.scores(image),
    }
    if case.name in WITH_PENALTIES:
        truncated = {"truncation_psi": 0.5, "truncation_cutoff": 4}
        outputs["w_psi05_cut4"] = converted.mapping("z", **truncated)
        outputs["image_none"] = converted.image(w_plus, "none")
        assert_all_compared(case, outputs, PENALTIES)
    else:
        assert_all_compared(case, outputs, ())
    assert_close(outputs, case.expected, 1e-4)


@cases(*WITH_PENALTIES)
def test_nvidias_and_tensorflows_penalties(converted):
    lengths = jax.jit(converted.lengths)
    outputs = {
        "r1_per_image": jax.jit(converted.penalties)(
            converted.d.params, converted.real
        ),
        "path_lengths": lengths(converted.g.params, converted.mapping("z")),
    }
    assert_close(outputs, converted.case.expected, 1e-3)


@cases(*PICKLES)
def test_the_averaged_generator_is_not_the_raw_one(converted, tmp_path):
    assert converted.names == ["g_ema", "g", "d"]
    raw = load(converted.folder, part="g")
    z = converted.case.input("z")
    w_plus = raw.mapping(z, converted.labels)
    expected = converted.case.expected
    drawn = nchw(converted.g.replace(raw.variables).synthesis(w_plus))
    assert relative_error(drawn, expected["image"]) > 1e-2
    # A single file gets the one that the outputs are of.
    file = tmp_path / "one.safetensors"
    convert(converted.src, file)
    assert file.read_bytes() == (converted.folder / "g_ema.safetensors").read_bytes()


ROSINALITY_PENALTIES = (
    "r1_per_image",
    "r1_grad_first_conv_norm",
    "path_lengths",
    "pl_grad_conv1_weight_norm",
    "pl_grad_input_norm",
)


@cases(*ROSINALITY)
def test_rosinalitys_networks(converted):
    case = converted.case
    assert converted.names == ["g_ema", "d"]
    assert any("g_optim" in note for note in converted.notes)
    assert not any("estimated" in note for note in converted.notes)
    w_plus = converted.mapping("z1")
    image = converted.g.synthesis(w_plus)
    mixed = jnp.concatenate([w_plus[:, :4], converted.mapping("z2")[:, 4:]], 1)
    truncated = converted.mapping("z1", truncation_psi=0.7)
    outputs = {
        "w": w_plus[:, 0],
        "image": nchw(image),
        "image_psi07": converted.image(truncated),
        "image_mix4": converted.image(mixed),
        "image_wplus": converted.image(case.input("wplus")),
        "d_real": converted.scores(converted.real),
        "d_fake": converted.scores(image),
    }
    assert_close(outputs, case.expected, 1e-4)
    assert_all_compared(case, outputs, ROSINALITY_PENALTIES)


# The narrower network takes as long again to compile, and shows nothing new.
WITH_GRADIENTS = (ROSINALITY[0], pytest.param(ROSINALITY[1], marks=pytest.mark.slow))


@cases(*WITH_GRADIENTS)
def test_rosinalitys_r1_and_its_gradient(converted):
    def mean_r1(params, x):
        penalties = converted.penalties(params, x)
        return jnp.mean(penalties), penalties

    @jax.jit
    def both(params, x):
        gradients, penalties = jax.grad(mean_r1, has_aux=True)(params, x)
        return penalties, jnp.linalg.norm(gradients["b64"]["fromrgb"]["weight"])

    found = both(converted.d.params, converted.real)
    outputs = dict(zip(ROSINALITY_PENALTIES[:2], found, strict=True))
    assert_close(outputs, converted.case.expected, 1e-3)


@cases(*WITH_GRADIENTS)
def test_rosinalitys_path_lengths_and_their_gradient(converted):
    def mean_square(params, w_plus):
        lengths = converted.lengths(params, w_plus)
        return jnp.mean(jnp.square(lengths)), lengths

    @jax.jit
    def all_three(params, w_plus):
        gradients, lengths = jax.grad(mean_square, has_aux=True)(params, w_plus)
        block = gradients["synthesis"]["b4"]
        norm = jnp.linalg.norm
        return lengths, norm(block["conv1"]["weight"]), norm(block["const"])

    found = all_three(converted.g.params, converted.mapping("z1"))
    outputs = dict(zip(ROSINALITY_PENALTIES[2:], found, strict=True))
    assert_close(outputs, converted.case.expected, 1e-3)
