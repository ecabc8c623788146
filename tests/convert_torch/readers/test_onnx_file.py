"""ONNX files: what is read, and that damaged and foreign ones end in a sentence."""

import tracemalloc

import numpy as np
import onnx_files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_files import field, model, node, tensor, value, varint

from stylegan_jax.convert_torch.frozen import find_network
from stylegan_jax.convert_torch.readers import read_bytes
from stylegan_jax.errors import UserError

FACE = onnx_files.face_file()
RAW = np.arange(6, dtype=np.float32).reshape(2, 3)


def small(*tensors, nodes=(), inputs=()):
    return model(nodes, tensors, inputs, [value("y", (1,))])


def graph_of(data):
    return read_bytes(data, "a.onnx").root


def refused(data):
    with pytest.raises(UserError) as error:
        read_bytes(data, "a.onnx")
    text = str(error.value)
    assert text.startswith("a.onnx ") and text.endswith(".")
    return text


def test_nodes_inputs_and_outputs():
    graph = graph_of(
        small(
            tensor("w", RAW),
            nodes=[node("Op", ["x", "w"], "y", a=-1, b=0.5, c="s", d=(1, -2))],
            inputs=[value("x", (0, 3)), value("w", (2, 3))],
        )
    )
    (found,) = graph.nodes
    assert (found.op, found.inputs, found.outputs) == ("Op", ("x", "w"), ("y",))
    assert found.attributes == {"a": -1, "b": 0.5, "c": "s", "d": (1, -2)}
    # Old files list constants among the inputs, too.
    assert graph.inputs == {"x": (0, 3)} and graph.outputs == ("y",)


@pytest.mark.parametrize("kind", ["float32", "float16", "float64", "int32", "int64"])
def test_elements_as_bytes(kind):
    tensors = graph_of(small(tensor("w", RAW.astype(kind)))).tensors
    assert tensors["w"].dtype == kind
    np.testing.assert_array_equal(tensors["w"].array(), RAW.astype(kind))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("kind", "number", "place"), [("<f4", 1, 4), ("<f8", 11, 10)])
def test_elements_as_numbers(packed, kind, number, place):
    data = RAW.astype(kind).tobytes()
    width = np.dtype(kind).itemsize
    parts = [data[i : i + width] for i in range(0, len(data), width)]
    tag = varint(place << 3 | (5 if width == 4 else 1))
    elements = field(place, data) if packed else b"".join(tag + p for p in parts)
    dims = field(1, varint(2) + varint(3)) if packed else field(1, 2) + field(1, 3)
    message = dims + field(2, number) + field(8, "w") + elements
    np.testing.assert_array_equal(graph_of(small(message)).tensors["w"].array(), RAW)


def test_scalars_and_empty_tensors():
    tensors = graph_of(
        small(
            tensor("s", np.array(2, np.float32)), tensor("e", np.zeros((0, 3), "int64"))
        )
    ).tensors
    assert tensors["s"].array() == 2 and tensors["s"].shape == ()
    assert tensors["e"].array().shape == (0, 3)


HEAD = field(1, 6)
OPSET = field(8, field(2, 11))
NAMED = field(8, "w") + field(2, 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HEAD + OPSET, "it has 0 graphs"),
        (HEAD + field(7, b"") + field(7, b"") + OPSET, "it has 2 graphs"),
        (HEAD + field(7, b""), "does not say which operations"),
        (HEAD + field(7, b"") + field(8, field(1, "com.x")), "operations of 'com.x'"),
        (HEAD + field(7, b"") + OPSET + field(25, b""), "model has the field 25"),
        (HEAD + field(7, field(15, b"")) + OPSET, "graph has the field 15"),
        (small(NAMED + field(14, 1)), "lies in another file"),
        (small(NAMED + field(13, b"")), "tensor has the field 13"),
        (small(field(8, "w") + field(2, 8)), "elements of type 8"),
        (small(NAMED + field(1, 2**40)), "impossible shape"),
        (small(NAMED + field(1, -1)), "impossible shape"),
        (small(NAMED + field(1, 0) * 33), "impossible shape"),
        (small(NAMED + field(1, 7) + field(9, b"1234")), "4 bytes instead of 28"),
        (small(NAMED + field(4, b"123")), "impossible length"),
        (small(NAMED + field(1, 1) + field(9, b"1234") + field(4, 1.0)), "twice"),
        (small(*[NAMED + field(1, 0)] * 2), "two tensors of the name 'w'"),
        (small(nodes=[field(4, b"\xff")]), "not UTF-8"),
        (small(nodes=[field(7, "com.x")]), "operations of 'com.x'"),
        (small(nodes=[node("A", [], "y", a=1) + node("A", [], "y", a=2)]), "one name"),
        (
            small(nodes=[field(5, field(1, "g") + field(20, 5))]),
            "attribute 'g' is none",
        ),
        (small(nodes=[field(5, field(6, b""))]), "attribute has the field 6"),
        (small(nodes=[field(1, 3)]), "stored as a number"),
        (HEAD + b"\x3a\xff\xff\xff\xff\x7f", "cut short"),
        (HEAD + b"\x3a\x01\x0f" + OPSET, "cut short|no kind"),
        (
            HEAD + b"\x3a\x0c\x08" + b"\xff" * 10 + b"\x01" + OPSET,
            "longer than 64 bits",
        ),
    ],
)
def test_what_is_not_read_ends_in_a_sentence(data, words):
    text = refused(data)
    assert any(word in text for word in words.split("|")), text


def test_a_huge_shape_takes_no_memory():
    message = NAMED + field(1, 2**30) * 4 + field(9, b"1234")
    tracemalloc.start()
    refused(small(message))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


def test_another_network_is_named_by_what_is_odd():
    data = small(nodes=[node("MatMul", ["x", "w"], "y")], inputs=[value("x", (1,))])
    with pytest.raises(UserError, match="a.onnx is an ONNX file of another network"):
        find_network(graph_of(data), "a.onnx")


def test_cut_anywhere_is_refused():
    for end in range(0, len(FACE), 37):
        refused(FACE[:end])


def attempt(data):
    """Reads, names and converts as far as the bytes allow."""
    try:
        root = read_bytes(data, "a.onnx").root
        found = find_network(root, "a.onnx")
        if found is not None:
            config = found.layout.config(found.state, {"where": "a.onnx"})
            found.layout.expand(config)
            for name in found.state:
                found.state[name].array()
    except UserError as error:
        text = str(error)
        assert "a.onnx" in text and text.endswith(".") and len(text) < 2000


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_changed_bytes_end_in_nothing_but_a_sentence(data):
    changed = bytearray(FACE)
    # The graph's words stand at the front; tensors' elements may be anything.
    front = st.integers(0, 4000)
    places = st.one_of(front, st.integers(0, len(FACE) - 1))
    for place in data.draw(st.sets(places, min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    attempt(bytes(changed))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_nothing_but_a_sentence(tail):
    attempt(b"\x08\x06" + tail)
    attempt(HEAD + field(7, tail) + OPSET)
    attempt(small(tail))
