"""Attribute networks from files: readings, kinds, and what is refused."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import load
from stylegan_jax.checkpoints.attributes import AttributeNetwork, fit_pictures
from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models.attributes import AttributeNet

TINY = AttributeNet(
    ("age", "gender"), ("number", "binary"), (30.0, 0.0), (20.0, 1.0), 10, 2, 32
)
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 40, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    variables = jax.jit(TINY.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    variables["params"]["head"]["kernel"] = jax.random.normal(
        jax.random.key(1), (16, 2)
    )
    path = tmp_path_factory.mktemp("reader") / "attributes.safetensors"
    save_model(
        path,
        variables,
        family="attributes",
        config=config_of(TINY),
        provenance={"framing": "tight", "data": [["faces", "abc", 1.0]]},
        licence="CC0",
    )
    return load(path)


def test_it_is_what_was_written(reader):
    assert isinstance(reader, AttributeNetwork) and reader.module == TINY
    assert reader.names == ("age", "gender")
    assert reader.kinds == {"age": "number", "gender": "binary"}
    assert reader.document["framing"] == "tight"
    assert reader.document["licence"] == "CC0"


def test_a_picture_is_read_alike_in_any_company(reader):
    three = reader.read(PICTURES)
    many = reader.read(np.concatenate([np.zeros_like(PICTURES)] * 11 + [PICTURES]))
    for name in reader.names:
        np.testing.assert_array_equal(three[name], many[name][-3:])
    assert (np.abs(three["gender"] - 0.5) < 0.5).all()


def test_readings_are_the_networks_outputs_in_the_datas_units(reader):
    x = fit_pictures(jnp.asarray(PICTURES), 32)
    outputs = np.asarray(jax.jit(TINY.apply)(reader.variables, x))
    found = reader.read(PICTURES)
    np.testing.assert_allclose(found["age"], outputs[:, 0] * 20 + 30, rtol=1e-4)
    gender = 1 / (1 + np.exp(-outputs[:, 1]))
    np.testing.assert_allclose(found["gender"], gender, rtol=1e-4)


def test_the_central_square_counts(reader):
    square = PICTURES[:, :, 4:44]
    np.testing.assert_allclose(
        reader.read(square)["age"], reader.read(PICTURES)["age"], rtol=1e-5
    )


def test_a_square_below_the_centre(reader):
    module = dataclasses.replace(TINY, read_share=0.8, read_drop=0.05)
    other = AttributeNetwork(module, reader.variables)
    # 32 of 40 pixels, 2 below the centre.
    square = PICTURES[:, 6:38, 8:40]
    np.testing.assert_allclose(
        other.read(PICTURES)["age"], reader.read(square)["age"], rtol=1e-5
    )


def test_both_mirror_images_count(reader):
    both = AttributeNetwork(dataclasses.replace(TINY, mirrored=True), reader.variables)
    plain = reader.read(PICTURES)["age"] + reader.read(PICTURES[:, :, ::-1])["age"]
    np.testing.assert_allclose(both.read(PICTURES)["age"], plain / 2, rtol=1e-4)


def test_grey_and_transparent_pictures(reader):
    grey = PICTURES[..., :1]
    rgba = np.concatenate([np.repeat(grey, 3, 3), 0 * grey], 3)
    np.testing.assert_array_equal(reader.read(grey)["age"], reader.read(rgba)["age"])


@pytest.mark.parametrize(
    "pictures",
    [PICTURES[0], PICTURES[:0], PICTURES.astype(np.float32), PICTURES[..., :2]],
)
def test_refusals(reader, pictures):
    with pytest.raises(UserError, match=r"pictures must be \[N, H, W, C\] uint8"):
        reader.read(pictures)


@pytest.mark.parametrize(
    "config",
    [
        {"kinds": ["number", "text"]},
        {"stds": [1.0, 0.0]},
        {"means": [1.0]},
        {"read_share": 0.5, "read_drop": 0.3},
    ],
)
def test_configs_that_make_no_network(config):
    with pytest.raises(UserError, match="makes no model"):
        AttributeNetwork.shapes({**config_of(TINY), **config}, where="x")
    for wrong in ({"names": [1, 2]}, {"means": ["a", "b"]}):
        with pytest.raises(UserError, match="which no model has"):
            AttributeNetwork.shapes({**config_of(TINY), **wrong}, where="x")
