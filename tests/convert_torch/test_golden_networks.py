"""All other networks: their files converted give the original programs' numbers.

Outputs agree within a relative error of 1e-4.
"""

import argparse

import numpy as np
import pytest
from golden_case import FOLDER, GoldenCase
from golden_draw import blocks, normal, stylegan1_noise
from golden_files import (
    assert_close,
    assert_comes_back,
    nchw,
    nhwc,
    write_legacy,
    write_zip,
)

from stylegan_jax.checkpoints.load import load
from stylegan_jax.convert_torch.conversion import convert
from tests.models.psp import golden_inputs
from tests.models.psp.golden_inputs import faces

TOLERANCE = 1e-4


def converted(src, family):
    """The one network of a file, through a model file beside it."""
    file = src.with_suffix(".safetensors")
    parts = convert(src, file).parts
    assert [part.family for part in parts] == [family]
    assert_comes_back(parts)
    network = load(file)
    # Some are of 1 GB, and pytest keeps the folders of three runs.
    src.unlink()
    file.unlink()
    return network


def assert_all_close(outputs, case):
    """No number of the case is left out."""
    assert set(outputs) == set(case.expected)
    assert_close(outputs, case.expected, TOLERANCE)


@pytest.mark.parametrize("kind", ["global", "local", "encoder", "discriminator"])
def test_pix2pixhd(kind, tmp_path):
    case = GoldenCase(f"pix2pixhd_{kind}")
    src = write_legacy(tmp_path, case.state_dict("net"))
    network = converted(src, f"pix2pixhd.{kind}")
    x, y = (nhwc(blocks(case, name, (2, 3, 64, 64))) for name in ("x", "y"))
    if kind == "discriminator":
        outputs = {
            f"scale{i}_feat{j}": nchw(feature)
            for i, scale in enumerate(network(np.concatenate([x, y], 3)))
            for j, feature in enumerate(scale)
        }
    elif kind == "encoder":
        instances = case.expected.pop("inst")[:, 0].astype(int)
        outputs = {"out": nchw(network(x, instances))}
    else:
        outputs = {"out": nchw(network(x))}
    assert_all_close(outputs, case)


@pytest.mark.parametrize("wrapped", [True, False], ids=["64", "256"])
def test_stylegan_of_2018(wrapped, tmp_path):
    case = GoldenCase("stylegan1_64" if wrapped else "stylegan1_256")
    state = case.state_dict("net")
    mean = np.float32(0.1) * normal(case, "avg_latent", (512,))
    # The mean latent stands beside the tensors or among them.
    tree = {"latent_avg": mean}
    tree |= {"state_dict": state} if wrapped else state
    network = converted(write_zip(tmp_path, tree), "stylegan1.generator")
    # The case names its noise: it takes the place of the noise that no file holds.
    network = type(network).with_variables(
        {**network.config, "stored_noise": True},
        {**network.variables, "noise": stylegan1_noise(case)},
    )
    z = normal(case, "z", (case.batch, 512))
    w_plus = network.mapping(z)
    truncated = network.mapping(z, truncation_psi=0.7, truncation_cutoff=4)
    step = case.info["resolution"] // 64
    kept = slice(step // 2, None, step)
    outputs = {
        "w": w_plus[:, 0],
        "image": nchw(network.synthesis(w_plus))[:, :, kept, kept],
        "image_psi07_cut4": nchw(network.synthesis(truncated))[:, :, kept, kept],
    }
    assert_all_close(outputs, case)


@pytest.mark.parametrize("name", ["decompress", "landmarks"])
def test_facespace(name, tmp_path):
    case = GoldenCase(f"facespace_{name}")
    src = write_zip(tmp_path, case.state_dict("net"))
    network = converted(src, "facespace.encoder")
    # Every third of the 18 latents is stored.
    outputs = {"w_plus": network(case.expected.pop("v"))[:, ::3]}
    assert_all_close(outputs, case)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        # The whole of pSp below has one of these, too.
        pytest.param("GradualStyleEncoder", 3, marks=pytest.mark.slow),
        pytest.param("GradualStyleEncoder_label19", 19, marks=pytest.mark.slow),
        ("BackboneEncoderUsingLastLayerIntoW", 3),
        ("BackboneEncoderUsingLastLayerIntoWPlus", 3),
    ],
)
def test_encoders_of_psp(name, channels, tmp_path):
    case = GoldenCase(f"psp_{name}")
    network = converted(write_zip(tmp_path, case.state_dict("encoder")), "psp.encoder")
    assert network.config["input_nc"] == channels == case.info["input_nc"]
    codes = network(faces(channels))
    if name.endswith("IntoW"):
        codes = codes[:, 0]
    assert_all_close({"codes": codes}, case)


def test_the_whole_of_psp(tmp_path):
    case = GoldenCase("psp_full_64")
    opts = argparse.Namespace(
        output_size=64,
        encoder_type="GradualStyleEncoder",
        input_nc=3,
        label_nc=0,
        learn_in_w=False,
        start_from_latent_avg=True,
        checkpoint_path="best_model.pt",
    )
    tree = {
        "state_dict": case.state_dict("state_dict"),
        "opts": opts,
        "latent_avg": np.float32(0.1) * golden_inputs.normal("latent_avg", (10, 512)),
    }
    network = converted(write_zip(tmp_path, tree), "psp")
    w_plus = network.encode(faces())
    inject = golden_inputs.normal("inject", (2, 10, 512))
    mixed = network.inject(w_plus, range(6, 10), inject, 0.6)
    outputs = {
        "latents": w_plus,
        "image": nchw(network.synthesis(w_plus)),
        "image_mixed": nchw(network.synthesis(mixed)),
    }
    assert_all_close(outputs, case)


def test_the_identity_network(tmp_path):
    case = GoldenCase("arcface_irse50")
    src = write_legacy(tmp_path, case.state_dict("facenet"))
    network = converted(src, "features.irse")
    assert_all_close({"embedding": network.aligned(faces())["embedding"]}, case)


def test_inception(tmp_path):
    case = GoldenCase("inception_fid")
    src = write_zip(tmp_path, case.state_dict("net"))
    network = converted(src, "features.inception_v3")
    x = nhwc(blocks(case, "x", (2, 3, 96, 96)))
    assert_all_close(network(x, taps=["pool3", "logits"]), case)


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_lpips(trunk, tmp_path):
    case = GoldenCase(f"lpips_{trunk}")
    state = case.state_dict("net")
    with np.load(FOLDER / f"{case.name}.npz") as stored:
        for i in range(5):
            state[f"lin{i}.model.1.weight"] = stored[f"exact/lin/lin{i}"]
    network = converted(write_zip(tmp_path, state), "features.lpips")
    x = blocks(case, "x", (2, 3, 96, 96))
    y = np.clip(x + np.float32(0.2) * normal(case, "dx", x.shape), -1, 1)
    assert_all_close({"distance": network(nhwc(x), nhwc(y))}, case)


def test_vgg19(tmp_path):
    case = GoldenCase("vgg19")
    # As torchvision has them, beside the classifier, which the network leaves out.
    state = {f"features.{k}": v for k, v in case.state_dict("features").items()}
    state["classifier.6.bias"] = np.zeros(1000, np.float32)
    network = converted(write_zip(tmp_path, state), "features.vgg")
    taps = [name for name in case.expected if not name.endswith("full")]
    x = nhwc(blocks(case, "x", (2, 3, 96, 96)))
    found = network(x, taps=taps, normalise="none")
    outputs = {tap: _summary(np.asarray(found[tap])) for tap in taps}
    outputs["relu5_1_full"] = nchw(found["relu5_1"])
    assert_all_close(outputs, case)


def _summary(value):
    return value.mean(), value.std(ddof=1), value.max()
