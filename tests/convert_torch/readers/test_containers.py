from __future__ import annotations

import argparse
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_files
from torch_files import BFloat16, Call, Made, Named, Persistent, Raw, View

from stylegan_jax.convert_torch.readers import (
    Reference,
    Stub,
    Tensor,
    read_bytes,
    read_checkpoint,
    state_dict,
)
from stylegan_jax.errors import UserError

WRITERS = {
    "torch-zip": torch_files.write_torch_zip,
    "torch-legacy": torch_files.write_torch_legacy,
    "pickle": torch_files.write_torch_pickle,
}


def arrays(tree):
    """The tree with its tensors read."""
    if isinstance(tree, Tensor):
        return tree.array()
    if isinstance(tree, dict):
        return {key: arrays(value) for key, value in tree.items()}
    return tree


@pytest.mark.parametrize("container", WRITERS)
def test_a_training_checkpoint_arrives_whole(tmp_path, container):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3, 2, 3, 3), dtype=np.float32)
    tree = {
        "g_ema": {"conv1.weight": weight, "noise": np.array(0.5, np.float32)},
        "g_optim": {"state": {0: {"step": 3, "exp_avg": weight * 2}}, "lr": 2e-3},
        "args": argparse.Namespace(size=64, path="/a/b", r1=10.0),
        "ada_aug_p": 0.25,
        "big": 2**40,
        "ok": True,
        "nothing": None,
        "shape": (1, 2),
    }
    WRITERS[container](tmp_path / "a.pt", tree)
    found = read_checkpoint(tmp_path / "a.pt")
    assert (found.container, found.path) == (container, tmp_path / "a.pt")
    args = found.root.pop("args")
    assert isinstance(args, Stub) and args.class_name == "Namespace"
    assert args.state == vars(tree.pop("args"))
    np.testing.assert_equal(arrays(found.root), tree)


@pytest.mark.parametrize("container", WRITERS)
@pytest.mark.parametrize(
    "kind", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?", "c8"]
)
def test_every_element_type_keeps_its_values(tmp_path, container, kind):
    array = np.array([[0, 1, 1], [1, 0, 3]]).astype(kind)
    tree = {"x": array, "none": array[:0], "point": array[:1, :1].reshape(())}
    WRITERS[container](tmp_path / "a.pt", tree)
    root = read_checkpoint(tmp_path / "a.pt").root
    for name, expected in tree.items():
        value = root[name].array()
        assert value.dtype == root[name].dtype == expected.dtype
        assert value.flags.writeable and value.flags.c_contiguous
        np.testing.assert_array_equal(value, expected, strict=True)


@pytest.mark.parametrize("container", WRITERS)
def test_bfloat16_becomes_float32_without_loss(tmp_path, container):
    values = np.array([1.5, -0.0, 3e38, 2**-130, np.inf, 0.00390625], np.float32)
    bits = values.view(np.uint32) & np.uint32(0xFFFF0000)
    tree = {"x": BFloat16(values), "s": BFloat16(values[:1].reshape(()))}
    WRITERS[container](tmp_path / "a.pt", tree)
    root = read_checkpoint(tmp_path / "a.pt").root
    assert root["x"].kind == "bfloat16" and root["x"].dtype == np.float32
    np.testing.assert_array_equal(root["x"].array().view(np.uint32), bits)
    assert root["s"].array().shape == () and root["s"].array() == 1.5


def test_views_of_one_storage_are_read_through_their_strides(tmp_path):
    base = np.arange(24, dtype=np.float32)
    views = {
        "all": View(base, (4, 6), (6, 1)),
        "transposed": View(base, (6, 4), (1, 6)),
        "part": View(base, (2, 3), (6, 1), 8),
        "repeated": View(base, (2, 3), (0, 1), 21),
    }
    square = base.reshape(4, 6)
    expected = {
        "all": square,
        "transposed": square.T,
        "part": square[1:3, 2:5],
        "repeated": np.stack([square[3, 3:]] * 2),
    }
    for container in ("torch-zip", "torch-legacy"):
        WRITERS[container](tmp_path / "a.pt", views)
        root = read_checkpoint(tmp_path / "a.pt").root
        np.testing.assert_equal(arrays(root), expected)
        assert all(value.array().flags.c_contiguous for value in root.values())


def test_legacy_storages_that_are_parts_of_others():
    identity = ("storage", Named("torch.FloatStorage"), "7", "cuda:0", 6, ("9", 2, 3))
    hooks = Call("collections.OrderedDict")
    args = (Persistent(identity), 1, (2,), (1,), False, hooks)
    tree = Call("torch._utils._rebuild_tensor_v2", args)
    root = read_bytes(legacy(tree, {"7": np.arange(6, dtype=np.float32)}), "a.pt").root
    np.testing.assert_array_equal(root.array(), [3, 4])


def legacy(tree, storages, magic=torch_files.LEGACY_MAGIC, system=torch_files.SYSTEM):
    """A legacy file with these storages, whatever its tree says."""
    parts = [pickle.dumps(value, 2) for value in (magic, 1001, system)]
    parts += [torch_files.pickled(tree), pickle.dumps(list(storages), 2)]
    for array in storages.values():
        parts += [struct.pack("<q", array.size), array.tobytes()]
    return b"".join(parts)


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_pickles_of_every_protocol(protocol):
    tree = {
        "Conv_0": {"kernel": np.arange(12, dtype=np.float32).reshape(3, 4)},
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(10, dtype=np.int16)[::2],
        "big": np.arange(3, dtype=">f4"),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 2), np.float32),
        "point": np.array(2.5),
        "text": np.array(["a", "bc"]),
    }
    plain = {
        "scalar": np.float32(1.25),
        "flag": np.bool_(True),
        "bytes": b"\x00\xff",
        "many": bytes(5000),
        "set": {1, 2},
        "frozen": frozenset("ab"),
        "path": Path("/a/b"),
        "complex": 1 + 2j,
        "negative": -(2**70),
        "text": "zwölf\n\\",
        "list": [1.5, None, (True,)],
    }
    root = read_bytes(pickle.dumps({"t": tree, "p": plain}, protocol), "a.ckpt").root
    np.testing.assert_equal(arrays(root["t"]), tree)
    assert {k: v.dtype for k, v in arrays(root["t"]).items() if k != "Conv_0"} == {
        k: v.dtype.newbyteorder("=") for k, v in tree.items() if k != "Conv_0"
    }
    assert bytes(root["p"].pop("many")) == plain.pop("many")
    assert root["p"] == {**plain, "path": "/a/b"}


def test_a_memorised_array_is_the_same_tensor():
    array = np.arange(3)
    root = read_bytes(pickle.dumps([array, array], 4), "a.pkl").root
    assert root[0] is root[1] and root[1].shape == (3,)


def test_what_python_2_wrote():
    text = b"(dp0\nS'a\\x41\\n'\np1\nI01\nsS'n'\nL12L\nsS'f'\nF0.5\ns."
    assert read_bytes(text, "a.pkl").root == {"aA\n": True, "n": 12, "f": 0.5}
    array = np.arange(3, dtype="<f4")
    text = Raw(b"U\x0c" + array.tobytes())
    code = filled_array("numpy.core.multiarray", text)
    np.testing.assert_array_equal(read_bytes(code, "a.pkl").root.array(), array)


def filled_array(module, data):
    """A pickle of three float32 elements, under the names of one NumPy."""
    kind = Call("numpy.dtype", ("f4", False, True))
    empty = Call(f"{module}._reconstruct", (Named("numpy.ndarray"), (0,), b"b"))
    state = torch_files.pickled((1, (3,), kind, False, data))
    return torch_files.pickled(empty)[:-1] + state[2:-1] + b"b."


@pytest.mark.parametrize("name", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpys_old_and_new_names(name):
    array = np.arange(3, dtype="<f4")
    root = read_bytes(filled_array(name, array.tobytes()), "a.pkl").root
    np.testing.assert_array_equal(root.array(), array)


def test_names_of_classes_stay_names(tmp_path):
    tree = {
        "dtype": Named("torch.float32"),
        "size": Call("torch.Size", ([2, 3],)),
        "device": Call("torch.device", ("cuda", 1)),
        "activation": Call("functools.partial", (Named("torch.nn.functional.relu"),)),
        "default": Call("collections.defaultdict", (Named("builtins.dict"),)),
    }
    torch_files.write_torch_zip(tmp_path / "a.pt", tree)
    root = read_checkpoint(tmp_path / "a.pt").root
    assert root["dtype"] == Reference("torch.float32")
    assert (root["size"], root["device"], root["default"]) == ((2, 3), "cuda:1", {})
    assert root["activation"].name == "functools.partial"
    assert root["activation"].args == (Reference("torch.nn.functional.relu"),)


def test_objects_of_unknown_classes_keep_what_they_are_given():
    tree = [
        Made("some.where.Thing", {"a": 1}, (1, 2)),
        Made("some.where.Slots", (None, {"b": 2})),
        Made("dnnlib.util.EasyDict", entries={"c": 3}),
        Raw(b"(isome.where\nOld\n"),
        Raw(b"(csome.where\nOlder\no"),
    ]
    thing, slots, easy, old, older = read_bytes(torch_files.pickled(tree), "a").root
    assert (thing.name, thing.args) == ("some.where.Thing", (1, 2))
    assert thing.state == {"a": 1}
    assert slots.state == {"b": 2} and easy.entries == {"c": 3}
    assert (old.class_name, older.class_name) == ("Old", "Older")


def test_parameters_and_newer_tensors():
    array = np.arange(4, dtype=np.float32)

    def tensor(value):
        made = torch_files._tensor_inside(value)
        return Call("torch._utils._rebuild_parameter", (made, True, {}))

    root = read_bytes(torch_files.pickled([array], tensor), "a.pkl").root
    np.testing.assert_array_equal(root[0].array(), array)

    def subclass(value):
        args = torch_files._tensor_inside(value).args
        function = Named("torch._utils._rebuild_tensor_v2")
        cls = Named("torch.nn.parameter.Buffer")
        return Call("torch._tensor._rebuild_from_type_v2", (function, cls, args, {}))

    root = read_bytes(torch_files.pickled([array], subclass), "a.pkl").root
    np.testing.assert_array_equal(root[0].array(), array)

    def untyped(value):
        storage = torch_files._tensor_inside(value.view(np.uint8)).args[0]
        kind = Named("torch.uint16")
        args = (storage, 1, (3,), (2,), False, {}, kind)
        return Call("torch._utils._rebuild_tensor_v3", args)

    root = read_bytes(torch_files.pickled([array], untyped), "a.pkl").root
    np.testing.assert_array_equal(root[0].array(), array.view(np.uint16)[1:7:2])


def test_torchscript_objects(tmp_path):
    part = Made("__torch__.net.Conv", {"weight": np.ones((2, 3), np.float32), "n": 1})
    tree = Made("__torch__.wrap.Net", {"training": False, "conv": part, "k": None})
    torch_files.torch_zip(tmp_path / "a.pt", tree, folder="jit")
    with zipfile.ZipFile(tmp_path / "a.pt", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("jit/constants.pkl", b"\x80\x02).")
        archive.writestr("jit/code/__torch__/net.py", "raise SystemExit" * 100)
    found = read_checkpoint(tmp_path / "a.pt")
    assert found.container == "torchscript"
    assert list(state_dict(found.root)) == ["conv.weight"]


@pytest.mark.parametrize("container", WRITERS)
def test_opening_takes_no_memory_for_tensors(tmp_path, container):
    array = np.zeros(5_000_000, np.float32)
    WRITERS[container](tmp_path / "a.pt", {"used": array[:8], "unused": array})
    tracemalloc.start()
    try:
        root = read_checkpoint(tmp_path / "a.pt").root
        assert root["used"].array().shape == (8,)
        assert root["unused"].shape == array.shape
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


NOT_CHECKPOINTS = {
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG picture"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "html": (b"<!DOCTYPE html><html>", "web page"),
    "gzip": (b"\x1f\x8b" + bytes(20), "gzip"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "npy": (b"\x93NUMPY\x01\x00", "NumPy array"),
    "tar": (bytes(257) + b"ustar\x0000" + bytes(300), "tar archive"),
    "safetensors": (struct.pack("<Q", 2) + b"{}", "safetensors"),
    "text": (b"hello there, this is text.\n", "no checkpoint"),
    "text with a stop": (b"could be a pickle, but is text.", "no checkpoint"),
    "nothing": (b"", "empty"),
    "zeros": (bytes(100), "no checkpoint"),
}


@pytest.mark.parametrize("name", NOT_CHECKPOINTS)
def test_other_files_are_called_by_their_name(tmp_path, name):
    data, expected = NOT_CHECKPOINTS[name]
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(UserError, match=expected) as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert "a.pt" in str(caught.value) and str(caught.value).endswith(".")


def test_what_is_no_file(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(UserError, match="folder"):
        read_checkpoint(tmp_path)


def test_legacy_files_that_contradict_themselves():
    hooks = Call("collections.OrderedDict")

    def tree(length, shape=(2,), key="0"):
        cls = Named("torch.FloatStorage")
        identity = ("storage", cls, key, "cpu", length, None)
        args = (Persistent(identity), 0, shape, (1,), False, hooks)
        return Call("torch._utils._rebuild_tensor_v2", args)

    array = {"0": np.arange(4, dtype=np.float32)}
    assert read_bytes(legacy(tree(4), array), "a").root.shape == (2,)
    cases = {
        "beyond its storage": legacy(tree(4, (5,)), array),
        "claims 3 elements": legacy(tree(3), array),
        "list of storages": legacy(tree(4, key="1"), array),
        "cut short": legacy(tree(4), array)[:-1],
        "follow its tensors": legacy(tree(4), array) + b"1",
        "inside a tensor": legacy(tree(10**10), array),
        "big-endian": legacy(tree(4), array, system={"little_endian": False}),
    }
    for message, data in cases.items():
        with pytest.raises(UserError, match=message):
            read_bytes(data, "a")
