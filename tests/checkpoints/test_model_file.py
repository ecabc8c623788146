import json
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stylegan_jax.checkpoints import model_file
from stylegan_jax.checkpoints.model_file import read_metadata, read_model, save_model
from stylegan_jax.errors import UserError

FAMILY = "stylegan2.generator"


def _variables():
    rng = np.random.default_rng(0)
    return {
        "params": {
            "mapping": {"fc0": {"weight": rng.standard_normal((4, 3), np.float32)}},
            "synthesis": {"b4": {"const": np.zeros((4, 4, 2), np.float32)}},
            "scalar": np.float32(3.0),
            "empty": np.zeros((0, 3), np.float32),
        },
        "moving_stats": {"mapping": {"w_avg": np.arange(3, dtype=np.float32)}},
    }


def _save(path, variables=None, **overrides):
    arguments = {
        "family": FAMILY,
        "config": {"z_dim": 4, "base_grid": (4, 4)},
        "provenance": {"kimg": 12},
        "licence": "Apache-2.0",
    }
    save_model(path, variables or _variables(), **{**arguments, **overrides})
    return path


@pytest.fixture
def saved(tmp_path):
    return _save(tmp_path / "g.safetensors")


def _with_header(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _document(**overrides):
    document = {"format": 1, "family": FAMILY, "config": {}, **overrides}
    return {"__metadata__": {"stylegan_jax": json.dumps(document)}}


def _tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_what_is_saved_comes_back(saved):
    model = read_model(saved)
    assert model.family == FAMILY
    assert model.config == {"z_dim": 4, "base_grid": [4, 4]}
    assert model.metadata["provenance"] == {"kimg": 12}
    assert model.metadata["licence"] == "Apache-2.0"
    assert read_metadata(saved) == model.metadata
    expected = model_file.flatten(_variables())
    got = model_file.flatten(model.variables)
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].shape == array.shape and got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def test_the_safetensors_library_reads_the_file(saved):
    from safetensors.numpy import load_file

    tensors = load_file(saved)
    np.testing.assert_array_equal(
        tensors["moving_stats/mapping/w_avg"], np.arange(3, dtype=np.float32)
    )


def test_equal_models_are_equal_bytes(tmp_path, saved):
    variables = _variables()
    backwards = {key: variables[key] for key in reversed(variables)}
    again = _save(tmp_path / "again.safetensors", backwards)
    assert again.read_bytes() == saved.read_bytes()


def test_jax_arrays_and_views_are_saved_by_value(tmp_path):
    import jax.numpy as jnp

    transposed = np.arange(6, dtype=np.float32).reshape(2, 3).T
    path = _save(
        tmp_path / "g.safetensors", {"params": {"a": jnp.ones(3), "b": transposed}}
    )
    got = read_model(path).variables["params"]
    np.testing.assert_array_equal(got["a"], np.ones(3))
    np.testing.assert_array_equal(got["b"], transposed)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def full(_source, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        _save(saved, config={"z_dim": 5})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_sha256_is_that_of_the_bytes(saved):
    import hashlib

    assert model_file.sha256_of(saved) == hashlib.sha256(saved.read_bytes()).hexdigest()
    with pytest.raises(UserError, match="cannot read"):
        model_file.sha256_of(saved.parent / "absent")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"family": "stylegan9"}, "unknown model family 'stylegan9'"),
        ({"config": {"f": print}}, "is not JSON"),
        ({"provenance": {"loss": float("nan")}}, "is not JSON"),
        ({"variables": {"params": {"a/b": np.zeros(1)}}}, "without slashes"),
        ({"variables": {"params": {"a": np.zeros(1, complex)}}}, "float32"),
    ],
)
def test_saving_refuses(tmp_path, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        _save(tmp_path / "g.safetensors", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(60), "PyTorch checkpoint.*stylegan-jax convert"),
        (b"\x80\x03cdnnlib" + bytes(60), "NVIDIA's .pkl.*stylegan-jax convert"),
        (b"\x80\x02\x8a" + bytes(60), "older PyTorch.*stylegan-jax convert"),
        (b"\n<!DOCTYPE html>" + bytes(60), "web page.*again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "PNG picture"),
        (b"hello", "not a model file"),
        (struct.pack("<Q", 2**62) + b"{" + bytes(60), "not a model file"),
        (struct.pack("<Q", 5000) + b"{" + bytes(60), "cut short"),
        (_with_header(b"{" * 50), "header is not JSON"),
        (_with_header(b"{" + b'"a":' * 4 + b"[" * 100_000), "header is not JSON"),
        (_with_header({}), "without this program's metadata.*convert"),
        (_with_header({"__metadata__": {"stylegan_jax": "{"}}), "metadata is not JSON"),
        (_with_header({"__metadata__": {"stylegan_jax": "3"}}), "not a JSON object"),
        (_with_header(_document(format=2)), "format 2 and this program reads format 1"),
        (_with_header(_document(family="vae")), "unknown model family 'vae'"),
        (_with_header(_document(family=[1])), "unknown model family"),
        (_with_header(_document(config=3)), "holds no config"),
    ],
)
def test_reading_refuses_files_that_are_none(tmp_path, data, sentence):
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(UserError, match=sentence) as caught:
        read_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "data", "sentence"),
    [
        ({"p/a": _tensor([2], 0, 8)}, bytes(4), "cut short"),
        ({"p/a": _tensor([2], 0, 8)}, bytes(9), "1 bytes follow"),
        ({"p/a": _tensor([2], 4, 12)}, bytes(12), "not where it should be"),
        ({"p/a": _tensor([2], 0, 4)}, bytes(4), "not the size of its shape"),
        ({"p/a": _tensor([2**40], 0, 2**42)}, bytes(8), "cut short"),
        ({"p/a": _tensor([2**70, 0], 0, 0)}, b"", "impossible shape"),
        ({"p/a": _tensor([0] * 99, 0, 0)}, b"", "impossible shape"),
        ({"p/a": _tensor([-1], 0, 0)}, b"", "bad shape"),
        ({"p/a": _tensor([True], 0, 4)}, bytes(4), "bad shape"),
        ({"p/a": _tensor([1], 0, 2, "BF16")}, bytes(2), "has type 'BF16'"),
        ({"p/a": 3}, b"", "is no object"),
        ({"a": _tensor([1], 0, 4)}, bytes(4), "collection/path"),
        ({"p//a": _tensor([1], 0, 4)}, bytes(4), "collection/path"),
        ({"p/\ud800": _tensor([1], 0, 4)}, bytes(4), "is named"),
        (
            {"p/a": _tensor([1], 0, 4), "p/a/b": _tensor([1], 4, 8)},
            bytes(8),
            "inside another",
        ),
        (
            {"p/a": _tensor([1], 0, 4), "p/b": _tensor([1], 0, 4)},
            bytes(4),
            "not where it should be",
        ),
    ],
)
def test_reading_refuses_damaged_tensors(tmp_path, entries, data, sentence):
    path = tmp_path / "x.safetensors"
    path.write_bytes(_with_header({**_document(), **entries}, data))
    with pytest.raises(UserError, match=sentence):
        read_model(path)


def test_reading_refuses_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_model(tmp_path / "absent.safetensors")
    with pytest.raises(UserError, match="is a folder"):
        read_model(tmp_path)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_file_is_read_right_or_refused(saved, data):
    whole = _save(saved).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    damaged = bytearray(whole[:cut] if data.draw(st.booleans()) else whole)
    places = st.tuples(st.integers(0, max(0, len(damaged) - 1)), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, max_size=4)):
        if damaged:
            damaged[place] = value
    saved.write_bytes(damaged)
    try:
        model = read_model(saved)
    except UserError:
        return
    # What passes holds no more than the file did.
    leaves = model_file.flatten(model.variables).values()
    assert sum(leaf.nbytes for leaf in leaves) <= len(damaged)


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=200), prefix=st.booleans())
def test_junk_is_refused(tmp_path_factory, junk, prefix):
    path = tmp_path_factory.getbasetemp() / "junk.safetensors"
    path.write_bytes(_with_header(b"{" + junk) if prefix else junk)
    with pytest.raises(UserError):
        read_model(path)
