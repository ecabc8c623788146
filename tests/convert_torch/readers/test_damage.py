"""Any file that is cut or changed is read as well as it can be, or refused."""

from __future__ import annotations

import argparse
import functools
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch_files
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.convert_torch.readers import Stub, Tensor, read_bytes, state_dict
from stylegan_jax.errors import UserError

SETTINGS = settings(max_examples=300, deadline=None, derandomize=True)


@functools.cache
def sample(kind: str) -> bytes:
    """A small file with something of everything."""
    tree = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "h": np.arange(3, dtype=np.float16),
        "v": torch_files.View(np.arange(8, dtype=np.int64), (2, 2), (1, 4), 1),
        "args": argparse.Namespace(lr=0.1, name="x"),
        "net": torch_files.module(
            "torch.nn.modules.linear.Linear", {"weight": np.ones((2, 2), np.float32)}
        ),
    }
    if kind == "numpy":
        plain = {"w": tree["w"], "s": np.float32(1), "l": [1, {2}, (3, "x")]}
        return pickle.dumps(plain, 4)
    if kind == "numpy, protocol 0":
        return pickle.dumps({"w": tree["w"], "l": [1, 2.5, "x", None]}, 0)
    if kind == "legacy":
        return torch_files.torch_legacy(tree)
    if kind == "pickle":
        del tree["v"]
        tree["net"] = torch_files.persistent("Net", tree["net"].state)
        return torch_files.pickled(tree, torch_files._tensor_inside)
    with tempfile.TemporaryDirectory() as folder:
        torch_files.write_torch_zip(Path(folder, "a.pt"), tree)
        return Path(folder, "a.pt").read_bytes()


KINDS = ["numpy", "numpy, protocol 0", "legacy", "pickle", "zip"]


def read_all(data: bytes) -> None:
    """Reads everything there is, as far as the file allows."""
    try:
        root = read_bytes(data, "a.pt").root
        seen = [root]
        known = set()
        for value in seen:
            if id(value) in known:  # a list may contain itself
                continue
            known.add(id(value))
            if isinstance(value, Tensor):
                assert value.array().shape == value.shape
            elif isinstance(value, dict):
                seen.extend(value.values())
            elif isinstance(value, list | tuple):
                seen.extend(value)
            elif isinstance(value, Stub):
                seen.extend([value.state, value.args, value.entries])
                state_dict(value)
    except UserError as error:
        text = str(error)
        assert text.endswith(".") and len(text) < 600


@pytest.mark.parametrize("kind", KINDS)
def test_the_samples_are_sound(kind):
    root = read_bytes(sample(kind), "a.pt").root
    np.testing.assert_array_equal(root["w"].array().ravel(), np.arange(6))


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere_is_refused(kind):
    data = sample(kind)
    for end in range(0, len(data), max(1, len(data) // 400)):
        with pytest.raises(UserError):
            read_bytes(data[:end], "a.pt")


@pytest.mark.parametrize("kind", KINDS)
def test_cut_in_the_middle_says_so(kind):
    data = sample(kind)
    with pytest.raises(UserError, match="cut short|no checkpoint"):
        read_bytes(data[: len(data) // 2], "a.pt")


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(st.data())
def test_changed_bytes_give_a_sentence_or_a_tree(kind, data):
    content = bytearray(sample(kind))
    places = st.integers(0, len(content) - 1)
    changes = st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)
    for place, value in data.draw(changes):
        content[place] = value
    read_all(bytes(content))


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(st.data())
def test_pieces_moved_about_give_a_sentence_or_a_tree(kind, data):
    content = sample(kind)
    places = st.integers(0, len(content))
    first, second, third = sorted(data.draw(st.tuples(places, places, places)))
    read_all(content[:first] + content[second:third] + content[first:])


STARTS = [b"", b"\x80\x02", b"\x80\x04", b"PK\x03\x04"]


@SETTINGS
@given(st.binary(max_size=200), st.sampled_from(STARTS))
def test_any_bytes_give_a_sentence_or_a_tree(data, start):
    read_all(start + data)


CODES = b"(.012NtladesubRo)]}Q\x81\x85\x86\x87\x88\x8f\x90\x91\x92\x93\x94"
INSTRUCTIONS = st.one_of(
    st.sampled_from([bytes([code]) for code in CODES]),
    st.sampled_from(
        [
            b"ctorch\nSize\n",
            b"ccollections\nOrderedDict\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"cnumpy\ndtype\n",
            b"cnumpy\nndarray\n",
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cnumpy.core.multiarray\nscalar\n",
            b"ccopy_reg\n_reconstructor\n",
            b"c__builtin__\nset\n",
            b"c__builtin__\nobject\n",
            b"ctorch.storage\n_load_from_bytes\n",
            b"csome\nThing\n",
            b"X\x02\x00\x00\x00f4",
            b"K\x02",
            b"C\x02ab",
            b"q\x00",
            b"h\x00",
        ]
    ),
)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.lists(INSTRUCTIONS, max_size=25))
def test_any_instructions_give_a_sentence_or_a_tree(parts):
    read_all(b"\x80\x02" + b"".join(parts) + b".")


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    ),
    max_leaves=20,
)


@SETTINGS
@given(TREES, st.integers(0, 5))
def test_plain_trees_are_read_as_python_reads_them(tree, protocol):
    data = pickle.dumps([tree], protocol)
    if data[:1] in b"\x80(]}c":
        assert read_bytes(data, "a.pkl").root == [tree]
