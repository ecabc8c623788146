import jax
import numpy as np
import pytest
from tiny_facespace import (
    GENERATORS,
    facespace_generator,
    tiny_encoder,
    tiny_facespace,
)

from stylegan_jax.checkpoints.facespace_config import Faces
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import read_model, save_model
from stylegan_jax.errors import UserError


@pytest.mark.parametrize("space", ["w", "w_plus"])
@pytest.mark.parametrize("family", GENERATORS)
def test_one_file_gives_the_same_space_back(family, space, tmp_path):
    model = tiny_facespace(family, space)
    path = tmp_path / "space.safetensors"
    model.save(path, provenance={"made_by": "a test"}, licence="CC0")
    again = load(path)
    assert isinstance(again, FaceSpaceModel)
    assert (again.names, again.kind, again.space) == (("a", "b", "c"), "one_hot", space)
    assert again.provenance == {"made_by": "a test"}
    assert again.metadata["licence"] == "CC0"
    assert type(again.generator) is type(model.generator)
    assert again.image_shape == model.generator.image_shape
    np.testing.assert_array_equal(again.codes, np.eye(3))
    np.testing.assert_array_equal(again.photos, model.photos)
    weights = [[0.6, 0.4, 0], [0, 0, 1]]
    w_plus = again.latents(weights)
    assert w_plus.shape == (2, model.num_ws, model.w_dim)
    np.testing.assert_array_equal(w_plus, model.latents(weights))
    pictures = again.images(again.vectors(weights))
    assert pictures.shape == (2, *model.image_shape) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures, model.images(model.vectors(weights)))
    assert (pictures[0] != pictures[1]).any()


def test_w_repeats_one_latent_for_every_layer():
    w_plus = np.asarray(tiny_facespace(space="w").latents([[1, 1, 0]]))
    assert (w_plus == w_plus[:, :1]).all()
    w_plus = np.asarray(tiny_facespace(space="w_plus").latents([[1, 1, 0]]))
    assert (w_plus != w_plus[:, :1]).any()


def test_a_face_does_not_depend_on_its_neighbours_or_the_devices():
    assert len(jax.devices()) == 8
    model = tiny_facespace()
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 70).astype(np.float32)
    v = model.vectors(weights)
    many = model.images(v)
    w_plus = np.asarray(model.w_plus(v))
    for i in (0, 33, 69):
        np.testing.assert_array_equal(model.images(v[i : i + 1])[0], many[i])
        np.testing.assert_array_equal(model.w_plus(v[i : i + 1])[0], w_plus[i])
    np.testing.assert_array_equal(model.images(v, batch=1), many)


def test_only_ratios_of_weights_count():
    model = tiny_facespace()
    one, two = model.latents([[0.5, 0.25, 0.25], [2, 1, 1]])
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_the_noise_is_none_unless_asked_for():
    model = tiny_facespace("mobilestylegan")
    v = model.vectors([[1, 0, 0]])
    drawn = model.images(v)
    np.testing.assert_array_equal(drawn, model.images(v, noise_mode="none"))
    assert (drawn != model.images(v, noise_mode="const")).any()


def test_landmarks_are_counted_from_the_middle():
    generator = facespace_generator()
    encoder = tiny_encoder(136, generator.num_ws, 8)
    points = np.random.default_rng(0).uniform(0, 64, (2, 68, 2))
    faces = Faces(("a", "b"), "landmarks")
    codes = np.ones((2, 136), np.float32)
    model = FaceSpaceModel.join(encoder, generator, faces=faces, codes=codes)
    v = model.pose_vectors(points, (64, 64))
    np.testing.assert_allclose(v[0, :2], points[0, 0] / 32 - 1, rtol=1e-6)
    np.testing.assert_allclose(model.pose_vectors(2 * points, (128, 128)), v, rtol=1e-5)
    # The original program gave its encoders pixels counted from the corner.
    original = FaceSpaceModel.join(encoder, generator)
    assert (original.kind, original.names) == ("landmarks", ())
    v = original.pose_vectors(points, (64, 64))
    np.testing.assert_allclose(v[1, -2:], points[1, -1] / 32, rtol=1e-6)
    with pytest.raises(UserError, match="keeps no photos"):
        original.vectors([[1.0]])
    with pytest.raises(UserError, match="no landmarks: fit one with --kind landmarks"):
        tiny_facespace().pose_vectors(points, (64, 64))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.ones((2, 4)), r"weights must be \[M, 3\], got \[2, 4\]"),
        (np.ones((0, 3)), "weights holds no rows"),
        ([[1, np.nan, 0]], "not finite"),
        ([[1, 0, 0], [0, 0, 0]], "a row of zeros, which is nobody"),
    ],
)
def test_blends_that_cannot_be(weights, sentence):
    with pytest.raises(UserError, match=sentence):
        tiny_facespace().vectors(weights)


def test_other_refusals():
    model = tiny_facespace()
    v = model.vectors([[1, 0, 0]])
    with pytest.raises(UserError, match="unknown noise_mode 'random'"):
        model.images(v, noise_mode="random")
    with pytest.raises(UserError, match="batch is at least 1, got 0"):
        model.images(v, batch=0)
    with pytest.raises(UserError, match="v has a row of zeros"):
        model.w_plus(0 * v)
    with pytest.raises(UserError, match=r"w_plus must be \[M, 6, 8\]"):
        model.draw(np.zeros((1, 6, 7)))


def test_an_encoder_of_another_generator_is_refused():
    with pytest.raises(UserError, match=r"gives latents \[5, 8\] .* takes \[6, 8\]"):
        FaceSpaceModel.join(tiny_encoder(num_ws=5), facespace_generator())


CHANGES = {
    "names a, a": ({"names": ["a", "a", "b"]}, {}, "values of names"),
    "a kind": ({"kind": "z"}, {}, "values of kind"),
    "a field": ({"more": 1}, {}, r"unknown fields \(more\)"),
    "a generator": (
        {"generator_family": "pix2pixhd.global"},
        {},
        "values of generator_family",
    ),
    "latents": ({"space": "w"}, {}, r"gives latents \[6, 8\] and .* takes \[1, 8\]"),
    "codes": ({}, {"vectors": np.ones((2, 3), np.float32)}, "vectors is not float32"),
    "photos": (
        {},
        {"photos": np.zeros((3, 65, 8, 3), np.uint8)},
        r"codes/photos is not uint8 \[3, h, w, 3\]",
    ),
    "another code": ({}, {"more": np.zeros(1, np.float32)}, "codes/more is unknown"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_damaged_files_are_refused(name, tmp_path):
    config, codes, sentence = CHANGES[name]
    model = tiny_facespace()
    path = tmp_path / "space.safetensors"
    save_model(
        path,
        {**model.variables, "codes": {**model.variables["codes"], **codes}},
        family="facespace",
        config={**model.config, **config},
        provenance={},
        licence="none",
    )
    with pytest.raises(UserError, match=sentence):
        load(path)


def test_shapes_are_those_of_the_file(tmp_path):
    model = tiny_facespace("stylegan1")
    path = tmp_path / "space.safetensors"
    model.save(path)
    config = read_model(path).config
    shapes = FaceSpaceModel.shapes(config, where=path)
    assert shapes["codes/vectors"].shape == (3, 3)
    assert shapes["params/encoder/fc2/weight"].shape == (8, 6 * 8)
    assert "params/generator/mapping/fc0/weight" in shapes
    again = FaceSpaceModel.with_variables(config, model.variables)
    assert again.faces == model.faces
