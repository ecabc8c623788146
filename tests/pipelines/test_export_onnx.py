import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from tiny_models import save_tiny, tiny_generator
from tiny_students import save_student

from stylegan_jax.errors import MissingExtra, UserError
from stylegan_jax.pipelines.export import Options, export
from stylegan_jax.pipelines.export_onnx import run_onnx, to_onnx

WEIGHTS = np.random.default_rng(0).standard_normal((3, 3, 4, 6)).astype(np.float32)
NHWC = ("NHWC", "HWIO", "NHWC")


def conv(x, w=WEIGHTS, strides=(1, 1), padding="SAME", **options):
    return lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=NHWC, **options
    )


# On x [2, 8, 8, 4] float32.
FUNCTIONS = {
    "elements": lambda x: jnp.tanh(x) * 2 - jnp.exp(-x) / (1 + x**2) + abs(x) ** 3,
    "choices": lambda x: jnp.where((x > 0) & (x != 1), jnp.minimum(x, 0.5), -x),
    "roots": lambda x: lax.rsqrt(jnp.square(x) + 1) + jnp.sqrt(abs(x)),
    "activations": lambda x: jax.nn.sigmoid(x) + jax.nn.relu(x) + jnp.clip(x, -1, 1),
    "means": lambda x: x - jnp.mean(x, (1, 2), keepdims=True) + jnp.max(x, 0),
    "mirrors": lambda x: jnp.pad(x, ((0, 0), (3, 2), (2, 3), (0, 0)), mode="reflect"),
    "mirrored far": lambda x: jnp.pad(
        x, ((0, 0), (9, 9), (0, 0), (0, 0)), mode="reflect"
    ),
    "zeros": lambda x: lax.pad(x, 0.0, ((0, 0, 0), (-1, 2, 0), (3, -2, 0), (0, 0, 0))),
    "parts": lambda x: jnp.concatenate([x[:, ::2], x[:, 1::2, ::-1]], 1)[..., 1],
    "stacks": lambda x: jnp.stack([x, x + 1], 2).reshape(2, 16, 8, 4),
    "halves": lambda x: sum(jnp.split(x, 2, axis=3)),
    "repeats": lambda x: jnp.repeat(jnp.repeat(x, 2, 1), 2, 2),
    "matrices": lambda x: x @ WEIGHTS[0, 0],
    "products": lambda x: jnp.einsum("nhwc,nkc->nkw", x, x[:, 0]),
    "convolution": conv,
    "strided": lambda x: conv(x, strides=(2, 2), padding=((1, 1), (0, 2))),
    "grouped": lambda x: conv(x, WEIGHTS[:, :, :1, :4], feature_group_count=4),
    "transposed": lambda x: conv(x, padding=((1, 2), (1, 2)), lhs_dilation=(2, 2)),
    "wider": lambda x: conv(x, padding=((3, 4), (2, 2)), lhs_dilation=(2, 2)),
    "pools": lambda x: lax.reduce_window(
        x, 0.0, lax.add, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    ),
    "largest": lambda x: lax.reduce_window(
        x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
    ),
    "bytes": lambda x: jnp.clip(jnp.round(x * 100), 0, 255).astype(jnp.uint8),
    "constants": lambda x: jnp.broadcast_to(jnp.arange(4.0), (2, 8, 8, 4)) + 0 * x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operators_are_jaxs(name):
    pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    function = FUNCTIONS[name]
    shape = jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.float32)
    data = to_onnx(lambda x: (function(x),), {"x": shape}, ["y"], {})
    x = np.random.default_rng(1).standard_normal((2, 8, 8, 4)).astype(np.float32)
    (ours,), theirs = run_onnx(data)({"x": x}), np.asarray(function(x))
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_mirrored_borders_are_one_operator():
    onnx = pytest.importorskip("onnx", reason="needs the onnx extra")
    shape = jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.float32)
    function = FUNCTIONS["mirrors"]
    data = to_onnx(lambda x: (function(x),), {"x": shape}, ["y"], {"about": "it"})
    model = onnx.load_from_string(data)
    assert [node.op_type for node in model.graph.node] == ["Pad", "Identity"]
    assert model.metadata_props[0].value == "it"


@pytest.mark.parametrize("options", [Options(), Options(batch=None, uint8=True)])
def test_a_student(options, tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the onnx extra")
    pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    file = save_student(tmp_path / "net.safetensors")
    done = export(file, tmp_path / "net.onnx", "onnx", options)
    assert done.difference <= (1 if options.uint8 else 1e-5)
    model = onnx.load(tmp_path / "net.onnx")
    document = json.loads(model.metadata_props[0].value)
    assert document["licence"] == "MIT"
    assert document["inputs"] == done.inputs


def test_a_generator_from_latents_of_any_number(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    file = save_tiny(tmp_path / "g.safetensors", *tiny_generator(num_blocks=2))
    options = Options(batch=None, latents="w_plus", noise_mode="none")
    done = export(file, tmp_path / "g.onnx", "onnx", options)
    assert done.difference < 1e-5


def test_operators_that_are_not_written_are_named():
    pytest.importorskip("onnx", reason="needs the onnx extra")
    shape = jax.ShapeDtypeStruct((4,), jnp.float32)
    with pytest.raises(UserError, match="operator sort, which is not written to ONNX"):
        to_onnx(lambda x: (jnp.sort(x),), {"x": shape}, ["y"], {})


def test_the_extra_is_named_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    file = save_student(tmp_path / "net.safetensors")
    with pytest.raises(MissingExtra, match=r"pip install .stylegan_jax\[onnx\]"):
        export(file, tmp_path / "net.onnx", "onnx")
