import json

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import save_tiny, tiny_generator
from tiny_students import save_student

from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models.attributes import AttributeNet
from stylegan_jax.pipelines import export as library
from stylegan_jax.pipelines.export import Options, export
from stylegan_jax.pipelines.stylize_pix2pixhd import StudentPictures


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    save_student(root / "net.safetensors")
    save_tiny(root / "g.safetensors", *tiny_generator(num_blocks=2), licence="CC-BY")
    return root


def run(path, *arrays):
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    return np.asarray(exported.call(*arrays)[0])


def test_a_student_for_any_batch_with_bytes(root, tmp_path):
    file = tmp_path / "net.stablehlo"
    options = Options(batch=None, uint8=True)
    done = export(root / "net.safetensors", file, "stablehlo", options)
    assert done.bytes == file.stat().st_size and done.difference <= 1
    x = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), np.uint8)
    theirs = StudentPictures(load(root / "net.safetensors")).draw(x)
    ours = run(file, x)
    assert ours.dtype == np.uint8 and ours.shape == theirs.shape
    np.testing.assert_allclose(ours.astype(int), theirs.astype(int), atol=1)
    assert done.inputs[0]["shape"] == ["batch", 16, 16, 3]


def test_a_generator_with_its_document(root, tmp_path):
    file = tmp_path / "sub" / "g.stablehlo"
    done = export(root / "g.safetensors", file, "stablehlo", Options(batch=2))
    document = json.loads((tmp_path / "sub/g.stablehlo.json").read_text())
    assert document["licence"] == "CC-BY" and document["platforms"] == [
        "cpu",
        "cuda",
        "tpu",
    ]
    assert [x["name"] for x in document["inputs"]] == ["z", "psi"]
    assert document["difference"] == done.difference < 1e-5
    model = load(root / "g.safetensors")
    z = model.latents([4, 5])
    x = run(file, z, np.float32(0.5))
    theirs = np.asarray(model.synthesis(model.mapping(z, None, 0.5)))
    np.testing.assert_allclose(x, theirs, atol=1e-3 * np.abs(theirs).max())


def test_a_file_that_differs_is_not_written(root, tmp_path, monkeypatch):
    def wrong(wanted, batch, document):
        return b"data", lambda arrays: [y + 0.01 for y in wanted.reference(*arrays)]

    monkeypatch.setattr(library, "_to_stablehlo", wrong)
    file = tmp_path / "net.stablehlo"
    with pytest.raises(UserError, match="picture differs by 0.01 .* not written"):
        export(root / "net.safetensors", file, "stablehlo")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("net", {"latents": "z", "noise_mode": "none"}, "knows no noise, input: leave"),
        ("net", {"size": 9}, "multiples of 2 from 4 on, got 9"),
        ("net", {"batch": 0}, "from 1 to 256 pictures, or dynamic, got 0"),
        ("g", {"size": 64}, "a generator knows no size"),
        ("g", {"latents": "c"}, "unknown input 'c': choose from z, w_plus"),
    ],
)
def test_refusals(root, tmp_path, model, options, said):
    with pytest.raises(UserError, match=said):
        export(
            root / f"{model}.safetensors",
            tmp_path / "out",
            "stablehlo",
            Options(**options),
        )
    with pytest.raises(UserError, match="unknown format 'tflite': choose from stable"):
        export(root / "net.safetensors", tmp_path / "out", "tflite")


@pytest.fixture(scope="module")
def reader(root):
    """A model that reads a part of a picture, and both mirror images."""
    module = AttributeNet(
        ("age", "gender"),
        ("number", "binary"),
        (30.0, 0.0),
        (20.0, 1.0),
        num_layers=10,
        width=2,
        input_size=32,
        mirrored=True,
        read_share=0.66,
        read_drop=0.1,
    )
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    kernel = jax.random.normal(jax.random.key(1), (16, 2))
    variables["params"]["head"]["kernel"] = kernel
    config = config_of(module)
    file = root / "reader.safetensors"
    save_model(
        file, variables, family="attributes", config=config, provenance={}, licence=""
    )
    return file


@pytest.mark.parametrize(
    ("format", "uint8", "batch"),
    [("stablehlo", False, 3), ("stablehlo", True, None), ("onnx", True, 3)],
)
def test_a_model_of_attributes_reads_as_it_does_itself(
    reader, tmp_path, format, uint8, batch
):
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    file = tmp_path / "reader"
    done = export(reader, file, format, Options(batch=batch, uint8=uint8))
    assert done.difference < 1e-4
    document = json.loads((tmp_path / "reader.json").read_text())
    assert document["read_share"] == 0.66 and document["mirrored"] is True
    if format == "onnx":
        return
    pictures = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = load(reader).read(pictures)
    x = pictures if uint8 else pictures.astype(np.float32) / 127.5 - 1
    values = run(file, x)
    np.testing.assert_allclose(values[:, 0], found["age"], rtol=1e-4)
    np.testing.assert_allclose(values[:, 1], found["gender"], atol=1e-4)


def test_readings_that_leave_the_mirror_image_out_are_refused(
    reader, tmp_path, monkeypatch
):
    from stylegan_jax.pipelines import export_models

    monkeypatch.setattr(
        export_models, "read_outputs", lambda module, *words: module.apply(*words)
    )
    with pytest.raises(UserError, match="values differs by .* not written"):
        export(reader, tmp_path / "reader", "stablehlo")
